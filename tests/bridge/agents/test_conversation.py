"""The manners of agents that think, on a real call in virtual time: what is heard, whatever the thinker does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.agents.conversation import Busy, Manners, converse
from bridge.errors import CallEnded, ThinkerError, Unavailable
from bridge.lightning.speech import Synthesis
from bridge.observe import timeline as tl
from tests.support.call import Scene, build_call
from tests.support.thinker import HANGS, ScriptedThinker, Step
from tests.support.virtual_time import virtual

VOICE, PAUSE, REST = (0.95,) * 10, (0.0,) * 7, (0.0,) * 12
FILLER = "One moment, please."
GREETING = "Hi."
MANNERS: dict[str, Any] = {
    "greeting": GREETING,
    "apology": "Sorry.",
    "not_heard": "Pardon?",
    "giving_up": "I give up.",
    "handing_on": "I hand you on.",
    "reprompt": ["There?", "Still there?"],
    "goodbye": "Bye.",
}


class Talk:
    """A conversation that goes on."""

    def __init__(self, *scripts: Sequence[Step], **manners: Any) -> None:
        self.scene: Scene = build_call(transcribed=True)
        self.before = asyncio.all_tasks()
        self.thinker = ScriptedThinker(scripts or [["Yes."]])
        self.manners = Manners(**{**MANNERS, **manners})
        self.task = asyncio.create_task(converse(self.scene.call, self.thinker, self.manners))

    async def begin(self) -> Talk:
        """Until the greeting has been heard."""
        await asyncio.sleep(0.5)
        return self

    async def caller(self, words: str) -> None:
        """The caller says `words`, and is done."""
        self.eagerly(words)
        await asyncio.sleep(0)
        self.scene.hear(*REST)
        await asyncio.sleep(0)

    def eagerly(self, words: str) -> None:
        """The caller says `words`, and may go on."""
        self.scene.hear(*VOICE, *PAUSE)
        self.scene.words.told(words)

    @property
    def said(self) -> list[str]:
        """What the caller has heard, after the greeting."""
        heard = [entry.heard_text for entry in self.scene.entries(tl.SpeakingEnded)]
        assert not self.manners.greeting or heard[:1] == [GREETING]
        return heard[1:] if self.manners.greeting else heard

    async def end(self) -> None:
        """The caller hangs up. Nothing of the conversation is left."""
        self.scene.call.end("carrier")
        await asyncio.wait({self.task})
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == self.before


@virtual
async def test_it_greets_listens_and_answers() -> None:
    talk = await Talk(["It is ", "noon."]).begin()
    await talk.caller("What time is it?")
    await asyncio.sleep(2)
    assert talk.said == ["It is noon."]
    assert talk.thinker.asked == ["What time is it?"]
    assert talk.thinker.told == [(GREETING, ""), ("It is noon.", "")]
    await talk.end()


@virtual
async def test_it_thinks_while_the_turn_is_not_certain_and_nothing_sounds() -> None:
    talk = await Talk(["Yes."]).begin()
    talk.eagerly("Is it noon?")
    await asyncio.sleep(0.1)
    assert talk.thinker.ends == ["whole"]
    assert talk.said == []
    assert len(talk.scene.lightning.syntheses) == 1, "the greeting alone"
    talk.scene.hear(*REST)
    await asyncio.sleep(1)
    assert talk.said == ["Yes."]
    await talk.end()


@virtual
async def test_a_turn_that_was_not_over_is_thought_of_anew_with_all_the_words() -> None:
    talk = await Talk([HANGS], ["Two, then."]).begin()
    talk.eagerly("A table")
    await asyncio.sleep(0.1)
    await talk.caller("for two.")
    await asyncio.sleep(1)
    assert talk.thinker.asked == ["A table", "A table for two."]
    assert talk.thinker.ends == ["void", "whole"]
    assert talk.said == ["Two, then."]
    await talk.end()


@virtual
async def test_a_caller_who_goes_on_while_it_thinks_is_answered_once_to_all_the_words() -> None:
    talk = await Talk([HANGS], ["Two, then."]).begin()
    await talk.caller("A table.")
    await asyncio.sleep(0.5)
    await talk.caller("For two.")
    await asyncio.sleep(1)
    assert talk.thinker.asked == ["A table.", "A table. For two."]
    assert talk.thinker.ends[0] == "void"
    assert talk.said == ["Two, then."]
    await talk.end()


@virtual
async def test_interrupted_it_stops_thinking_and_is_told_what_was_heard() -> None:
    talk = await Talk(["One two three four five six seven eight nine ten. ", HANGS], ["Yes."]).begin()
    await talk.caller("Count.")
    await asyncio.sleep(1)
    talk.scene.hear(*VOICE)
    talk.scene.words.guess("stop it")
    await asyncio.sleep(0.1)
    talk.scene.hear(*PAUSE)
    talk.scene.words.told("Stop it.")
    await asyncio.sleep(0)
    talk.scene.hear(*REST)
    await asyncio.sleep(1)
    (_, (heard, by), _) = talk.thinker.told
    assert by == "speech"
    assert heard.startswith("One")
    assert "ten" not in heard
    assert talk.thinker.ends[0] == "void"
    assert talk.thinker.asked == ["Count.", "Stop it."]
    await talk.end()


# -- company -----------------------------------------------------------------------------------------------------------


@virtual
async def test_a_thinker_that_takes_its_time_is_covered_by_one_filler() -> None:
    talk = await Talk([3.0, "Noon."]).begin()
    began_s = asyncio.get_running_loop().time()
    await talk.caller("What time is it?")
    await asyncio.sleep(5)
    assert talk.said == [FILLER, "Noon."]
    filler, _ = talk.scene.entries(tl.SpeakingAsked)[1:]
    assert filler.at_ms / 1000 + talk.scene.call.started_s == pytest.approx(began_s + 1.2, abs=0.05)
    assert talk.scene.stats.agents.failures == {}
    await talk.end()


@virtual
async def test_a_thinker_that_hangs_is_apologised_for_and_it_listens_again() -> None:
    talk = await Talk([HANGS], ["Noon."]).begin()
    await talk.caller("What time is it?")
    await asyncio.sleep(6.5)
    assert talk.said == [FILLER, "Sorry."]
    assert talk.thinker.ends == ["void"]
    assert talk.scene.entries(tl.SpeakingAsked)[-1].at_ms == pytest.approx(5500, abs=100)
    await talk.caller("The time?")
    await asyncio.sleep(1)
    assert talk.said[2:] == ["Noon."]
    assert talk.thinker.asked[-1] == "The time?", "the caller was asked to say it again"
    agents = talk.scene.stats.agents
    assert (agents.apologies, agents.failures) == (1, {"hung": 1})
    assert [entry.failure for entry in talk.scene.entries(tl.ThinkingFailed)] == ["hung"]
    await talk.end()


FAULTS: list[tuple[list[Step], list[str], str]] = [
    ([ThinkerError("unauthorized")], ["Sorry."], "unauthorized"),
    ([ThinkerError("unreachable")], ["Sorry."], "unreachable"),
    ([], ["Sorry."], "empty"),
    (["It is noon", ThinkerError("cut")], ["It is noon", "Sorry."], "cut"),
    (["It is noon", HANGS], ["It is noon", "Sorry."], "hung"),
    ([ZeroDivisionError("a bug")], ["Sorry."], "error"),
    (["x" * 20_000], ["Sorry."], "flood"),
]  # fmt: skip


@pytest.mark.parametrize("script, said, failure", FAULTS, ids=[fault[2] for fault in FAULTS])
@virtual
async def test_what_the_caller_hears_of_each_fault(script: list[Step], said: list[str], failure: str) -> None:
    talk = await Talk(script, ["Noon."], idle_s=60.0).begin()
    await talk.caller("What time is it?")
    await asyncio.sleep(9)
    assert talk.said == said
    assert talk.scene.stats.agents.failures == {failure: 1}
    await talk.caller("And now?")
    await asyncio.sleep(1)
    assert talk.said[len(said) :] == ["Noon."]
    assert not talk.task.done()
    await talk.end()


@virtual
async def test_words_that_are_not_known_are_asked_for_again() -> None:
    talk = await Talk().begin()
    talk.scene.words.able = False
    await talk.caller("")
    await asyncio.sleep(2)
    assert talk.said == ["Pardon?"]
    assert talk.thinker.asked == []
    assert talk.scene.stats.agents.failures == {"not_heard": 1}
    await talk.end()


@virtual
async def test_a_voice_that_fails_is_no_reason_to_end_the_call() -> None:
    talk = await Talk(["Nobody hears this."], ["Noon."]).begin()

    def fails_once(number: int, synthesis: Synthesis) -> None:
        if "Nobody" in synthesis.request.text:
            synthesis.finish(Unavailable("broken", code="x"))
        else:
            talk.scene.lightning.say_all(number, synthesis)

    talk.scene.lightning.script = fails_once
    await talk.caller("What time is it?")
    await asyncio.sleep(8)
    assert talk.scene.stats.agents.failures == {"voice": 1}
    await talk.caller("And now?")
    await asyncio.sleep(1)
    assert talk.said[-1] == "Noon."
    await talk.end()


@virtual
async def test_three_failures_in_a_row_end_the_call_politely() -> None:
    talk = await Talk([ThinkerError("server")]).begin()
    for _ in range(3):
        await talk.caller("Hello?")
        await asyncio.sleep(2)
    assert talk.said == ["Sorry.", "Sorry.", "I give up."]
    assert talk.scene.line.closes == [(1000, "agent")]
    await talk.task


@virtual
async def test_an_answer_in_between_is_forgiveness() -> None:
    bad: list[Step] = [ThinkerError("server")]
    talk = await Talk(bad, bad, ["Noon."], bad).begin()
    for _ in range(5):
        await talk.caller("Hello?")
        await asyncio.sleep(2)
    assert talk.said == ["Sorry.", "Sorry.", "Noon.", "Sorry.", "Sorry."]
    await talk.end()


@virtual
async def test_three_failures_hand_the_caller_on_where_that_is_wanted_and_else_say_goodbye() -> None:
    """The scene's carrier has no account to transfer with: that fails, and the caller is told goodbye."""
    talk = await Talk([ThinkerError("server")], failures=1, failure_transfer="+15550009999").begin()
    await talk.caller("Hello?")
    await asyncio.sleep(4)
    assert talk.said == ["I hand you on.", "I give up."]
    assert talk.scene.line.closes == [(1000, "agent")]
    await talk.task


