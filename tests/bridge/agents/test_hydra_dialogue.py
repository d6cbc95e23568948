"""A call that Hydra holds, in virtual time: what the caller hears, and what Hydra is told."""

from __future__ import annotations

import asyncio

import pytest

from bridge.config import BargeInMode
from bridge.errors import CallEnded, ThinkerError, ThinkerFailure
from bridge.observe import timeline as tl
from bridge.prompts import one_moment
from bridge.tools import tool_of
from tests.support.call import Scene, build_call
from tests.support.hydra import Talk, talk
from tests.support.virtual_time import virtual


def said(scene: Scene) -> list[tuple[str, int, str]]:
    """Of every utterance: what was heard of it, in words and in tenths of a second, and what it was cut short by."""
    return [(e.heard_text, round(e.heard_ms / 100), e.by) for e in scene.entries(tl.SpeakingEnded)]


def texts(scene: Scene) -> list[str]:
    return [text for text, _, _ in said(scene)]


def cancelled(held: Talk) -> list[str]:
    return [each["response_id"] for each in held.session.told if each["type"] == "response.cancel"]


# -- answers -----------------------------------------------------------------------------------------------------------


@virtual
async def test_the_caller_goes_up_and_answers_come_down_in_order() -> None:
    scene = build_call()
    held = await talk(scene)
    await scene.talk(400)
    held.session.speaks("a", 500, text="First. ")
    held.session.speaks("b", 300, text="Second.")
    await asyncio.sleep(2)
    assert held.session.heard_ms == pytest.approx(400, abs=25)
    assert said(scene) == [("First.", 5, ""), ("Second.", 3, "")]
    assert scene.stats.hydra.answers == 2
    await held.end()


@virtual
async def test_hydras_news_that_the_caller_speaks_clears_the_line_at_once() -> None:
    scene = build_call()
    held = await talk(scene)
    held.session.begins("a", 5000, text="One two three four five six seven eight nine ten.")
    await asyncio.sleep(1)
    assert scene.kinds == ["mark"] * len(scene.kinds)
    held.session.hears_the_caller()
    await asyncio.sleep(0.001)
    assert scene.kinds[-1] == "clear"
    sent = len(scene.trace)
    held.session.goes_on("a", 1000)
    held.session.ends("a", "cancelled", "interrupted")
    await asyncio.sleep(3)
    assert len(scene.trace) == sent, "what still arrives of it is not heard"
    ((text, tenths, by),) = said(scene)
    assert (text, tenths, by) == ("One two", 10, "speech")
    assert cancelled(held) == ["a"]
    assert scene.stats.hydra.stale_messages == 1
    await held.end()


@pytest.mark.parametrize("complete", [False, True], ids=["Hydra still speaks", "Hydra has said it all"])
@virtual
async def test_the_bridges_own_detector_may_be_first(complete: bool) -> None:
    scene = build_call()
    held = await talk(scene)
    held.session.begins("a", 5000)
    if complete:
        held.session.ends("a")
    await asyncio.sleep(1)
    scene.hear(0.9, 0.9, 0.9)
    await asyncio.sleep(0.001)
    assert scene.kinds[-1] == "clear"
    assert cancelled(held) == ([] if complete else ["a"])
    held.session.hears_the_caller()
    await asyncio.sleep(1)
    assert scene.kinds.count("clear") == 1
    assert scene.stats.hydra.interrupted == 1
    await held.end()


@virtual
async def test_an_answer_that_begins_before_the_sound_of_another_is_all_there_replaces_it() -> None:
    scene = build_call()
    held = await talk(scene)
    held.session.begins("a", 5000, "One two three four five six seven eight.")
    await asyncio.sleep(0.5)
    held.session.speaks("b", 500, "No, nine.")
    await asyncio.sleep(2)
    assert said(scene) == [("One", 5, "speech"), ("No, nine.", 5, "")]
    await held.end()


