"""The benchmark of agents: voices are known by their packets, and every answer by its sound."""

from __future__ import annotations

from base64 import b64encode

from benchmarks.agent_engines import ANSWER_MS, WORD_FRAMES, Answers, Voices, identity_of
from telephony_codecs.g711 import mulaw_encode

FRAMES = [[bytes([0x20 + voice, frame]) * 80 for frame in range(40)] for voice in range(2)]
LINE = b"\xfe" * 160


def voices() -> Voices:
    return Voices([[b64encode(frame).decode() for frame in frames] for frames in FRAMES])


def test_a_voice_is_a_question_once_enough_of_it_is_heard() -> None:
    heard = voices().open()
    heard.feed(LINE * 5 + b"".join(FRAMES[1][: WORD_FRAMES - 1]))
    assert heard.words() == []
    heard.feed(b"".join(FRAMES[1][WORD_FRAMES - 1 :]) + LINE)
    assert [word.text for word in heard.finish()] == ["question", "1"]
    assert heard.finish() == [], "said once"


def test_two_voices_are_two_questions_in_any_chunks() -> None:
    heard = voices().open()
    audio = b"".join((*FRAMES[0], LINE * 3, *FRAMES[1]))
    for at in range(0, len(audio), 333):
        heard.feed(audio[at : at + 333])
    assert [word.text for word in heard.finish()] == ["question", "0", "question", "1"]


def test_every_byte_of_an_answer_tells_which_it_is() -> None:
    speech = Answers().speak("Answer 7 is what you asked.", voice_id="", language="", speed=1.0)
    assert speech.duration_ms == ANSWER_MS
    assert {code & 0x7F for code in mulaw_encode(speech.pcm)} == {identity_of(7)}
    assert identity_of(7) != identity_of(8)