# -- tools -------------------------------------------------------------------------------------------------------------


@virtual
async def test_what_is_said_before_a_tool_is_heard_while_it_runs_and_fillers_cover_the_rest() -> None:
    talk = await Talk(["I look. ", Busy(60.0), 12.0, "Found."]).begin()
    await talk.caller("Look it up.")
    await asyncio.sleep(16)
    assert talk.said == ["I look.", FILLER, FILLER, "Found."]
    assert talk.thinker.told[1:] == [("I look.", ""), ("Found.", "")]
    assert talk.scene.stats.agents.failures == {}
    await talk.end()


@virtual
async def test_a_tool_has_its_deadline() -> None:
    talk = await Talk([Busy(7.0), HANGS]).begin()
    await talk.caller("Look it up.")
    await asyncio.sleep(9)
    assert talk.said == [FILLER, FILLER, "Sorry."]
    await talk.end()


# -- nobody there ------------------------------------------------------------------------------------------------------


@virtual
async def test_who_says_nothing_is_asked_twice_and_told_goodbye() -> None:
    talk = await Talk().begin()
    await talk.task
    assert talk.said == ["There?", "Still there?", "Bye."]
    assert talk.scene.stats.agents.reprompts == 2
    assert talk.scene.line.closes == [(1000, "agent")]


