"""Stretches of sound, and the lines that are heard in them."""

from __future__ import annotations

import pytest

from bridge.emulators.recogniser import RecognisedWord
from bridge.emulators.scripted_words import ScriptedWords
from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.tones import comfort_noise, tone
from tests.support.pulse_client import silence

LINES = ("One two three", "Four")


def sound(ms: float) -> bytes:
    return mulaw_encode(tone([440], ms, -20).tobytes())


NOISE = mulaw_encode(comfort_noise(1000, seed=7).tobytes())


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"", ""),
        (silence(2000), ""),
        (NOISE, ""),
        (sound(40) + silence(500), ""),  # a click
        (sound(300) + silence(200), "One"),
        (sound(1000) + silence(100), "One two three"),
        (sound(200) + silence(500), "One two three"),
        (sound(200) + silence(300) + sound(200) + silence(500), "One two three"),
        (sound(200) + NOISE + sound(200) + silence(500), "One two three Four"),
        ((sound(200) + silence(500)) * 5, "One two three Four"),
    ],
)
def test_what_is_heard(stream: bytes, told: str) -> None:
    recognition = ScriptedWords(LINES).open()
    recognition.feed(stream)
    assert " ".join(word.text for word in recognition.words()) == told


def test_for_good_a_line_is_told_whole_and_once() -> None:
    recognition = ScriptedWords(LINES).open()
    recognition.feed(sound(400))
    assert [word.text for word in recognition.finish()] == LINES[0].split()
    recognition.feed(sound(400) + silence(200) + sound(400))
    assert recognition.finish() == [], "the stretch goes on"
    recognition.feed(silence(400) + sound(100))
    assert [word.text for word in recognition.finish()] == [LINES[1]]


def test_when_its_words_are() -> None:
    recognition = ScriptedWords(["a b"], word_ms=200).open()
    recognition.feed(silence(100) + sound(100))
    assert recognition.finish() == [RecognisedWord("a", 100, 300), RecognisedWord("b", 300, 500)]


def test_each_socket_begins_with_the_first_line() -> None:
    script = ScriptedWords(LINES)
    for _ in range(2):
        recognition = script.open()
        recognition.feed(sound(200) + silence(500))
        assert len(recognition.words()) == 3
