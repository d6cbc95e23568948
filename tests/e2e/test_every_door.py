"""A call through every door, and text that streams into it: what the caller hears, in words and in samples.

A voice of tones says which words were heard. A second utterance follows one that the caller interrupts: it is whole,
and nothing of the first is left anywhere. Text that streams in must sound as if it had been synthesised in one go.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from bridge.emulators.call_report import CallReport
from bridge.emulators.caller_script import Action, Cue, Press
from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats
from bridge.emulators.recording import ClearReceived
from bridge.media.heard import Heard
from bridge.observe.timeline import FirstAudio
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode
from tests.support import agents, failing_calls
from tests.support.bridge import Stage, stage
from tests.support.failing_calls import MUTE, came_to, in_time, selected, side_by_side
from tests.support.hearing import FIRST, SECOND
from tests.support.tone_words import Tone, Vocabulary, longest_silence_ms, spoken, tones_in
from tests.support.waiting import until

#: Audio comes faster than it is heard, but not so fast that it has all come when the caller presses a key.
FIRST_BYTE_MS: Final = 150.0
REALTIME_FACTOR: Final = 1.6
SPEAK_TONES: Final = str(Path(__file__).parents[1] / "support" / "speak_tones.py")
# -P: beside it stands a module called `bridge`, which is not the one that it needs.
LOCAL: Final = [sys.executable, "-P", SPEAK_TONES, "{voice_id}", str(REALTIME_FACTOR)]

#: What a configuration must say for each door.
DOORS: Final[dict[str, dict[str, Any]]] = {
    **{door: {"door": door} for door in ("live", "sse", "http", "v3.1", "v3.1-sse")},
    **{door: {"door": door, "model": "lightning_v2"} for door in ("v2", "v2-sse")},
    "v4": {"door": "v4", "model": "lightning_v4", "voice_id": "brannock"},
    "local": {"door": "local", "command": LOCAL},
}
VOICE: Final = {"voice_id": "devansh"}


@dataclass
class Result(failing_calls.Result):
    """A call, and what it left behind."""

    #: When the caller's line began to get the first utterance, on the clock of the call.
    first_audio_at_ms: float
    emulator: EmulatorStats

    def tones(self) -> list[Tone]:
        return tones_in(self.report.heard)


async def call_with(
    lightning: dict[str, Any], agent: str, options: dict[str, Any], *actions: Action
) -> Result:
    """A call; made again when the machine was too busy to tell anything."""

    async def call() -> Result:
        async with stage(
            f"tests.support.agents:{agent}",
            lightning=EmulatorOptions(first_byte_ms=FIRST_BYTE_MS, realtime_factor=REALTIME_FACTOR),
            sections={"lightning": VOICE | lightning, "agent": {"options": options}},
        ) as s:
            return await _result(s, await s.call(*actions, misbehaviour=MUTE))

    return await in_time(call)


async def _result(s: Stage, report: CallReport) -> Result:
    voice, counted = s.server.runtime.voice, s.lightning.stats
    await until(lambda: not counted.active)
    first = next(entry for entry in s.the_call.timeline if isinstance(entry, FirstAudio))
    told = agents.log.pop(report.call_sid)
    return Result(report, told, voice.stats, s.units_in_use, first.at_ms, counted)


# -- every door, interrupted once ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calls(request: pytest.FixtureRequest) -> dict[str, Result | BaseException]:
    """A call through each of the selected doors."""
    options = {"texts": [FIRST, SECOND]}
    press = Press("5", Cue(after_bridge_speaks_ms=500))
    return side_by_side(
        {
            door: partial(call_with, DOORS[door], "says_its_texts", options, press)
            for door in selected(request, "door")
        }
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_key_stops_it_and_the_next_words_are_all_heard(
    door: str, calls: dict[str, Result | BaseException]
) -> None:
    result = came_to(calls, door)
    first, second = result.told
    assert isinstance(first, Heard)
    assert isinstance(second, Heard)
    assert (first.by, second.interrupted, second.text) == ("digit", False, SECOND)
    words = Vocabulary([FIRST, SECOND], [voice_of(DOORS[door])]).words(result.tones())
    before, after = words[: -len(SECOND.split())], words[-len(SECOND.split()) :]
    assert [word.text for word in after if word.whole] == SECOND.split()
    assert 1 <= len(before) < len(FIRST.split())
    assert FIRST.startswith(" ".join(word.text for word in before))
    assert len(result.report.of(ClearReceived)) == 1


@pytest.mark.parametrize("door", DOORS)
def test_lightning_is_told_to_stop(door: str, calls: dict[str, Result | BaseException]) -> None:
    result = came_to(calls, door)
    assert (result.stats.cancelled, result.stats.failed, result.units_in_use) == (1, 0, 0)
    if door != "local":  # whose program is killed
        assert (result.emulator.requests, result.emulator.cancelled, result.emulator.completed) == (2, 1, 1)


# -- text that streams in ------------------------------------------------------------------------------------------

SENTENCES: Final = ("one two three four seven eight.", "ten eleven twelve.", "two four ten seven.")
TOKENS: Final = " ".join(SENTENCES).replace(" ", "| ").split("|")
#: Up to the token that shows that the first sentence has ended.
AT_FIRST: Final = len(SENTENCES[0].split()) + 1
#: Three times as fast as it is spoken.
TOKEN_S: Final = 0.1
#: What a seam may last longer than in a text that is synthesised in one go.
SEAM_MS: Final = 40.0
#: What the way from the agent to the line may take, beside Lightning's own first byte.
WAY_MS: Final = 150.0
#: A hundredth of the engine's loudness.
CLICK: Final = 80

STREAMS: Final[dict[str, dict[str, Any]]] = {
    "live, sentences": {},
    "live, context": {"text_streaming": "context"},
    "live, flush": {"text_streaming": "flush"},
    "v3.1, flush": {"door": "v3.1", "text_streaming": "flush"},
    "live, 24 kHz": {"output": "pcm", "sample_rate": 24000},
    "live, context, 24 kHz": {"output": "pcm", "sample_rate": 24000, "text_streaming": "context"},
    "sse": DOORS["sse"],
    "http": DOORS["http"],
    "v4": DOORS["v4"],
    "local": DOORS["local"],
}


@pytest.fixture(scope="module")
def streams(request: pytest.FixtureRequest) -> dict[str, Result | BaseException]:
    """A call for each of the selected ways."""
    options = {"tokens": TOKENS, "held_back": len(TOKENS) - AT_FIRST, "token_s": TOKEN_S}
    return side_by_side(
        {
            way: partial(call_with, STREAMS[way], "streams_its_tokens", options)
            for way in selected(request, "way")
        }
    )


@pytest.mark.parametrize("way", STREAMS)
def test_the_first_sentence_is_heard_as_soon_as_by_itself(
    way: str, streams: dict[str, Result | BaseException]
) -> None:
    """No more text came before it was: else the call would have waited for ever."""
    result = came_to(streams, way)
    _, given_at_ms = result.told
    assert isinstance(given_at_ms, float)
    assert result.first_audio_at_ms - given_at_ms <= FIRST_BYTE_MS + WAY_MS + result.report.late_ms


@pytest.mark.parametrize("way", STREAMS)
def test_there_is_no_seam(way: str, streams: dict[str, Result | BaseException]) -> None:
    result = came_to(streams, way)
    text, voice = " ".join(SENTENCES), voice_of(STREAMS[way])
    in_one_go = spoken(text, voice)
    tones, usual_ms = result.tones(), longest_silence_ms(tones_in(in_one_go))
    words = Vocabulary(SENTENCES, [voice]).words(tones)
    assert [word.text for word in words if word.whole] == text.split()
    assert longest_silence_ms(tones) <= usual_ms + SEAM_MS + result.report.late_ms
    assert loudest_between(tones, result.report.heard) <= CLICK
    heard, _ = result.told
    assert isinstance(heard, Heard)
    assert (heard.text, heard.interrupted) == (text, False)


@pytest.mark.parametrize("way", [way for way in STREAMS if "24 kHz" not in way])
def test_no_sample_is_lost_or_changed_at_a_seam(way: str, streams: dict[str, Result | BaseException]) -> None:
    sounds = [
        audio.replace(MULAW_8K.silent_sample, b"")
        for audio in (came_to(streams, way).report.heard, spoken(" ".join(SENTENCES), voice_of(STREAMS[way])))
    ]
    assert sounds[0] == sounds[1]


def voice_of(lightning: dict[str, Any]) -> str:
    return str((VOICE | lightning)["voice_id"])


def loudest_between(tones: list[Tone], mulaw: bytes) -> int:
    """The loudest sample in the silences between `tones`, not too near to these: their ends are known to 5 ms."""
    samples = np.frombuffer(mulaw_decode(mulaw), "<i2").astype(int)
    edge_ms, per_ms = 12, MULAW_8K.rate_hz // 1000
    between = [
        samples[int(one.end_ms + edge_ms) * per_ms : int(other.start_ms - edge_ms) * per_ms]
        for one, other in zip(tones, tones[1:], strict=False)
    ]
    return max(int(np.abs(silence).max()) for silence in between if silence.size)
