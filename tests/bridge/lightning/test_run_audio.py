"""Audio that comes in runs: headers off, nothing else touched, and measured in what it is."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lightning.run_audio import RunAudio
from telephony_codecs.formats import MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.wav import wav_bytes

#: A second that swells and fades like speech.
_T = np.arange(8000) / 8000
PCM = (3000 * np.sin(2 * np.pi * 180 * _T) * np.sin(2 * np.pi * 2 * _T + 0.3)).astype("<i2").tobytes()
MULAW = mulaw_encode(PCM)
SIZES = (1, 7, 400, 16_000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("asked", "run", "audio", "ms"),
    [
        (MULAW_8K, MULAW, MULAW, 1000),
        (MULAW_8K, PCM, PCM, 1000),
        (PCM16_8K, PCM, PCM, 1000),
        (AudioFormat(Encoding.PCM16, 16000), PCM, PCM, 500),
        (AudioFormat(Encoding.ALAW, 8000), MULAW, MULAW, 1000),
        (MULAW_8K, wav_bytes(MULAW_8K, MULAW), MULAW, 1000),
        (MULAW_8K, wav_bytes(PCM16_8K, PCM), PCM, 1000),
        (PCM16_8K, wav_bytes(PCM16_8K, PCM), PCM, 1000),
        (MULAW_8K, b"RI", b"RI", 0),
    ],
    ids=["mulaw", "pcm instead", "pcm", "16000 Hz", "alaw", "wav", "wav of pcm instead", "pcm wav", "a bit"],
)
def test_two_runs_are_one_stream(asked: AudioFormat, run: bytes, audio: bytes, ms: float, size: int) -> None:
    runs, out, lasts_ms = RunAudio(asked), b"", 0.0
    for _ in range(2):
        for given in [*(runs.feed(run[at : at + size]) for at in range(0, len(run), size)), runs.end_run()]:
            out += given
            lasts_ms += runs.ms_in(given)
    assert out == 2 * audio
    assert lasts_ms == pytest.approx(2 * ms, abs=25)  # until the first bytes have told what it is
    assert runs.had_header is (run != audio)


@pytest.mark.parametrize(
    ("asked", "run"),
    [
        (MULAW_8K, wav_bytes(AudioFormat(Encoding.PCM16, 16000), PCM)),
        (MULAW_8K, wav_bytes(AudioFormat(Encoding.ALAW, 8000), MULAW)),
        (PCM16_8K, wav_bytes(MULAW_8K, MULAW)),
        (PCM16_8K, wav_bytes(PCM16_8K, PCM, channels=2)),
        (MULAW_8K, b"RIFF" + bytes(4) + b"WAVEfmt " + bytes(100)),
    ],
)
def test_a_header_of_something_else(asked: AudioFormat, run: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        RunAudio(asked).feed(run)
