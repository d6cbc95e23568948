"""Prompts: ready as mu-law, or refused with the file and the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.errors import PromptError
from bridge.prompts import Prompt, apology, load_prompt
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import alaw_to_mulaw, mulaw_decode, mulaw_encode
from telephony_codecs.pcm import level_dbfs
from telephony_codecs.wav import wav_bytes

PCM = (8000 * np.sin(np.arange(1600) / 7)).astype("<i2").tobytes()
CODES = bytes(range(256))


@pytest.mark.parametrize(
    "format, audio, mulaw",
    [
        (MULAW_8K, CODES, CODES),
        (PCM16_8K, PCM, mulaw_encode(PCM)),
        (ALAW_8K, CODES, alaw_to_mulaw(CODES)),
    ],
    ids=["mu-law", "pcm", "a-law"],
)
def test_a_wav_is_made_ready(tmp_path: Path, format: AudioFormat, audio: bytes, mulaw: bytes) -> None:
    wav = wav_bytes(format, audio)
    path = tmp_path / "prompt.wav"
    path.write_bytes(wav)
    for source in (path, str(path), wav):
        assert load_prompt(source, "Hello.") == Prompt(mulaw, "Hello.")


def test_other_rates_keep_their_length() -> None:
    wav = wav_bytes(AudioFormat(Encoding.PCM16, 24000), bytes(48000))
    assert load_prompt(wav).ms == pytest.approx(1000, abs=10)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"not a recording", "not a WAV: it does not begin with RIFF and WAVE"),
        (wav_bytes(PCM16_8K, PCM, channels=2), "has 2 channels; a prompt must be mono"),
        (wav_bytes(PCM16_8K, b""), "holds no audio"),
        (b"", "the WAV ends before its audio begins"),
    ],
    ids=["text", "stereo", "empty", "no bytes"],
)
def test_what_cannot_be_played(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "prompt.wav"
    path.write_bytes(content)
    for source, name in ((path, str(path)), (content, "prompt")):
        with pytest.raises(PromptError) as caught:
            load_prompt(source)
        assert str(caught.value) == f"{name}: {reason}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as caught:
        load_prompt(tmp_path / "none.wav")
    assert str(caught.value) == f"{tmp_path / 'none.wav'}: cannot be read: No such file or directory"


def test_the_apology_is_a_second_or_three_of_audible_speech_in_memory() -> None:
    prompt = apology()
    assert 1000 <= prompt.ms <= 4000
    assert -30 <= level_dbfs(mulaw_decode(prompt.audio)) <= -10
    assert prompt.text == "I am sorry, I am having trouble speaking right now."
    assert apology() is prompt