@virtual
async def test_who_answers_a_reprompt_has_all_the_patience_again() -> None:
    talk = await Talk().begin()
    await asyncio.sleep(10)
    await talk.caller("Yes?")
    await asyncio.sleep(20)
    assert talk.said == ["There?", "Yes.", "There?", "Still there?"]
    await talk.end()


@virtual
async def test_a_goodbye_that_is_interrupted_is_none() -> None:
    talk = await Talk(reprompts=0, goodbye="I will hang up the telephone now. Goodbye.").begin()
    await asyncio.sleep(8.5)
    talk.scene.hear(*VOICE)
    talk.scene.words.guess("wait please")
    talk.scene.hear(*PAUSE)
    talk.scene.words.told("Wait please.")
    await asyncio.sleep(0)
    talk.scene.hear(*REST)
    await asyncio.sleep(2)
    assert talk.said[1:] == ["Yes."]
    assert not talk.scene.call.ended
    await talk.end()


@pytest.mark.parametrize("script", [["A long, long answer. " * 20], [HANGS], [Busy(60.0), HANGS]])
@virtual
async def test_a_caller_who_hangs_up_ends_all_that_was_begun(script: list[Step]) -> None:
    talk = await Talk(script).begin()
    await talk.caller("Hello?")
    await asyncio.sleep(2)
    talk.scene.call.end("carrier")
    await asyncio.wait({talk.task})
    assert isinstance(talk.task.exception(), CallEnded)
    assert len(talk.thinker.ends) == 1
    await talk.end()


def test_the_texts_may_be_prompts() -> None:
    assert Manners().filler == "one_moment"
