"""What the emulated Hydra says, and when: by the audio that it hears, and nothing else."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraEmulatorStats, HydraScript, Step
from bridge.emulators.hydra_session import Action, HydraEmulatorSession, Send, Speak, Stop

LOUD, SILENT = b"\x00\x20" * 320, b"\x00\x00" * 320
SCRIPT = HydraScript(
    greeting="Hello.",
    turns=[Step(say="One."), Step(call="look_up", arguments={"x": 1}, then="It is {output}.")],
)


class Held:
    """A session, configured, and what it did."""

    def __init__(self, script: HydraScript = SCRIPT, **switches: Any) -> None:
        self.stats = HydraEmulatorStats()
        self.session = HydraEmulatorSession(
            HydraEmulatorOptions(**switches), self.stats, script, session_id="s"
        )
        self.actions: list[Action] = self.session.opened()

    def say(self, kind: str, **fields: Any) -> list[Action]:
        done = self.session.receive(json.dumps({"type": kind, **fields}))
        self.actions += done
        return done

    def configure(self, **session: Any) -> Held:
        self.say("session.configure", session=session)
        return self

    def hear(self, frame: bytes, frames: int) -> list[Action]:
        done = []
        for _ in range(frames):
            done += self.say("input_audio_buffer.append", audio=b64encode(frame).decode())
        return done

    def turn(self) -> list[Action]:
        """Somebody speaks for 200 ms, and then does not."""
        return [*self.hear(LOUD, 10), *self.hear(SILENT, 20)]


def sent(actions: list[Action]) -> list[dict[str, Any]]:
    return [json.loads(action.message) for action in actions if isinstance(action, Send)]


def kinds(actions: list[Action]) -> list[str]:
    return [json.loads(a.message)["type"] if isinstance(a, Send) else type(a).__name__ for a in actions]


def test_it_is_configured_and_greets_if_it_is_asked_to() -> None:
    quiet, greeting = Held().configure(voice="leo"), Held().configure(generate_initial_response=True)
    assert kinds(quiet.actions) == ["session.created", "session.configured"]
    assert sent(quiet.actions)[1]["session"] == {
        "voice": "leo", "output_audio_format": "pcm16", "output_audio_sample_rate": 48_000}  # fmt: skip
    assert kinds(greeting.actions)[2:] == ["response.created", "Speak"]
    assert isinstance(greeting.actions[-1], Speak)
    assert greeting.actions[-1].text == "Hello."


def test_a_turn_is_answered_and_told_with_its_place_in_the_audio() -> None:
    held = Held().configure()
    held.hear(SILENT, 5)
    done = held.turn()
    assert kinds(done) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "conversation.item.added",
        "response.created",
        "Speak",
    ]
    assert (sent(done)[0]["audio_start_ms"], sent(done)[1]["audio_end_ms"]) == (100, 300)
    answer = done[-1]
    assert isinstance(answer, Speak)
    assert answer.text == "One."
    assert kinds(held.session.spoken(answer.response_id)) == ["response.output_audio.done", "response.done"]
    assert held.session.spoken(answer.response_id) == [], "once"


@pytest.mark.parametrize("frames", [1, 2])
def test_a_click_is_no_speech(frames: int) -> None:
    assert Held().configure().hear(LOUD, frames) == []


@pytest.mark.parametrize(
    ("by", "reason"),
    [("speech", "interrupted"), ("response.cancel", "client_cancelled")],
)
def test_an_answer_is_cut_short(by: str, reason: str) -> None:
    held = Held().configure(generate_initial_response=True)
    done = held.hear(LOUD, 3) if by == "speech" else held.say(by)
    stop = next(action for action in done if isinstance(action, Stop))
    (over,) = [each["response"] for each in sent(done) if each["type"] == "response.done"]
    assert (over["id"], over["status"], over["status_details"]["reason"]) == (
        stop.response_id,
        "cancelled",
        reason,
    )
    assert held.session.spoken(stop.response_id) == []


def test_a_cancel_of_what_is_not_on_does_nothing() -> None:
    held = Held().configure(generate_initial_response=True)
    assert held.say("response.cancel", response_id="another") == []
    assert Held().configure().say("response.cancel") == []


@pytest.mark.parametrize("told", [True, False])
def test_a_function_is_called_and_its_output_is_answered(told: bool) -> None:
    held = Held(no_arguments_done=not told).configure()
    held.turn()
    held.session.spoken("resp_s_1")
    done = sent(held.turn())
    bits = [each["delta"] for each in done if each["type"] == "response.function_call_arguments.delta"]
    assert json.loads("".join(bits)) == {"x": 1}
    assert [each["name"] for each in done if each["type"].endswith("arguments.done")] == ["look_up"] * told
    assert done[-1]["response"]["status"] == "completed"
    call_id = next(each["call_id"] for each in done if "call_id" in each)
    item = {"type": "function_call_output", "call_id": call_id, "output": "7"}
    assert kinds(held.say("conversation.item.create", item=item)) == ["conversation.item.done"]
    answer = held.say("response.create")[-1]
    assert isinstance(answer, Speak)
    assert answer.text == "It is 7."
    assert list(held.stats.outputs) == ["7"]


def test_audio_before_it_is_configured_is_dropped_without_a_word() -> None:
    held = Held()
    assert held.turn() == []
    assert held.stats.early_audio == 30
    assert held.stats.audio_ms == 0


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"type":"weather"}', "invalid_request_error"),
        ("{", "invalid_request_error"),
        ("[]", "invalid_request_error"),
        ('{"type":"session.configure"}', "invalid_request_error"),
        ('{"type":"response.create"}', "invalid_request_error"),
        ('{"type":"conversation.item.create","item":{"call_id":"?"}}', "invalid_request_error"),
        ('{"type":"input_audio_buffer.append","audio":"!"}', "invalid_audio"),
    ],
)
def test_what_cannot_be_done_is_an_error(message: str, code: str) -> None:
    held = Held().configure()
    (error,) = sent(held.session.receive(message))
    assert (error["type"], error["error"]["code"]) == ("error", code)
    assert held.stats.errors == 1


@pytest.mark.parametrize(("frame", "odd"), [(LOUD, 0), (LOUD * 2, 0), (LOUD[:320], 1), (LOUD * 3, 1)])
def test_sizes_that_are_not_wanted_are_counted(frame: bytes, odd: int) -> None:
    held = Held().configure()
    held.hear(frame, 1)
    assert held.stats.odd_sizes == odd


def test_one_that_hangs_hears_and_never_answers() -> None:
    held = Held(hang=True).configure()
    assert "response.created" not in kinds([*held.turn(), *held.turn()])
    assert held.stats.turns == 2


def test_the_last_step_goes_for_all_further_turns() -> None:
    assert [SCRIPT.step(number).say for number in range(3)] == ["One.", "", ""]
    assert HydraScript(turns=[]).step(0).say


@given(st.text(max_size=200))
def test_whatever_is_said_it_lives_on(text: str) -> None:
    held = Held().configure()
    held.session.receive(text)
    assert kinds(held.turn())[-1] == "Speak"