@virtual
async def test_how_long_the_caller_waited_begins_where_hydra_heard_them_end() -> None:
    scene = build_call()
    held = await talk(scene)
    await scene.talk(600)
    held.session.hears_the_caller()
    ended_ms = scene.call.now_ms
    await scene.be_silent(400)
    held.session.says("input_audio_buffer.speech_stopped", audio_end_ms=held.session.heard_ms - 400)
    await asyncio.sleep(0.2)
    held.session.speaks("a", 500)
    await asyncio.sleep(2)
    (turn,) = scene.entries(tl.TurnTimed)
    assert turn.outcome == "answered"
    assert turn.speech_end_ms == pytest.approx(ended_ms, abs=25)
    assert turn.audible_ms is not None
    assert turn.audible_ms - ended_ms == pytest.approx(600, abs=40)
    await held.end()


@virtual
async def test_tokens_are_counted() -> None:
    scene = build_call()
    held = await talk(scene)
    held.session.ends("unknown", tokens=5)
    held.session.begins("a", 100)
    held.session.ends("a", tokens=120)
    await asyncio.sleep(1)
    assert scene.stats.agents.tokens == 120
    await held.end()


# -- what must never be heard, or done ---------------------------------------------------------------------------------


def heard_ms(scene: Scene) -> float:
    return sum(entry.heard_ms for entry in scene.entries(tl.SpeakingEnded))


@pytest.mark.parametrize("by", ["Hydra", "the detector", "a key"])
@virtual
async def test_an_answer_that_waits_behind_the_one_that_is_cut_short_is_not_heard_either(by: str) -> None:
    scene = build_call()
    held = await talk(scene)
    held.session.speaks("a", 5000)
    held.session.begins("b", 5000)
    await asyncio.sleep(1)
    if by == "Hydra":
        held.session.hears_the_caller()
    elif by == "a key":
        scene.press("5")
    else:
        scene.hear(0.9, 0.9, 0.9)
    await asyncio.sleep(0.001)
    sent = len(scene.audio)
    held.session.goes_on("b", 1000)
    await asyncio.sleep(6)
    assert len(scene.audio) == sent
    assert cancelled(held) == ["b"]
    await held.end()


@virtual
async def test_interrupted_before_its_first_sound_an_answer_is_never_heard() -> None:
    scene = build_call()
    held = await talk(scene)
    held.session.says("response.created", response={"id": "a"})
    held.session.hears_the_caller()
    held.session.goes_on("a", 1000)
    held.session.ends("a")
    held.session.goes_on("a", 1000)
    await asyncio.sleep(3)
    assert scene.audio == b""
    assert scene.stats.hydra.stale_messages == 2
    await held.end()


@virtual
async def test_interrupted_while_a_session_is_opened_anew_the_old_one_is_not_heard_any_more() -> None:
    scene = build_call()
    held = await talk(scene, 0.0, 2.0)
    held.session.begins("a", 5000)
    await asyncio.sleep(0.5)
    held.session.breaks(ThinkerError("cut"))
    await asyncio.sleep(0.5)
    scene.hear(0.9, 0.9, 0.9)
    await asyncio.sleep(4)
    assert said(scene)[0][1:] == (10, "speech")
    assert len(held.hydra.sessions) == 2
    await held.end()


@pytest.mark.parametrize("complete", [True, False], ids=["said to be complete", "complete with its answer"])
@virtual
async def test_what_an_answer_asks_for_that_was_cut_short_is_not_done(complete: bool) -> None:
    scene = build_call()
    done: list[str] = []

    async def leave() -> None:
        """Leave."""
        done.append("left")

    held = await talk(scene, tools=lambda _: [tool_of(leave)])
    held.session.begins("a", 5000)
    await asyncio.sleep(1)
    held.session.hears_the_caller()
    if complete:
        held.session.calls("a", "c1", "leave")
    else:
        held.session.says("response.function_call_arguments.delta", call_id="c1", name="leave", delta="{}")
        held.session.ends("a")
    await asyncio.sleep(1)
    assert done == []
    outputs = [each["item"]["output"] for each in held.session.told if "item" in each]
    assert outputs == ["not done: the caller has gone on speaking: listen to them first"]
    await held.end()


@virtual
async def test_whose_function_call_it_is_says_its_id() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.says("response.created", response={"id": "a"})
    held.session.says("response.output_audio.done", response_id="a")
    held.session.says("response.created", response={"id": "b"})
    held.session.calls("a", "c1", "look_up", '{"what": "x"}')
    held.session.ends("b", "cancelled")
    held.session.ends("a")
    await asyncio.sleep(0.1)
    assert [each["item"]["output"] for each in held.session.told if "item" in each] == ["x is 7"]
    await held.end()


