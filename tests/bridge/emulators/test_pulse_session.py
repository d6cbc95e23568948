"""What is said on one socket, to the frame: audio and messages in, answers out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.emulators.known_voices import KnownVoices
from bridge.emulators.pulse_options import PulseEmulatorOptions, PulseEmulatorStats
from bridge.emulators.pulse_query import PulseQuery
from bridge.emulators.pulse_session import Action, Answer, Close, Drop, PulseSession
from tests.support.example_counts import at_most
from tests.support.pulse_client import silence, spoken

TEXTS = ("Hello there.", "Call 5550100199, please.", "One. Two three", "Yes")
HELLO, NUMBER, SENTENCES, YES = map(spoken, TEXTS)
VOICES = KnownVoices(dict(zip(TEXTS, (HELLO, NUMBER, SENTENCES, YES), strict=True)))
FINALIZE, CLOSE_STREAM = '{"type":"finalize"}', '{"type":"close_stream"}'


class Held:
    """A session, and what it did so far."""

    def __init__(
        self, options: PulseEmulatorOptions | None = None, *, faulty: bool = True, **asked: Any
    ) -> None:
        self.stats = PulseEmulatorStats()
        phone: dict[str, Any] = {"language": "en", "encoding": "mulaw", "sample_rate_hz": 8000}
        query = PulseQuery(**phone | asked)
        options = options or PulseEmulatorOptions()
        self.session = PulseSession(
            options, self.stats, query, VOICES.open(), session_id="stt_1", faulty=faulty
        )

    def does(self, *said: str | bytes) -> list[Action]:
        return [action for message in said for action in self.session.receive(message)]

    def tells(self, *said: str | bytes) -> list[dict[str, Any]]:
        return [json.loads(action.message) for action in self.does(*said) if isinstance(action, Answer)]

    def finals(self, *said: str | bytes) -> list[str]:
        return [told["transcript"] for told in self.tells(*said) if told.get("is_final")]


def test_an_utterance_from_its_first_word_to_its_final() -> None:
    told = Held().tells(HELLO + silence(900))
    assert [(message["transcript"], message["is_final"]) for message in told] == [
        ("Hello", False),
        ("Hello there.", False),
        ("Hello there.", True),
    ]
    assert told[-1] == {
        "type": "transcription",
        "status": "success",
        "session_id": "stt_1",
        "transcript": "Hello there.",
        "transcription": "Hello there.",
        "is_final": True,
        "is_last": False,
        "language": "en",
    }


@pytest.mark.parametrize(("ends_after_ms", "waits_ms"), [(100, 100), (800, 800), (2000, 2000), (None, None)])
def test_silence_ends_an_utterance(ends_after_ms: int | None, waits_ms: int | None) -> None:
    held = Held(ends_after_ms=ends_after_ms)
    held.does(HELLO)  # which ends in 40 ms of silence
    waited = [n * 20 + 40 for n in range(1, 200) if held.finals(silence(20))]
    assert waited == ([waits_ms] if waits_ms else [])


def test_finalize_is_answered_with_what_there_is() -> None:
    held = Held()
    held.does(HELLO)
    (final,) = held.tells(FINALIZE)
    assert (final["transcript"], final["from_finalize"], final["is_last"]) == ("Hello there.", True, False)
    (empty,) = held.tells(FINALIZE)
    assert (empty["transcript"], empty["is_final"], empty["from_finalize"]) == ("", True, True)
    assert held.finals(silence(5000)) == [], "it was said for good"
    assert held.stats.finalizes == 2


@pytest.mark.parametrize("pause", [b"", silence(200)])
def test_finalize_in_the_middle_of_an_utterance(pause: bytes) -> None:
    held = Held()
    half = len(HELLO) * 2 // 3
    assert held.finals(HELLO[:half] + pause, FINALIZE) == ["Hello"]
    assert held.finals(HELLO[half:] + silence(900)) == ["there."]


def test_the_same_word_twice_is_guessed_twice() -> None:
    held = Held()
    told = [message["transcript"] for message in held.tells(YES, FINALIZE, silence(500) + YES, FINALIZE)]
    assert told == ["Yes"] * 4


@pytest.mark.parametrize("word", ["close_stream", "end"])
def test_the_end(word: str) -> None:
    held = Held()
    held.does(HELLO)
    final, close = held.does(json.dumps({"type": word}))
    assert isinstance(final, Answer)
    told = json.loads(final.message)
    assert (told["transcript"], told["is_final"], told["is_last"]) == ("Hello there.", True, True)
    assert close == Close(1000)
    assert held.does(HELLO, FINALIZE, CLOSE_STREAM) == [], "nothing is said after it"


def test_the_end_without_words() -> None:
    final, close = Held().does(CLOSE_STREAM)
    assert isinstance(final, Answer)
    assert json.loads(final.message)["is_last"]
    assert close == Close()


def test_what_there_was_of_a_frame_counts() -> None:
    held = Held()
    held.does(silence(20)[:-1], CLOSE_STREAM)
    assert held.session.heard_ms == 20


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("{", "expected JSON with a type"),
        ("[]", "expected JSON with a type"),
        ('{"type":7}', "expected JSON with a type"),
        ("{}", "expected JSON with a type"),
        ("\ud800", "expected JSON with a type"),
        ('{"type":"sing"}', "Unknown message type: 'sing'"),
    ],
)
def test_what_is_no_message(message: str, told: str) -> None:
    held = Held()
    (error,) = held.tells(message)
    assert (error["type"], error["status"]) == ("error", "error")
    assert told in error["message"]
    assert held.stats.errors == 1
    assert held.finals(HELLO, FINALIZE) == ["Hello there."], "the session goes on"


def test_keepalive() -> None:
    held = Held()
    assert held.tells('{"type":"keepalive"}') == [{"type": "pong"}]
    assert held.stats.keepalives == 1


def test_who_speaks() -> None:
    told = Held(vad_events=True).tells(silence(500) + HELLO + silence(900))
    events = [message for message in told if message["type"] != "transcription"]
    sound_s = (len(HELLO) - 320) / 8000
    assert events == [
        {"type": "speech_started", "session_id": "stt_1", "timestamp": 0.5},
        {"type": "speech_ended", "session_id": "stt_1", "timestamp": pytest.approx(0.5 + sound_s)},
    ]
    assert told[0] == events[0]
    assert told[-1] == events[1], "words are told while somebody speaks"


def test_words_with_their_times() -> None:
    (final,) = Held(word_timestamps=True).tells(silence(500) + HELLO, FINALIZE)[-1:]
    hello, there = final["words"]
    assert (hello["word"], hello["start"]) == ("Hello", 0.5)
    assert there["start"] == hello["end"] < there["end"]
    assert 0 < hello["confidence"] <= 1
    assert "speaker" not in hello


def test_who_said_a_word() -> None:
    final = Held(diarize=True).tells(HELLO, FINALIZE)[-1]
    assert [word["speaker"] for word in final["words"]] == [0, 0]


def test_sentences() -> None:
    final = Held(sentence_timestamps=True).tells(SENTENCES, FINALIZE)[-1]
    assert [sentence["text"] for sentence in final["utterances"]] == ["One.", "Two three"]
    assert final["utterances"][0]["end"] <= final["utterances"][1]["start"]


def test_all_that_was_said() -> None:
    held = Held(full_transcript=True)
    assert held.tells(HELLO, FINALIZE)[-1]["full_transcript"] == "Hello there."
    told = held.tells(SENTENCES, FINALIZE)
    assert told[0]["full_transcript"] == "Hello there."
    assert told[-1]["full_transcript"] == "Hello there. One. Two three"


def test_what_is_private_is_nowhere() -> None:
    held = Held(redact_pii=True, word_timestamps=True, full_transcript=True, sentence_timestamps=True)
    said = held.does(NUMBER, FINALIZE)
    assert not [
        answer for answer in said if isinstance(answer, Answer) and "5550100199" in str(answer.message)
    ]
    final = held.tells(FINALIZE, NUMBER, FINALIZE)[-1]
    assert final["transcript"] == "Call [PHONENUMBER_1] please."
    assert final["redacted_entities"] == ["[PHONENUMBER_1]"]
    assert list(held.stats.transcripts) == ["Call [PHONENUMBER_1] please."] * 2


def test_so_many_words_are_a_final() -> None:
    assert Held(max_words=1).finals(HELLO + silence(900)) == ["Hello", "there."]


@pytest.mark.parametrize(
    ("language", "told"), [("hi", "hi"), ("yue", "yue"), ("north_indic", "hi"), ("multi", "en")]
)
def test_the_language(language: str, told: str) -> None:
    assert Held(language=language).tells(FINALIZE)[0]["language"] == told


def test_how_late_answers_are() -> None:
    options = PulseEmulatorOptions(partial_ms=70, final_ms=30)
    answers = Held(options, vad_events=True).does(HELLO, FINALIZE)
    assert [answer.late_ms for answer in answers if isinstance(answer, Answer)] == [70, 70, 70, 30]


def test_partials_are_no_nearer_than_asked() -> None:
    assert len(Held(PulseEmulatorOptions(partial_every_ms=5000)).tells(HELLO * 3)) == 0
    often = Held(PulseEmulatorOptions(partial_every_ms=20))
    assert often.tells(silence(20) + HELLO)[0]["transcript"] == "Hello"
    assert often.stats.partials == 2


@settings(max_examples=at_most(15), deadline=None)
@given(st.lists(st.integers(1, 5000), max_size=20))
def test_how_audio_is_cut_does_not_matter(sizes: list[int]) -> None:
    audio, cut = silence(100) + HELLO + silence(900) + NUMBER, []
    for size in [*sizes, len(audio)]:
        cut.append(audio[:size])
        audio = audio[size:]
    whole = Held(vad_events=True, word_timestamps=True).tells(b"".join(cut), CLOSE_STREAM)
    assert Held(vad_events=True, word_timestamps=True).tells(*cut, CLOSE_STREAM) == whole


def test_silence_on_the_socket_ends_it() -> None:
    held = Held(PulseEmulatorOptions(idle_timeout_s=7))
    error, close = held.session.expire()
    assert isinstance(error, Answer)
    assert "7 seconds of inactivity" in str(error.message)
    assert close == Close()
    assert held.stats.idle_closed == 1


# -- faults ------------------------------------------------------------------------------------------------------------


def test_finalize_can_be_left_unanswered() -> None:
    held = Held(PulseEmulatorOptions(ignore_finalize=True))
    assert held.finals(HELLO, FINALIZE) == []
    assert held.finals(silence(900)) == ["Hello there."], "but silence is"
    assert held.stats.faults == 1


def test_garbage_comes_before_each_answer() -> None:
    held = Held(PulseEmulatorOptions(garbage=True, final_ms=5))
    answers = held.does(FINALIZE)
    assert len(answers) > 4
    assert all(isinstance(answer, Answer) and answer.late_ms == 5 for answer in answers)
    assert isinstance(answers[-1], Answer)
    assert json.loads(answers[-1].message)["is_final"]


def test_a_flood_comes_with_each_piece_of_audio() -> None:
    held = Held(PulseEmulatorOptions(flood=50))
    assert len(held.tells(silence(20))) == 50
    assert held.tells(FINALIZE)[-1]["is_final"]


@pytest.mark.parametrize("piece_ms", [20, 500, 5000])
def test_the_socket_is_dropped_after_so_much_audio(piece_ms: int) -> None:
    held = Held(PulseEmulatorOptions(drop_after_ms=300))
    actions = held.does(*[silence(piece_ms)] * (5000 // piece_ms))
    assert actions == [Drop()]
    assert held.session.heard_ms == 300


def test_an_error_after_so_much_audio() -> None:
    error, close = Held(PulseEmulatorOptions(error_after_ms=300)).does(silence(1000))
    assert isinstance(error, Answer)
    assert json.loads(error.message)["type"] == "error"
    assert close == Close(1008)


def test_a_socket_that_is_not_meant_has_no_faults() -> None:
    options = PulseEmulatorOptions(
        ignore_finalize=True, garbage=True, flood=9, drop_after_ms=1, error_after_ms=1, faulty_sockets=1
    )
    assert len(Held(options, faulty=False).tells(silence(100), FINALIZE)) == 1
