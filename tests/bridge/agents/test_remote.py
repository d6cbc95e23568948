"""The agent that is elsewhere, on a real call in virtual time; the test commands in its stead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.agents.loader import load_agent
from bridge.agents.remote import GREETING, RemoteOptions, agent
from bridge.agents.remote_desk import MAX_IDS, MAX_WAITING, MUTE_AFTER, STREAM_GAP_S
from bridge.config import AgentConfig
from bridge.errors import ConfigError, LightningError, Unavailable
from bridge.lightning.speech import Synthesis
from bridge.observe import timeline as tl
from bridge.remote import protocol as p
from bridge.remote.door import Trouble
from tests.support.call import Scene, build_call
from tests.support.remote_door import URL, Elsewhere, elsewhere
from tests.support.virtual_time import virtual

SPEECH, SILENCE = [0.95] * 20, [0.01] * 60
LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."


def said(scene: Scene) -> list[tuple[str, str]]:
    return [(entry.heard_text, entry.by) for entry in scene.entries(tl.SpeakingEnded)]


def texts(scene: Scene) -> list[str]:
    return [text for text, _ in said(scene)]


async def speak(scene: Scene) -> None:
    """The caller says something, and falls silent."""
    scene.hear(*SPEECH, *SILENCE)
    await asyncio.sleep(0.1)


async def answered(talk: Elsewhere) -> None:
    """The agent has nothing to say to the call that began."""
    await asyncio.sleep(0.05)
    talk.command({"type": "listen"})
    await asyncio.sleep(0.05)


# -- what it is told ---------------------------------------------------------------------------------------------------


@virtual
async def test_it_is_told_of_the_call_and_of_its_end() -> None:
    talk = elsewhere(build_call(), transfer_to={"sales": "+15550003333"}, custom={"shop": 7})
    await answered(talk)
    talk.scene.call.end("carrier")
    await talk.task
    start, end = talk.door.told
    assert start == p.Start(
        call_id=talk.scene.call.id,
        seq=1,
        carrier="twilio",
        from_="+15550001111",
        to="+15550002222",
        can=list(p.NAMES),
        transfer_to=["sales"],
        custom={"shop": 7},
    )
    assert end == p.End(call_id=talk.scene.call.id, seq=2, reason="carrier", duration_ms=100)


@virtual
async def test_who_may_transfer_to_nobody_is_told_so() -> None:
    talk = elsewhere(build_call())
    await answered(talk)
    assert "transfer" not in talk.told(p.Start)[0].can
    talk.task.cancel()


@virtual
async def test_each_turn_has_a_number() -> None:
    talk = elsewhere(build_call())
    await answered(talk)
    for _ in range(2):
        await speak(talk.scene)
        await answered(talk)
    assert [(turn.number, turn.text) for turn in talk.told(p.Turn)] == [(1, ""), (2, "")]
    assert talk.told(p.Turn)[0].end_ms > talk.told(p.Turn)[0].start_ms
    talk.task.cancel()


@virtual
async def test_keys_are_told_one_by_one_where_nobody_gathers() -> None:
    talk = elsewhere(build_call())
    await answered(talk)
    talk.scene.press("12")
    await asyncio.sleep(0.1)
    assert [event.digits for event in talk.told(p.Digits)] == ["1", "2"]
    talk.task.cancel()


# -- what it commands --------------------------------------------------------------------------------------------------


@virtual
async def test_it_says_in_order_and_is_told_what_was_heard() -> None:
    talk = elsewhere(build_call())
    talk.command(
        {"type": "say", "id": "a", "text": "Good morning."}, {"type": "say", "id": "b", "text": "And?"}
    )
    talk.command({"type": "hang_up"})
    await talk.task
    assert said(talk.scene) == [("Good morning.", ""), ("And?", "")]
    assert [(event.id, event.text, event.ms) for event in talk.told(p.Spoken)] == [
        ("a", "Good morning.", 650),
        ("b", "And?", 200),
    ]
    assert talk.told(p.End)[0].reason == "agent"
    assert talk.scene.line.closes == [(1000, "agent")]


@virtual
async def test_a_text_may_come_in_pieces() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "id": "a", "more": True})
    for piece in ("Tables are free ", "at seven. ", "Shall I book one?"):
        talk.command({"type": "say_more", "id": "a", "text": piece})
        await asyncio.sleep(0.1)
    talk.command({"type": "say_more", "id": "a", "last": True}, {"type": "hang_up"})
    await talk.task
    assert talk.told(p.Spoken)[0].text == "Tables are free at seven. Shall I book one?"


@virtual
async def test_pieces_that_stop_coming_are_all_there_is() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "id": "a", "text": "Tables are", "more": True})
    await asyncio.sleep(STREAM_GAP_S + 2)
    assert [event.text for event in talk.told(p.Spoken)] == ["Tables are"]
    talk.command({"type": "say_more", "id": "a", "text": "free."})  # too late, and nobody is confused by it
    await asyncio.sleep(0.5)
    assert [event.text for event in talk.told(p.Spoken)] == ["Tables are"]
    talk.task.cancel()


@virtual
async def test_pieces_end_where_their_connection_does() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "id": "a", "text": "Tables are", "more": True})
    await asyncio.sleep(0.2)
    talk.door.fail(Trouble("cut", "the connection was closed with 1006"))
    await asyncio.sleep(1)
    assert [event.text for event in talk.told(p.Spoken)] == ["Tables are"]
    assert talk.scene.stats.agents.failures == {"cut": 1}
    talk.task.cancel()


@virtual
async def test_a_text_without_end_is_cut_off() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "id": "a", "more": True})
    for _ in range(p.MAX_STREAMED // p.MAX_TEXT + 1):
        talk.command({"type": "say_more", "id": "a", "text": "x" * p.MAX_TEXT})
    await asyncio.sleep(0.1)
    assert [(event.id, event.reason) for event in talk.told(p.Failed)] == [("a", "too_long")]
    talk.task.cancel()


@virtual
async def test_it_gathers_also_what_was_typed_while_it_asked() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "gather", "id": "pin", "digits": 4, "text": "Your number, please.", "mask": True})
    await asyncio.sleep(0.2)
    talk.scene.press("12")
    await asyncio.sleep(1)
    talk.scene.press("34")
    await asyncio.sleep(0.1)
    assert [(event.id, event.digits, event.by) for event in talk.told(p.Gathered)] == [
        ("pin", "1234", "digits")
    ]
    assert talk.told(p.Digits) == []
    assert {entry.digit for entry in talk.scene.entries(tl.DigitPressed)} == {"•"}
    talk.scene.press("5")
    await asyncio.sleep(0.1)
    assert [event.digits for event in talk.told(p.Digits)] == ["5"]
    assert talk.scene.entries(tl.DigitPressed)[-1].digit == "5"
    talk.task.cancel()


@pytest.mark.parametrize(
    "pressed, digits, by", [("7#", "7", "finish_on"), ("7", "7", "timeout"), ("", "", "timeout")]
)
def test_it_is_told_what_ended_a_gather(pressed: str, digits: str, by: str) -> None:
    @virtual
    async def check() -> None:
        talk = elsewhere(build_call())
        talk.command({"type": "gather", "id": "g", "digits": 3, "timeout_s": 2})
        await asyncio.sleep(0.1)
        talk.scene.press(pressed)
        await asyncio.sleep(2.5)
        assert [(event.digits, event.by) for event in talk.told(p.Gathered)] == [(digits, by)]
        talk.task.cancel()

    check()


@virtual
async def test_it_plays_what_is_always_there() -> None:
    talk = elsewhere(build_call())
    talk.command(
        {"type": "play", "id": "p", "prompt": "beep"}, {"type": "play", "id": "q", "prompt": "no such"}
    )
    await asyncio.sleep(2)
    assert [(event.id, event.ms > 0) for event in talk.told(p.Played)] == [("p", True)]
    assert [(event.id, event.reason) for event in talk.told(p.Failed)] == [("q", "no_such_prompt")]
    talk.task.cancel()


@virtual
async def test_it_presses_keys() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "send_digits", "digits": "12#"}, {"type": "hang_up"})
    await talk.task
    assert [entry.digits for entry in talk.scene.entries(tl.DigitsSent)] == ["12#"]


TRANSFERS = [
    ({}, "sales", "not_allowed", ""),
    ({"transfer_to": {"sales": "+15550003333"}}, "+15550004444", "not_allowed", ""),
    # The scene's Twilio has no account: what matters here is that it was asked.
    ({"transfer_to": {"sales": "+15550003333"}}, "sales", "unsupported", "account_sid"),
    ({"transfer_any": True}, "+15550004444", "unsupported", "account_sid"),
]


@pytest.mark.parametrize("options, to, reason, detail", TRANSFERS)
def test_it_hands_on_to_whom_it_may(options: dict[str, Any], to: str, reason: str, detail: str) -> None:
    @virtual
    async def check() -> None:
        talk = elsewhere(build_call(), **options)
        talk.command({"type": "transfer", "id": "t", "to": to})
        await asyncio.sleep(0.2)
        ((failed),) = talk.told(p.Failed)
        assert (failed.id, failed.reason) == ("t", reason)
        assert detail in failed.detail
        talk.task.cancel()

    check()


@virtual
async def test_what_is_no_command_is_told_and_the_rest_is_done() -> None:
    talk = elsewhere(build_call())
    talk.command(
        {"type": "dance", "id": "d"}, {"type": "gather", "digits": 0, "id": "g"}, {"type": "hang_up"}
    )
    await talk.task
    assert [(event.id, event.reason) for event in talk.told(p.Failed)] == [
        ("d", "unknown_command"),
        ("g", "bad_command"),
    ]


@virtual
async def test_a_command_that_comes_again_is_not_done_twice() -> None:
    talk = elsewhere(build_call())
    for _ in range(2):
        talk.command({"type": "say", "id": "a", "text": "Once."})
    talk.command({"type": "hang_up"})
    await talk.task
    assert texts(talk.scene) == ["Once."]


@virtual
async def test_no_more_waits_than_anybody_means() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "text": LONG})
    await asyncio.sleep(0.1)
    for number in range(MAX_WAITING + 2):
        talk.command({"type": "say", "id": f"n{number}", "text": "More."})
    await asyncio.sleep(0.1)
    assert [event.id for event in talk.told(p.Failed)] == [f"n{MAX_WAITING}", f"n{MAX_WAITING + 1}"]
    talk.task.cancel()


# -- who has the floor -------------------------------------------------------------------------------------------------


@virtual
async def test_interrupted_it_is_told_at_once_and_nothing_more_of_it_is_said() -> None:
    talk = elsewhere(build_call())
    talk.command(
        {"type": "say", "id": "a", "text": LONG},
        {"type": "say", "id": "b", "text": "And then."},
        {"type": "gather", "id": "g", "timeout_s": 1},
    )
    await asyncio.sleep(1)
    talk.scene.hear(*SPEECH)
    await asyncio.sleep(0.05)
    first, second = talk.told(p.Interrupted)
    assert (first.id, first.by) == ("a", "speech")
    assert first.text.startswith("One") and "fourteen" not in first.text
    assert 0 < first.ms < first.total_ms
    assert second == p.Interrupted(call_id=talk.scene.call.id, seq=second.seq, id="b", by="speech")
    await asyncio.sleep(1.5)
    assert [event.id for event in talk.told(p.Gathered)] == ["g"], "what is not heard is still done"
    talk.task.cancel()


@pytest.mark.parametrize(
    "before, command",
    [
        ([], {"barge_in": "off"}),
        ([{"type": "set", "barge_in": "off"}], {}),
        ([{"type": "set", "barge_in": "digits"}], {}),
    ],
)
def test_it_says_what_may_interrupt(before: list[dict[str, Any]], command: dict[str, Any]) -> None:
    @virtual
    async def check() -> None:
        talk = elsewhere(build_call())
        talk.command(*before, {"type": "say", "id": "a", "text": LONG, **command})
        await asyncio.sleep(1)
        talk.scene.hear(*SPEECH, *SILENCE)
        await asyncio.sleep(6)
        assert [event.id for event in talk.told(p.Spoken)] == ["a"]
        talk.task.cancel()

    check()


@virtual
async def test_stop_is_heard_at_once() -> None:
    talk = elsewhere(build_call())
    talk.command(
        {"type": "say", "id": "a", "text": LONG},
        {"type": "say", "id": "b", "text": "And then."},
        {"type": "gather", "id": "g"},
    )
    await asyncio.sleep(1)
    talk.command({"type": "stop"})
    await asyncio.sleep(0.1)
    assert {(event.id, event.by, bool(event.text)) for event in talk.told(p.Interrupted)} == {
        ("a", "stop", True),
        ("b", "stop", False),
    }
    assert [(event.id, event.reason) for event in talk.told(p.Failed)] == [("g", "stopped")]
    talk.command({"type": "say", "id": "c", "text": "Now this."}, {"type": "hang_up"})
    await talk.task
    assert texts(talk.scene)[-1] == "Now this."


@virtual
async def test_stop_ends_a_gather_that_runs() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "gather", "id": "g", "digits": 4, "timeout_s": 60})
    await asyncio.sleep(1)
    talk.scene.press("1")
    await asyncio.sleep(0.1)
    talk.command({"type": "stop"}, {"type": "gather", "id": "h"})
    await asyncio.sleep(0.1)
    talk.scene.press("2")
    await asyncio.sleep(0.1)
    assert [(event.id, event.reason) for event in talk.told(p.Failed)] == [("g", "stopped")]
    assert [(event.id, event.digits) for event in talk.told(p.Gathered)] == [("h", "2")]
    talk.task.cancel()


@virtual
async def test_who_answers_a_turn_of_before_is_too_late() -> None:
    talk = elsewhere(build_call())
    await answered(talk)
    await speak(talk.scene)
    await speak(talk.scene)
    talk.command({"type": "say", "id": "old", "turn": 1, "text": "To the first."})
    talk.command({"type": "say", "id": "new", "turn": 2, "text": "To the second."}, {"type": "hang_up"})
    await talk.task
    assert texts(talk.scene) == ["To the second."]
    assert [(event.id, event.reason) for event in talk.told(p.Failed)] == [("old", "stale")]


@virtual
async def test_what_waited_until_the_caller_went_on_is_too_late_as_well() -> None:
    talk = elsewhere(build_call())
    await answered(talk)
    await speak(talk.scene)
    talk.command(
        {"type": "say", "turn": 1, "text": LONG, "barge_in": "off"},
        {"type": "say", "id": "b", "turn": 1, "text": "Goodbye."},
        {"type": "hang_up", "id": "h", "turn": 1},
    )
    await asyncio.sleep(0.5)
    await speak(talk.scene)
    await asyncio.sleep(7)
    assert [event.number for event in talk.told(p.Turn)] == [1, 2]
    assert [(event.id, event.reason) for event in talk.told(p.Failed)] == [("b", "stale"), ("h", "stale")]
    assert not talk.scene.call.ended
    talk.task.cancel()


@virtual
async def test_the_next_text_without_an_id_ends_the_one_before() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "text": "One.", "more": True}, {"type": "say", "text": "Two.", "more": True})
    talk.command({"type": "say_more", "last": True}, {"type": "hang_up"})
    await asyncio.sleep(3)
    assert [event.text for event in talk.told(p.Spoken)] == ["One.", "Two."]
    await talk.task


@virtual
async def test_commands_without_an_id_are_not_remembered() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "id": "a", "text": "Once."})
    for _ in range(MAX_IDS // 32):
        talk.command(*[{"type": "transfer", "to": "nobody"}] * 32)
        await asyncio.sleep(0.5)
    talk.command({"type": "say", "id": "a", "text": "Once."}, {"type": "hang_up"})
    await talk.task
    assert texts(talk.scene) == ["Once."]


@virtual
async def test_nothing_follows_the_end() -> None:
    talk = elsewhere(build_call())
    await answered(talk)
    talk.scene.call.end("carrier")
    await talk.task
    before = list(talk.kinds)
    talk.command({"type": "dance"}, {"type": "say", "turn": 7, "text": "Too late."}, {"type": "stop"})
    await asyncio.sleep(1)
    assert talk.kinds == before and before[-1] == "end"
    assert not talk.door._outbox.waiting  # what would be sent, were there still time


# -- manners -----------------------------------------------------------------------------------------------------------


@virtual
async def test_the_bridge_greets_while_the_agent_is_connected_to() -> None:
    talk = elsewhere(build_call(), greeting="Welcome.")
    await asyncio.sleep(6)
    assert texts(talk.scene) == ["Welcome."], "nobody waits for an answer to that"
    assert [(event.id, event.text) for event in talk.told(p.Spoken)] == [(GREETING, "Welcome.")]
    talk.task.cancel()


@virtual
async def test_a_caller_who_interrupts_the_greeting_is_heard() -> None:
    talk = elsewhere(build_call(), greeting=LONG)
    await asyncio.sleep(1)
    await speak(talk.scene)
    assert [(event.id, event.by) for event in talk.told(p.Interrupted)] == [(GREETING, "speech")]
    assert [event.number for event in talk.told(p.Turn)] == [1]
    talk.task.cancel()


@virtual
async def test_who_thinks_long_is_filled_in_for_and_still_heard() -> None:
    talk = elsewhere(build_call())
    await answered(talk)
    await speak(talk.scene)
    await asyncio.sleep(3)
    assert texts(talk.scene) == ["One moment, please."]
    talk.command({"type": "say", "turn": 1, "text": "Here it is."}, {"type": "hang_up"})
    await talk.task
    assert texts(talk.scene) == ["One moment, please.", "Here it is."]
    assert talk.scene.stats.agents.apologies == 0


@virtual
async def test_who_thinks_very_long_is_filled_in_for_again_and_again() -> None:
    talk = elsewhere(build_call(), apology_after_s=12.0, filler_every_s=4.0)
    await asyncio.sleep(11.5)
    assert texts(talk.scene) == ["One moment, please."] * 2
    talk.command({"type": "say", "text": "Here it is."}, {"type": "hang_up"})
    await talk.task


@pytest.mark.parametrize("when_s", [4.9, 5.1])
def test_who_hangs_is_counted_once(when_s: float) -> None:
    """The one request gives up at the time at which the caller is apologised to."""

    @virtual
    async def check() -> None:
        talk = elsewhere(build_call(), apology="Sorry.")
        await asyncio.sleep(when_s)
        talk.door.fail(Trouble("hung", "no answer within 5 s", in_vain=True))
        await asyncio.sleep(2)
        assert texts(talk.scene)[-1] == "Sorry."
        assert talk.scene.stats.agents.failures == {"hung": 1}
        talk.task.cancel()

    check()


@virtual
async def test_who_thinks_too_long_is_apologised_for_and_then_given_up() -> None:
    talk = elsewhere(build_call(), apology="Sorry.", giving_up="Goodbye for today.")
    for _ in range(2):  # the first one is the call itself
        await asyncio.sleep(6)
        await speak(talk.scene)
    await asyncio.sleep(8)
    await talk.task
    filler = "One moment, please."
    assert texts(talk.scene) == [filler, "Sorry.", filler, "Sorry.", filler, "Goodbye for today."]
    assert talk.scene.line.closes == [(1000, "agent")]
    assert talk.scene.stats.agents.failures == {"hung": 3}
    assert talk.scene.stats.agents.apologies == 2


@virtual
async def test_who_cannot_be_handed_on_either_is_told_goodbye() -> None:
    talk = elsewhere(
        build_call(),
        failures=1,
        failure_transfer="+15550009999",
        handing_on="Hold on.",
        giving_up="Goodbye for today.",
    )
    await talk.task
    assert texts(talk.scene) == ["One moment, please.", "Hold on.", "Goodbye for today."]
    assert talk.scene.line.closes == [(1000, "agent")]


@virtual
async def test_an_answer_is_a_new_beginning() -> None:
    talk = elsewhere(build_call(), apology="Sorry.", failures=2)
    for _ in range(3):
        await asyncio.sleep(6)
        talk.command({"type": "listen"})
        await speak(talk.scene)
    assert texts(talk.scene).count("Sorry.") == 3
    assert not talk.scene.call.ended
    talk.task.cancel()


@virtual
async def test_who_will_not_answer_is_apologised_for_without_waiting() -> None:
    talk = elsewhere(build_call(), apology="Sorry.")
    await asyncio.sleep(0.2)
    talk.door.fail(Trouble("server", "HTTP 500", in_vain=True))
    await asyncio.sleep(1)
    assert texts(talk.scene) == ["Sorry."]
    assert talk.scene.stats.agents.failures == {"server": 1}
    assert [entry.failure for entry in talk.scene.entries(tl.ThinkingFailed)] == ["server"]
    talk.task.cancel()


@virtual
async def test_a_silent_caller_is_asked_and_then_left() -> None:
    talk = elsewhere(build_call(), reprompt=["Hello?"], goodbye="Bye.", idle_s=2.0)
    await answered(talk)
    await talk.task
    assert texts(talk.scene) == ["Hello?", "Hello?", "Bye."]
    assert [event.times for event in talk.told(p.Idle)] == [1, 2, 3]
    assert talk.scene.stats.agents.reprompts == 2
    assert talk.scene.line.closes == [(1000, "agent")]


@virtual
async def test_without_a_reprompt_silence_is_the_agents_business() -> None:
    talk = elsewhere(build_call(), reprompt=[], idle_s=2.0)
    await answered(talk)
    await asyncio.sleep(9)
    assert [event.times for event in talk.told(p.Idle)] == [1, 2, 3, 4]
    assert said(talk.scene) == []
    talk.task.cancel()


@virtual
async def test_who_is_asked_for_keys_is_not_asked_whether_they_are_there() -> None:
    talk = elsewhere(build_call(), idle_s=2.0)
    talk.command({"type": "gather", "timeout_s": 10})
    await asyncio.sleep(9)
    assert talk.told(p.Idle) == []
    talk.task.cancel()


@virtual
async def test_a_voice_that_fails_is_told_and_at_last_ends_the_call() -> None:
    scene = build_call()

    def refuse(_number: int, synthesis: Synthesis) -> None:
        synthesis.finish(Unavailable("gone", code="dropped"))

    scene.lightning.script = refuse
    talk = elsewhere(scene)
    for number in range(MUTE_AFTER):
        talk.command({"type": "say", "id": f"s{number}", "text": "Nobody hears this."})
    with pytest.raises(LightningError):
        await talk.task
    assert [event.reason for event in talk.told(p.Failed)] == ["voice"] * MUTE_AFTER


@virtual
async def test_a_caller_who_hangs_up_while_it_speaks_ends_it() -> None:
    talk = elsewhere(build_call())
    talk.command({"type": "say", "text": LONG})
    await asyncio.sleep(0.5)
    talk.scene.call.end("carrier")
    await talk.task
    assert talk.kinds == ["start", "end"]


# -- options -----------------------------------------------------------------------------------------------------------

WRONG = [
    ({}, "url"),
    ({"url": "ftp://agent.example/"}, "wss://"),
    ({"url": "ws://agent.example/"}, "wss://"),
    ({"url": "http://agent.example/"}, "https://"),
    ({"url": "wss://agent.example/"}, "secret"),
    ({"url": "wss://user:pass@agent.example/", "secret": "s"}, "no user"),
    ({"url": "wss://agent.example:x/", "secret": "s"}, "url"),
    ({"url": URL, "idle_s": 0}, "idle_s"),
    ({"url": URL, "secrt": "s"}, "secret"),
]


@pytest.mark.parametrize("options, named", WRONG)
def test_wrong_options_are_refused_at_start(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        load_agent(AgentConfig(entrypoint="bridge.agents.remote:agent", options=options))
    assert refused.value.key.startswith("agent.options")


@pytest.mark.parametrize(
    "options",
    [
        {"url": "wss://agent.example/a?b=c", "secret": "s"},
        {"url": "https://agent.example/", "secret": "s"},
        {"url": "http://localhost:8080/"},
        {"url": "ws://agent.example/", "insecure": True},
    ],
)
def test_good_options_are_taken(options: dict[str, Any]) -> None:
    assert load_agent(AgentConfig(entrypoint="bridge.agents.remote:agent", options=options)) is agent


def test_its_secret_is_not_shown() -> None:
    from bridge.secret import Secret

    assert "hush" not in repr(RemoteOptions(url=URL, secret=Secret("hush")))