@virtual
async def test_what_comes_of_a_function_while_the_caller_speaks_is_told_and_hydra_is_not_asked_to_go_on() -> (
    None
):
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.says("response.created", response={"id": "a"})
    held.session.calls("a", "c1", "look_up", '{"what": "x", "after_s": 1.0}')
    held.session.ends("a")
    await asyncio.sleep(0.5)
    held.session.hears_the_caller()
    await asyncio.sleep(1)
    assert held.session.told_kinds == ["conversation.item.create"]
    held.session.hears_the_end()
    held.session.speaks("b", 500)
    await asyncio.sleep(2)
    assert held.session.told_kinds == ["conversation.item.create"], "that was the answer to both"
    await held.end()


@virtual
async def test_an_old_function_that_is_still_at_work_does_not_hold_up_a_new_one() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.says("response.created", response={"id": "a"})
    held.session.calls("a", "c1", "look_up", '{"what": "x", "after_s": 10.0}')
    held.session.ends("a")
    await asyncio.sleep(0.5)
    await turn_of(held)
    held.session.says("response.created", response={"id": "b"})
    held.session.calls("b", "c2", "look_up", '{"what": "y"}')
    held.session.ends("b")
    await asyncio.sleep(0.5)
    assert held.session.told_kinds[-1] == "response.create"
    await held.end()


@virtual
async def test_hydra_cannot_go_on_from_functions_for_ever() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)], apology="Sorry.")
    for number in range(20):
        held.session.says("response.created", response={"id": f"a{number}"})
        held.session.calls(f"a{number}", f"c{number}", "look_up", '{"what": "x"}')
        held.session.ends(f"a{number}")
        await asyncio.sleep(0.1)
        if scene.stats.agents.failures:
            break
    assert held.session.told_kinds.count("response.create") == 8
    await asyncio.sleep(2)
    assert texts(scene) == ["Sorry."]
    await held.end()


@virtual
async def test_so_many_functions_at_once_are_a_flood() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    for number in range(17):
        held.session.says("response.created", response={"id": f"a{number}"})
        held.session.calls(f"a{number}", f"c{number}", "look_up", '{"what": "x", "after_s": 9}')
        held.session.ends(f"a{number}")
    await asyncio.sleep(0.1)
    assert scene.stats.agents.failures == {"flood": 1}
    await held.end()


@virtual
async def test_a_transfer_of_the_same_answer_is_not_held_up_by_one_that_hydra_never_ends() -> None:
    scene = build_call()
    done: list[str] = []

    def tools(dialogue):  # type: ignore[no-untyped-def]
        async def leave() -> None:
            """Leave."""
            await dialogue.all_heard()
            done.append("left")

        return [tool_of(leave, deadline_s=60)]

    held = await talk(scene, tools=tools)
    held.session.begins("a", 1000)
    await asyncio.sleep(0.5)
    held.session.hears_the_caller()  # and "a" has no end
    held.session.hears_the_end()
    held.session.begins("b", 1000)
    held.session.calls("b", "c1", "leave")
    held.session.ends("b")
    await asyncio.sleep(3)
    assert done == ["left"]
    await held.end()


# -- with a transcriber, a voice pauses before it interrupts -----------------------------------------------------------


@virtual
async def test_noise_pauses_an_answer_and_it_goes_on() -> None:
    scene = build_call(transcribed=True)
    held = await talk(scene)
    held.session.begins("a", 5000)
    await asyncio.sleep(1)
    await scene.talk(250)
    assert scene.kinds[-1] == "clear"
    held.session.goes_on("a", 1000)
    held.session.says("response.output_audio.done", response_id="a")
    held.session.ends("a")
    await scene.be_silent(9000)
    assert said(scene) == [("", 60, "")]
    assert len(scene.entries(tl.Resumed)) == 1
    assert cancelled(held) == []
    assert scene.stats.agents.failures == {}
    await held.end()


