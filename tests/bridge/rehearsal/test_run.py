"""Rehearsals as they are run: what the caller does, and one call with all of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.emulators.caller_script import Action, Cue, HangUp, Pause, Press, Utterance
from bridge.emulators.espeak import EspeakEngine
from bridge.emulators.lightning import EmulatedLightning
from bridge.errors import ConfigError
from bridge.rehearsal.cast import Part
from bridge.rehearsal.dialogue import dialogue, plain_lines
from bridge.rehearsal.run import actions_of, importable, perform
from bridge.rehearsal.settings import settings_of
from tests.support.rehearsal import script

HELLO = Part(b"\x20" * 320, "hello", 0, 40)


def heard(pattern: str) -> Callable[[], bool]:
    return HEARD


def HEARD() -> bool:
    return True


TURN, LEAVE = Cue(after_bridge_silent_ms=700), HangUp(Cue(after_bridge_silent_ms=2000))


@pytest.mark.parametrize(
    "step, actions",
    [
        ('say = "hello"', [Utterance(HELLO.audio, TURN), LEAVE]),
        ('say = "hello"\nafter_silence_ms = 90', [Utterance(HELLO.audio, Cue(after_bridge_silent_ms=90)), LEAVE]),
        ('say = "hello"\ninterrupt_after_ms = 90', [Utterance(HELLO.audio, Cue(after_bridge_speaks_ms=90)), LEAVE]),
        ('say = "hello"\nafter_s = 9', [Utterance(HELLO.audio, Cue(after_s=9)), LEAVE]),
        ('say = "hello"\nafter_s = 9\nafter = "x"', [Utterance(HELLO.audio, Cue(after_s=9, once=HEARD)), LEAVE]),
        ('press = "12"\nafter = "x"', [Press("12", Cue(after_bridge_silent_ms=700, once=HEARD)), LEAVE]),
        # To wait is to let time go by, and who waited waits for nothing more.
        ("wait_s = 3", [Pause(3000, Cue(after_s=0)), HangUp(Cue(after_s=2))]),
        ("wait_s = 3\nafter_silence_ms = 5", [Pause(3000, Cue(after_bridge_silent_ms=5)), HangUp(Cue(after_s=2))]),
        ("hang_up = true", [HangUp(TURN)]),
        # The agent is to end it.
        ('say = "hello"\n[call]\nended_by = "agent"', [Utterance(HELLO.audio, TURN)]),
        ('say = "hello"\n[call]\ntransferred_to = "+1"', [Utterance(HELLO.audio, TURN)]),
        ('say = "hello"\n[call]\nended_by = "caller"', [Utterance(HELLO.audio, TURN), LEAVE]),
    ],
)  # fmt: skip
def test_what_the_caller_does(step: str, actions: list[Action]) -> None:
    part = HELLO if step.startswith("say") else Part()
    assert actions_of(script(f"[[caller]]\n{step}").script, [part], heard) == actions


def test_modules_are_found_beside_the_script_and_only_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "rehearsed_agent.py").write_text("WHO = 'me'", "utf-8")
    before = list(sys.path)
    with importable([tmp_path, tmp_path]):
        import rehearsed_agent  # type: ignore[import-not-found]  # noqa: PLC0415

        assert rehearsed_agent.WHO == "me"
    assert sys.path == before


#: A cough and a mumble interrupt nothing, a key does.
NOISES = """
[rehearsal]
linger_s = 0.3
[agent]
[agent.options]
greeting = "Hello, and welcome. I have plenty to tell you about this and that, and about all our offices."
reply = "Thank you."
[engines]
lightning_ms = 0
pulse_ms = 0
[[caller]]
noise = "cough"
interrupt_after_ms = 500
interrupts = false
[[caller]]
say = "Hmm, tralala."
heard_as = ""
interrupt_after_ms = 300
interrupts = false
[[caller]]
press = "5"
interrupt_after_ms = 500
interrupts = true
heard_less_than_ms = 5000
[[caller]]
say = "Good bye."
after_s = 0.2
expect = "^thank you.$"
within_ms = 4000
[call]
ended_by = "caller"
"""


async def test_noise_interrupts_nothing_and_a_key_does() -> None:
    rehearsal = script(NOISES)
    async with EmulatedLightning(engine=EspeakEngine()) as lightning:
        done = await perform(rehearsal, settings_of(rehearsal), lightning.url)
    told = plain_lines(dialogue(rehearsal, done.facts))
    assert done.passed, (told, done.verdicts)
    assert "no word came: goes on where it was heard" in told
    assert len(done.recording.said) > 8000


@pytest.mark.parametrize(
    "agent, key",
    [("nobody_has:this", "agent.entrypoint"), ("bridge.agents.greeter:nobody", "agent.entrypoint")],
)
async def test_an_agent_that_is_not_there(agent: str, key: str) -> None:
    rehearsal = script('[[caller]]\npress = "1"')
    with pytest.raises(ConfigError) as refused:
        await perform(rehearsal, settings_of(rehearsal, agent), "http://127.0.0.1:1")
    assert refused.value.key == key
