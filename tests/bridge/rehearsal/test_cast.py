"""The caller's part: what is on the line at each step."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bridge.emulators.known_voices import KnownVoices
from bridge.errors import ConfigError
from bridge.rehearsal.cast import Part, cast, spoken, vocabulary
from bridge.rehearsal.script import Head
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import level_dbfs
from tests.support.rehearsal import script

SLOT = 160
LOUD = np.full(SLOT, 8000, np.int16).tobytes()
QUIET = bytes(SLOT * 2)
SILENT = Head(noise_dbfs=-90)


def test_silence_at_both_ends_is_cut_off_but_for_an_edge() -> None:
    part = spoken(QUIET * 9 + LOUD * 5 + QUIET * 2 + LOUD + QUIET * 30, "hello", SILENT)
    assert (part.onset_ms, part.speech_end_ms, part.words) == (20, 180, "hello")
    assert len(part.audio) == 10 * SLOT


def test_words_without_silence_around_them() -> None:
    part = spoken(LOUD * 3, "hello", SILENT)
    assert (part.onset_ms, part.speech_end_ms, len(part.audio)) == (0, 60, 3 * SLOT)


def test_what_cannot_be_heard_is_refused() -> None:
    with pytest.raises(ValueError, match="no sound came of it"):
        spoken(QUIET * 9, "hello", SILENT)


def test_the_noise_of_the_line_is_under_the_words_and_the_same_each_time() -> None:
    pcm = QUIET * 3 + LOUD * 3
    noisy = spoken(pcm, "hello", Head(noise_dbfs=-50))
    assert level_dbfs(mulaw_decode(noisy.audio[:SLOT])) == pytest.approx(-50, abs=2)
    assert noisy == spoken(pcm, "hello", Head(noise_dbfs=-50))
    assert noisy != spoken(pcm, "hello", Head(noise_dbfs=-50, seed=1))


def test_the_same_words_in_two_voices_are_two_recordings() -> None:
    parts = [Part(b"a", "Yes."), Part(b"b", "Yes."), Part(b"a", "Yes."), Part(b"c"), Part()]
    known = vocabulary(parts)
    assert {text.strip(): audio for text, audio in known.items()} == {"Yes.": b"b"}
    assert sorted(known.values()) == [b"a", b"b"]


async def test_each_step_has_its_part_and_its_words_are_recognised() -> None:
    text = """
        [[caller]]
        say = "A table for two."
        [[caller]]
        say = "मेज़ चाहिए."
        voice = "kartik"
        [[caller]]
        say = "Twenty."
        heard_as = "Plenty."
        [[caller]]
        noise = "cough"
        [[caller]]
        press = "12"
    """
    words, hindi, misheard, cough, keys = await cast(script(text))
    assert (len(cough.audio), cough.words, keys) == (500 * 8, "", Part())
    recognition = KnownVoices(vocabulary([words, hindi, misheard])).open()
    for part in (words, cough, hindi, misheard):
        recognition.feed(part.audio + b"\xff" * 8000)
    heard = " ".join(word.text for word in recognition.finish())
    assert heard == "A table for two. मेज़ चाहिए. Plenty."


async def test_without_the_offline_voice_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ConfigError, match=r"pip install 'lightning-phone-bridge\[demo\]'"):
        await cast(script())


async def test_what_cannot_be_said_is_told_by_its_line() -> None:
    with pytest.raises(ConfigError) as refused:
        await cast(script('[[caller]]\nsay = "Hello."\nlanguage = "nowhere"'))
    assert refused.value.source == "table.toml:2"
    assert refused.value.key == "caller[0].say"