@virtual
async def test_hydras_news_ends_what_the_voice_has_paused() -> None:
    scene = build_call(transcribed=True)
    held = await talk(scene)
    held.session.begins("a", 5000)
    await asyncio.sleep(1)
    await scene.talk(250)
    sent = len(scene.audio)
    held.session.hears_the_caller()
    held.session.goes_on("a", 1000)
    await scene.be_silent(9000)
    assert len(scene.audio) == sent
    assert [by for _, _, by in said(scene)] == ["speech"]
    assert scene.entries(tl.Resumed) == []
    assert scene.kinds.count("clear") == 1
    assert cancelled(held) == ["a"]
    await held.end()


@pytest.mark.parametrize(("mode", "silenced"), [("off", False), ("digits", False), ("speech", True)])
@virtual
async def test_the_detector_obeys_the_mode_and_hydras_news_does_not(
    mode: BargeInMode, silenced: bool
) -> None:
    scene = build_call(mode=mode)
    held = await talk(scene)
    held.session.begins("a", 5000)
    await asyncio.sleep(1)
    scene.hear(0.9, 0.9, 0.9)
    await asyncio.sleep(0.001)
    assert ("clear" in scene.kinds) == silenced
    held.session.hears_the_caller()
    await asyncio.sleep(0.001)
    assert scene.kinds.count("clear") == 1
    await held.end()


# -- waits -------------------------------------------------------------------------------------------------------------


async def turn_of(held: Talk) -> None:
    await held.scene.talk(600)
    held.session.hears_the_caller()
    held.session.hears_the_end()
    await asyncio.sleep(0.01)


@virtual
async def test_who_waits_hears_a_filler_an_apology_and_the_third_time_a_goodbye() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.", giving_up="Goodbye.")
    heard: list[list[str]] = []
    for _ in range(3):
        before = len(texts(scene))
        await turn_of(held)
        await asyncio.sleep(9)
        heard.append(texts(scene)[before:])
    moment = one_moment().text
    assert heard == [[moment, "Sorry."], [moment, "Sorry."], [moment, "Goodbye."]]
    assert scene.call.ended == "agent"
    assert scene.stats.agents.failures == {"hung": 3}
    assert [turn.outcome for turn in scene.entries(tl.TurnTimed)] == ["failed"] * 3
    assert len(held.hydra.sessions) == 2, "after the second, another session is tried"
    await held.end()


@virtual
async def test_an_answer_after_the_filler_is_heard_and_nothing_has_failed() -> None:
    scene = build_call()
    held = await talk(scene)
    await turn_of(held)
    await asyncio.sleep(2)
    held.session.speaks("a", 500, text="Here.")
    await asyncio.sleep(10)
    assert texts(scene) == [one_moment().text, "Here."]
    assert scene.stats.agents.failures == {}
    await held.end()


@virtual
async def test_a_turn_that_hydra_has_not_heard_of_is_noticed_all_the_same() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    await scene.talk(900)
    await scene.be_silent(800)
    await asyncio.sleep(8)
    assert texts(scene) == [one_moment().text, "Sorry."]
    await held.end()


@pytest.mark.parametrize("ms", [200, 500])
@virtual
async def test_a_cough_is_no_turn_that_hydra_must_have_heard(ms: float) -> None:
    scene = build_call()
    held = await talk(scene)
    await scene.talk(ms)
    await scene.be_silent(800)
    await asyncio.sleep(8)
    assert texts(scene) == []
    await held.end()


@virtual
async def test_an_answer_that_failed_is_apologised_for_at_once() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    await turn_of(held)
    held.session.says("response.created", response={"id": "a"})
    held.session.ends("a", "failed")
    await asyncio.sleep(1.1)
    assert texts(scene) == ["Sorry."]
    assert scene.stats.agents.failures == {"server": 1}
    await held.end()


@virtual
async def test_a_caller_who_says_nothing_is_asked_and_then_said_goodbye_to() -> None:
    scene = build_call()
    held = await talk(scene, idle_s=4.0, reprompt=["Hello?"], goodbye="Bye.")
    held.session.speaks("a", 500, text="Good day.")
    await asyncio.wait_for(held.task, 30)
    assert texts(scene) == ["Good day.", "Hello?", "Hello?", "Bye."]
    assert scene.call.ended == "agent"
    assert scene.stats.agents.reprompts == 2
    await held.end()


