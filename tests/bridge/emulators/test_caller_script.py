"""What the simulated caller does, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.emulators.caller_script import Action, CallerScript, Cue, HangUp, Pause, Press, Step, Utterance
from bridge.emulators.recording import CallerStarted, CallerStopped, CallRecording, DigitPressed
from telephony_codecs.dtmf import DtmfDetector
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import level_dbfs, saturated
from telephony_codecs.wav import wav_bytes

LOUD = b"\x20\xa0" * 80
NOW = Cue(at_s=0)
TURN = Cue(after_bridge_silent_ms=40)
NEVER = Cue(at_s=0, once=lambda: False)
BEGAN_MS = 500.0


@dataclass
class Acted:
    """A run of a script: one character for each slot, and what was noted."""

    slots: str
    reason: str
    recording: CallRecording


#: At a time since the stream began: (sound heard so far in ms, when the last of it was heard).
Bridge = Callable[[float], tuple[float, float]]


def silent(at_ms: float) -> tuple[float, float]:
    return 0, 0


def speaks(from_ms: float, until_ms: float) -> Bridge:
    def heard(at_ms: float) -> tuple[float, float]:
        length_ms = min(max(at_ms - from_ms, 0), until_ms - from_ms)
        return length_ms, from_ms + length_ms if length_ms else 0

    return heard


def act(*actions: Action, bridge: Bridge = silent, slots: int = 20, **options: Any) -> Acted:
    """`#` the caller speaks, `-` a pause within an utterance, `.` nothing, a digit is a key pressed."""
    recording = CallRecording()
    recording.began_ms = BEGAN_MS
    script = CallerScript(actions, recording, noise_dbfs=None, **options)
    told = ""
    for slot in range(slots):
        heard_ms, until_ms = bridge(slot * 20)
        step = script.step(BEGAN_MS + slot * 20, heard_ms, BEGAN_MS + until_ms)
        if isinstance(step, str):
            return Acted(told, step, recording)
        told += step.digit or {LOUD: "#", LOUD[:80] + b"\xff" * 80: "h"}.get(step.frame, ".")
    return Acted(told, "", recording)


def say(packets: int, cue: Cue) -> Utterance:
    return Utterance(LOUD * packets, cue)


@pytest.mark.parametrize(
    ("actions", "bridge", "slots"),
    [
        ([], silent, "...................."),
        ([say(3, NOW)], silent, "###................."),
        ([say(3, Cue(at_s=0.1))], silent, ".....###............"),
        ([say(1, Cue(at_s=0.1)), say(2, Cue(at_s=0.2))], silent, ".....#....##........"),
        ([say(2, NOW), say(2, NOW)], silent, "##.##..............."),
        ([say(2, Cue(after_bridge_speaks_ms=100))], speaks(40, 400), ".......##..........."),
        ([say(2, Cue(after_bridge_speaks_ms=100))], speaks(40, 120), "...................."),
        ([say(2, Cue(after_bridge_silent_ms=60))], speaks(40, 120), ".........##........."),
        ([say(2, Cue(after_bridge_silent_ms=60))], silent, "...................."),
        # Two interruptions: the second waits for as much again.
        ([say(2, Cue(after_bridge_speaks_ms=60))] * 2, speaks(0, 400), "...##...##.........."),
        ([say(2, NOW), say(1, Cue(after_bridge_silent_ms=40))], speaks(100, 160), "##........#........."),
        ([Press("1", NOW)], silent, "1..................."),
        ([Press("1#", Cue(at_s=0.04))], silent, "..1.......#........."),
        ([Press("1", NOW), say(2, NOW)], silent, "1........##........."),
        # So long after the action before, whatever the bridge does.
        ([say(2, NOW), say(1, Cue(after_s=0.06))], speaks(0, 400), "##...#.............."),
        ([Pause(60, NOW), say(1, NOW)], silent, "....#..............."),
    ],
)
def test_it_acts_on_cue(actions: list[Action], bridge: Bridge, slots: str) -> None:
    assert act(*actions, bridge=bridge).slots == slots


def test_a_cue_may_wait_for_something_else_besides() -> None:
    asked: list[int] = []

    def third_time() -> bool:
        asked.append(1)
        return len(asked) == 3

    acted = act(say(1, Cue(after_bridge_silent_ms=40, once=third_time)), bridge=speaks(0, 40), slots=10)
    assert acted.slots == "......#..."


def test_it_is_known_when_each_action_began_and_ended() -> None:
    actions = (say(2, NOW), Press("1", Cue(after_s=0.04)), HangUp(Cue(after_s=0.02)))
    acted = act(*actions, slots=30)
    assert acted.recording.actions == [
        (BEGAN_MS, BEGAN_MS + 40),
        (BEGAN_MS + 80, BEGAN_MS + 240),
        (BEGAN_MS + 260, None),
    ]


def test_the_last_frame_is_filled_with_silence() -> None:
    assert act(Utterance(LOUD + LOUD[:80], NOW), slots=3).slots == "#h."


def test_speech_is_dated_from_its_first_sound() -> None:
    quiet_first = Utterance(b"\xff" * 320 + LOUD * 2, Cue(at_s=0.1))
    assert act(quiet_first, say(1, NOW)).recording.entries == [
        CallerStarted(at_ms=BEGAN_MS + 140, utterance=0),
        CallerStopped(at_ms=BEGAN_MS + 180, utterance=0),
        CallerStarted(at_ms=BEGAN_MS + 200, utterance=1),
        CallerStopped(at_ms=BEGAN_MS + 220, utterance=1),
    ]


def test_a_recording_with_no_sound_is_dated_from_its_beginning() -> None:
    assert Utterance(b"\xff" * 480, NOW).onset == 0


@pytest.mark.parametrize(
    ("actions", "bridge", "options", "slots", "reason"),
    [
        ([], silent, {"hang_up_after_s": 0.1}, 5, "0.1 s are over"),
        ([say(99, NOW)], speaks(0, 9000), {"hang_up_after_s": 0.1}, 5, "0.1 s are over"),
        ([], silent, {"hang_up_on_silence_s": 0.1}, 5, "the bridge was silent for 0.1 s"),
        ([say(3, NOW)], silent, {"hang_up_on_silence_s": 0.1}, 8, "the bridge was silent for 0.1 s"),
        ([], speaks(40, 140), {"hang_up_on_silence_s": 0.1}, 12, "the bridge was silent for 0.1 s"),
        # It still has something to do: no silence is long enough.
        ([say(1, Cue(at_s=9))], silent, {"hang_up_on_silence_s": 0.1}, 20, ""),
        ([], silent, {"hang_up_on_silence_s": None}, 20, ""),
        ([say(1, NOW), HangUp(Cue(after_s=0.04))], silent, {}, 3, "as planned"),
        # Waiting for the bridge in vain; waiting for a time is never in vain.
        ([say(1, TURN)], silent, {"give_up_after_s": 0.1}, 5, "the bridge was silent for 0.1 s"),
        ([say(1, TURN)], speaks(40, 100), {"give_up_after_s": 0.1}, 20, ""),
        ([say(2, NOW), say(1, TURN)], silent, {"give_up_after_s": 0.1}, 7, "the bridge was silent for 0.1 s"),
        ([say(1, Cue(after_s=0.3))], silent, {"give_up_after_s": 0.1}, 20, ""),
        ([say(1, NEVER)], silent, {"give_up_after_s": 0.1}, 5, "the bridge was silent for 0.1 s"),
    ],
)
def test_it_hangs_up(
    actions: list[Action], bridge: Bridge, options: dict[str, Any], slots: int, reason: str
) -> None:
    acted = act(*actions, bridge=bridge, **options)
    assert (len(acted.slots), acted.reason) == (slots, reason)


@pytest.mark.parametrize("level_dbfs_", [-65.0, -45.0])
def test_comfort_noise_is_as_loud_as_asked(level_dbfs_: float) -> None:
    script = CallerScript([], CallRecording(), noise_dbfs=level_dbfs_)
    steps = [script.step(slot * 20, 0, 0) for slot in range(100)]
    frames = [step.frame for step in steps if isinstance(step, Step)]
    assert len(set(frames)) == 100
    assert level_dbfs(mulaw_decode(b"".join(frames))) == pytest.approx(level_dbfs_, abs=0.5)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_wav_becomes_telephone_audio(tmp_path: Path, rate_hz: int, channels: int) -> None:
    tone = saturated(8000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz))
    silence = bytes(len(tone))
    audio = tone if channels == 1 else np.stack(
        [np.frombuffer(tone, "<i2"), np.frombuffer(silence, "<i2")], axis=1
    ).tobytes()  # fmt: skip
    path = tmp_path / "tone.wav"
    path.write_bytes(wav_bytes(AudioFormat(Encoding.PCM16, rate_hz), audio, channels))
    utterance = Utterance.from_wav(path, NOW)
    assert MULAW_8K.ms_in(len(utterance.audio)) == pytest.approx(1000, abs=10)
    middle = mulaw_decode(utterance.audio[1600:6400])
    assert level_dbfs(middle) == pytest.approx(level_dbfs(tone), abs=0.2)


@pytest.mark.parametrize("audio_format", [MULAW_8K, ALAW_8K, PCM16_8K])
def test_a_wav_can_be_given_as_bytes(audio_format: AudioFormat) -> None:
    utterance = Utterance.from_wav(wav_bytes(audio_format, audio_format.silence(100)), NOW)
    assert len(utterance.frames) == 5


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"at_s": 1, "after_bridge_speaks_ms": 1},
        {"after_bridge_silent_ms": 1, "after_bridge_speaks_ms": 0},
    ],
)
def test_a_cue_is_one_thing(times: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a cue is one of"):
        Cue(**times)


@pytest.mark.parametrize("digits", ["", "12 3", "E", "a", "٣"])
def test_only_a_telephones_keys_can_be_pressed(digits: str) -> None:
    with pytest.raises(ValueError, match="keys of a telephone"):
        Press(digits, NOW)


def test_keys_may_be_tones_in_the_callers_audio() -> None:
    recording = CallRecording()
    recording.began_ms = BEGAN_MS
    script = CallerScript([Press("80#", Cue(at_s=0.1), in_band=True), Press("7", NOW)], recording)
    steps = [script.step(BEGAN_MS + slot * 20, 0, 0) for slot in range(40)]
    taken = [step for step in steps if isinstance(step, Step)]
    assert DtmfDetector().feed(b"".join(step.frame for step in taken)) == "80#"
    assert [(n, step.digit) for n, step in enumerate(taken) if step.digit] == [(30, "7")], (
        "by message, after them"
    )
    assert recording.entries == [
        DigitPressed(at_ms=BEGAN_MS + 100 + n * 160, digit=digit) for n, digit in enumerate("80#")
    ]
    assert {len(step.frame) for step in taken} == {160}
