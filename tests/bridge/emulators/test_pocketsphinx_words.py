"""A real recogniser, on an offline voice over a telephone's band."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec

import pytest

from bridge.emulators.espeak import EspeakEngine
from bridge.emulators.pocketsphinx_words import PocketsphinxRecogniser
from bridge.errors import ConfigError
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder
from tests.support.pulse_client import silence

LINES = ("Yes, please.", "No, thank you.", "One two three four.", "I would like to book a table.", "Goodbye.")

installed = pytest.mark.skipif(
    find_spec("pocketsphinx") is None or find_spec("espeakng_loader") is None,
    reason="needs the extras `recogniser` and `demo`",
)


def voice(text: str) -> bytes:
    speech = EspeakEngine().speak(text, voice_id="sophia", language="en", speed=0.9)
    transcoder = Transcoder(AudioFormat(Encoding.PCM16, speech.rate_hz), MULAW_8K)
    return transcoder.feed(speech.pcm) + transcoder.flush()


@cache
def recogniser() -> PocketsphinxRecogniser:
    """One for the tests: its model takes half a second to load."""
    return PocketsphinxRecogniser(LINES)


@installed
def test_lines_that_may_be_said_are_told_as_they_are_written() -> None:
    recognition = recogniser().open()
    told, heard_ms = [], 0.0
    for line in LINES[1:4]:
        speech = voice(line)
        recognition.feed(silence(400) + speech + silence(400))
        assert recognition.words()
        words = recognition.finish()
        told.append(" ".join(word.text for word in words))
        assert words[0].start_ms == pytest.approx(heard_ms + 400, abs=150)
        assert all(word.start_ms < word.end_ms for word in words)
        assert all(a.end_ms <= b.start_ms for a, b in zip(words, words[1:], strict=False))
        assert recognition.words() == recognition.finish() == []
        heard_ms += 800 + MULAW_8K.ms_in(len(speech))
    assert sum(a == b for a, b in zip(told, LINES[1:4], strict=True)) >= 2, told


@installed
def test_free_speech_is_words_at_least() -> None:
    recognition = PocketsphinxRecogniser().open()
    assert recognition.finish() == []
    recognition.feed(silence(500) + voice("I would like to book a table") + silence(500))
    assert recognition.finish(), "which ones depends on its mood"


@installed
def test_silence_is_never_decoded() -> None:
    recognition = PocketsphinxRecogniser().open()
    recognition.feed(silence(60_000))
    assert recognition.words() == recognition.finish() == []


@installed
def test_a_word_that_is_not_in_its_dictionary() -> None:
    with pytest.raises(ConfigError, match="does not know how to say frobnicators, xyzzyx"):
        PocketsphinxRecogniser(["Two frobnicators", "A xyzzyx, please"])


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ConfigError, match=r"pip install 'lightning-phone-bridge\[recogniser\]'"):
        PocketsphinxRecogniser()