@virtual
async def test_a_caller_who_speaks_again_is_not_said_goodbye_to() -> None:
    scene = build_call()
    held = await talk(scene, idle_s=4.0, reprompt=["Hello?"], goodbye="Bye.")
    for number in range(4):
        await asyncio.sleep(5)
        await turn_of(held)
        held.session.speaks(f"answer{number}", 500, text="Yes.")
    assert "Bye." not in texts(scene)
    await held.end()


@virtual
async def test_an_answer_that_stops_in_the_middle_is_apologised_for() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    held.session.begins("a", 1000, text="Half of what")
    await asyncio.sleep(12)
    assert texts(scene) == ["Half of what", "Sorry."]
    assert scene.stats.agents.failures == {"hung": 1}
    assert cancelled(held) == ["a"]
    await held.end()


@virtual
async def test_a_caller_of_whom_hydra_never_hears_the_end_is_not_left_in_silence() -> None:
    scene = build_call()
    held = await talk(scene, idle_s=4.0, reprompt=["Hello?"], goodbye="Bye.")
    held.session.hears_the_caller()
    await asyncio.sleep(25)
    assert texts(scene) == [], "they may still speak"
    await asyncio.wait_for(held.task, 60)
    assert texts(scene) == ["Hello?", "Hello?", "Bye."]
    await held.end()


@virtual
async def test_a_hydra_that_hangs_is_noticed_although_the_callers_audio_lags_behind_the_call() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    await asyncio.sleep(5)  # the line was lost meanwhile
    held.session.speaks("a", 300)
    await asyncio.sleep(2)
    began_ms = scene.call.now_ms
    await scene.talk(900)
    await scene.be_silent(800)
    await asyncio.sleep(8)
    assert texts(scene)[1:] == [one_moment().text, "Sorry."]
    (turn,) = scene.entries(tl.TurnTimed)
    assert turn.speech_end_ms == pytest.approx(began_ms + 900, abs=50)
    await held.end()


# -- function calls ----------------------------------------------------------------------------------------------------


async def look_up(what: str, after_s: float = 0.0) -> str:
    """Look something up."""
    await asyncio.sleep(after_s)
    return f"{what} is 7"


@virtual
async def test_outputs_of_all_calls_come_first_and_then_one_request_to_go_on() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.says("response.created", response={"id": "a"})
    held.session.calls("a", "c1", "look_up", '{"what": "x", "after_s": 0.5}')
    held.session.calls("a", "c2", "look_up", '{"what": "y"}')
    await asyncio.sleep(0.1)
    assert held.session.told_kinds == ["conversation.item.create"], "its answer is not over"
    held.session.ends("a")
    await asyncio.sleep(1)
    items = [each["item"] for each in held.session.told if each["type"] == "conversation.item.create"]
    assert [(item["call_id"], item["output"]) for item in items] == [("c2", "y is 7"), ("c1", "x is 7")]
    assert held.session.told_kinds == ["conversation.item.create"] * 2 + ["response.create"]
    assert scene.stats.agents.tools == {"done": 2}
    await held.end()


@virtual
async def test_a_call_that_nobody_says_is_complete_is_when_its_answer_is() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.says("response.created", response={"id": "a"})
    for bit, name in (('{"what"', "look_up"), (': "x"}', None)):
        held.session.says("response.function_call_arguments.delta", call_id="c1", name=name, delta=bit)
    held.session.ends("a")
    await asyncio.sleep(0.1)
    assert held.session.told[0]["item"]["output"] == "x is 7"
    await held.end()


@virtual
async def test_fillers_cover_a_tool_that_takes_its_time() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)], filler_every_s=3.0)
    held.session.says("response.created", response={"id": "a"})
    held.session.calls("a", "c1", "look_up", '{"what": "x", "after_s": 8.0}')
    held.session.ends("a")
    await asyncio.sleep(8.5)
    held.session.speaks("b", 500, text="Seven.")
    await asyncio.sleep(10)
    moment = one_moment().text
    assert texts(scene) == [moment, moment, "Seven."]
    assert scene.stats.agents.failures == {}
    await held.end()


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("no_such", "{}", "refused: there is no such tool; there are look_up"),
        ("look_up", "[1]", "refused: the arguments are not a JSON object"),
        ("look_up", '{"what": {}}', "refused: "),
    ],
)
@virtual
async def test_what_cannot_be_called_is_told_to_hydra(name: str, arguments: str, output: str) -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.says("response.created", response={"id": "a"})
    held.session.calls("a", "c1", name, arguments)
    held.session.ends("a")
    await asyncio.sleep(0.1)
    assert held.session.told[0]["item"]["output"].startswith(output)
    await held.end()


@pytest.mark.parametrize("interrupted", [False, True])
@virtual
async def test_what_was_said_before_a_call_is_heard_before_it_is_done_unless_the_caller_goes_on(
    interrupted: bool,
) -> None:
    scene = build_call()
    done: list[float] = []

    def tools(dialogue):  # type: ignore[no-untyped-def]
        async def leave() -> None:
            """Leave."""
            await dialogue.all_heard()
            done.append(scene.call.now_ms)

        return [tool_of(leave, deadline_s=60)]

    held = await talk(scene, tools=tools)
    held.session.begins("a", 2000, text="Goodbye, and thank you for calling us today.")
    held.session.calls("a", "c1", "leave")
    held.session.ends("a")
    await asyncio.sleep(1)
    assert done == []
    if interrupted:
        held.session.hears_the_caller()
    await asyncio.sleep(2)
    assert len(done) == (not interrupted)
    outputs = [each["item"]["output"] for each in held.session.told if "item" in each]
    assert outputs == (
        ["failed: the caller has gone on speaking: listen to them first"] if interrupted else ["done"]
    )
    await held.end()


# -- sessions ----------------------------------------------------------------------------------------------------------


@virtual
async def test_hydra_greets_in_the_first_session_only() -> None:
    scene = build_call()
    held = await talk(scene, greeting="Good day.")
    first = held.session.settings
    assert first.speaks_first
    assert first.instructions == "Be brief.\n\nBegin the conversation with: Good day."
    held.session.speaks("a", 300)
    await asyncio.sleep(30)
    held.session.is_idle()
    await asyncio.sleep(0.1)
    assert len(held.hydra.sessions) == 2
    assert not held.session.settings.speaks_first
    assert held.session.settings.instructions == "Be brief."
    await asyncio.sleep(8)
    assert len(texts(scene)) == 1, "nobody has to apologise for idleness"
    await held.end()


@virtual
async def test_a_filler_is_heard_while_the_first_session_takes_its_time_and_the_caller_is_not_lost() -> None:
    scene = build_call()
    held = await talk(scene, 3.0)
    await scene.talk(500)
    await scene.be_silent(2400)
    assert texts(scene) == [one_moment().text]
    await asyncio.sleep(0.2)
    await scene.talk(1400)
    assert held.session.heard_ms == pytest.approx(1000 + 1400, abs=60), (
        "the last second of what was said before"
    )
    assert scene.stats.hydra.lost_ms == pytest.approx(1900, abs=60)
    await held.end()


@pytest.mark.parametrize(
    ("kind", "tries"),
    [("unauthorized", 1), ("request", 1), ("busy", 3), ("unreachable", 3), ("hung", 3)],
)
@virtual
async def test_without_a_session_the_caller_is_told_and_the_call_ends(
    kind: ThinkerFailure, tries: int
) -> None:
    scene = build_call()
    held = await talk(scene, *[ThinkerError(kind)] * 5, giving_up="Goodbye.")
    await asyncio.wait_for(held.task, 10)
    assert texts(scene)[-1:] == ["Goodbye."]
    assert scene.call.ended == "agent"
    assert scene.stats.hydra.refusals == {kind: tries}
    assert len(held.hydra.attempts) == 5 - tries
    await held.end()


@virtual
async def test_one_that_is_full_for_a_moment_is_tried_again() -> None:
    scene = build_call()
    held = await talk(scene, ThinkerError("busy"), ThinkerError("busy"))
    await asyncio.sleep(3)
    held.session.speaks("a", 300, text="Here I am.")
    await asyncio.sleep(1)
    assert texts(scene)[-1:] == ["Here I am."]
    await held.end()


@pytest.mark.parametrize("kind", ["cut", "garbage", "flood"])
@virtual
async def test_a_session_that_breaks_is_opened_anew_with_an_apology_after_what_it_has_said(
    kind: ThinkerFailure,
) -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    held.session.begins("a", 1000, text="Half of what")
    await asyncio.sleep(0.2)
    held.session.breaks(ThinkerError(kind))
    await asyncio.sleep(3)
    assert said(scene)[0] == ("Half of what", 10, "")
    assert texts(scene) == ["Half of what", "Sorry."]
    assert len(held.hydra.sessions) == 2
    assert held.hydra.sessions[0].closed
    held.session.speaks("b", 300, text="I am back.")
    await asyncio.sleep(1)
    assert texts(scene)[-1] == "I am back."
    assert scene.stats.hydra.dropped_sessions == 1
    assert scene.stats.agents.failures == {kind: 1}
    await held.end()


@virtual
async def test_one_that_breaks_again_and_again_ends_the_call_politely() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.", giving_up="Goodbye.")
    for _ in range(3):
        held.session.breaks(ThinkerError("cut"))
        await asyncio.sleep(2)
    await asyncio.wait_for(held.task, 10)
    assert texts(scene) == ["Sorry.", "Sorry.", "Goodbye."]
    assert scene.call.ended == "agent"
    await held.end()


@virtual
async def test_one_that_is_closed_as_soon_as_it_is_open_is_broken_and_not_idle() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.", giving_up="Goodbye.")
    for _ in range(3):
        held.session.is_idle()
        await asyncio.sleep(0.05)
    await asyncio.wait_for(held.task, 20)
    assert texts(scene)[-1] == "Goodbye."
    await held.end()


@virtual
async def test_an_answer_without_end_is_a_broken_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.hydra.answers.MOST_MS", 2000)
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    held.session.begins("a", 1900)
    await asyncio.sleep(1)
    assert scene.stats.agents.failures == {}
    held.session.goes_on("a", 200)
    await asyncio.sleep(1)
    assert scene.stats.agents.failures == {"flood": 1}
    await held.end()


@virtual
async def test_answers_that_nobody_has_heard_yet_do_not_pile_up() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    for number in range(12):
        held.session.speaks(f"a{number}", 1000)
    await asyncio.sleep(0.5)
    assert scene.stats.agents.failures == {"flood": 1}
    assert scene.stats.hydra.answers == 8
    await held.end()


@virtual
async def test_sessions_that_are_closed_every_few_seconds_are_not_idle() -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.", giving_up="Goodbye.")
    for _ in range(3):
        await asyncio.sleep(3)
        held.session.is_idle()
    await asyncio.wait_for(held.task, 20)
    assert texts(scene)[-1] == "Goodbye."
    assert len(held.hydra.sessions) == 3, "none is opened for a call that ends"
    await held.end()


@pytest.mark.parametrize("kind", ["response.created", "response.output_audio_transcript.delta"])
@virtual
async def test_there_is_an_end_to_answers_and_to_their_words(kind: str) -> None:
    scene = build_call()
    held = await talk(scene, apology="Sorry.")
    for number in range(30):
        response_id = f"a{number}" if kind == "response.created" else "a0"
        if response_id != "a0" or not number:
            held.session.says("response.created", response={"id": response_id})
        held.session.says("response.output_audio_transcript.delta", response_id=response_id, delta="x" * 1000)
    await asyncio.sleep(1)
    assert scene.stats.agents.failures == {"flood": 1}
    await held.end()


@virtual
async def test_the_output_of_a_call_is_not_told_to_another_session() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.says("response.created", response={"id": "a"})
    held.session.calls("a", "c1", "look_up", '{"what": "x", "after_s": 3.0}')
    await asyncio.sleep(1.5)
    held.session.is_idle()
    await asyncio.sleep(4)
    assert [session.told for session in held.hydra.sessions] == [[], []]
    await held.end()


@virtual
async def test_the_end_of_the_call_ends_everything() -> None:
    scene = build_call()
    held = await talk(scene, tools=lambda _: [tool_of(look_up)])
    held.session.begins("a", 5000)
    held.session.calls("a", "c1", "look_up", '{"what": "x", "after_s": 60.0}')
    await asyncio.sleep(1)
    scene.call.end("carrier")
    await asyncio.wait_for(held.task, 1)
    assert held.session.closed
    with pytest.raises(CallEnded):
        await scene.call.say("Too late.")
    await held.end()
