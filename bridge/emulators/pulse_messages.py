"""What the emulated Pulse says, as it is written on the wire. No I/O.

Facts, from asyncapi/stt-live-ws.yaml of Smallest AI's documentation: a transcript is told twice, as `transcript` and as
`transcription`, because clients read one or the other. From livekit-plugins-smallestai: speakers are numbers, where the
documentation has text, and the language stands in finals. The `timestamp` of who speaks is taken to be in seconds, as
the words' times are: no source says.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bridge.emulators.pulse_query import PulseQuery
from bridge.emulators.pulse_words import redacted_in, sentences_of, transcript_of
from bridge.emulators.recogniser import RecognisedWord

PONG: Final = '{"type":"pong"}'

_CONFIDENCE: Final = 0.98
#: What is found out where the query leaves it open.
_FOUND_OUT: Final = {"north_indic": "hi", "multi-asian": "zh", "multi-south-indic": "ta", "multi": "en"}


class PulseMessages:
    """Writes the messages of one socket, with what its query asks to be in them."""

    def __init__(self, query: PulseQuery, session_id: str) -> None:
        self._query, self._session_id = query, session_id
        self._said_for_good: list[str] = []

    def guess(self, words: list[RecognisedWord]) -> str:
        """Words that may still change."""
        return _json(self._transcription(words, is_final=False, is_last=False))

    def final(self, words: list[RecognisedWord], *, from_finalize: bool, is_last: bool) -> str:
        """Words that will not. With none it is an answer all the same."""
        if words:
            self._said_for_good.append(transcript_of(words))
        told = self._transcription(words, is_final=True, is_last=is_last)
        told["language"] = _FOUND_OUT.get(self._query.language, self._query.language)
        if from_finalize:
            told["from_finalize"] = True
        return _json(told)

    def voice_event(self, kind: str, at_ms: float) -> str:
        """Somebody began to speak, or stopped, so far into the audio."""
        return _json({"type": kind, "session_id": self._session_id, "timestamp": at_ms / 1000})

    def _transcription(
        self, words: list[RecognisedWord], *, is_final: bool, is_last: bool
    ) -> dict[str, object]:
        transcript = transcript_of(words)
        told: dict[str, object] = {
            "type": "transcription",
            "status": "success",
            "session_id": self._session_id,
            "transcript": transcript,
            "transcription": transcript,
            "is_final": is_final,
            "is_last": is_last,
        }
        return told | self._details(words)

    def _details(self, words: list[RecognisedWord]) -> dict[str, object]:
        query, told = self._query, dict[str, object]()
        if query.word_timestamps or query.diarize:
            told["words"] = [self._word(word) for word in words]
        if query.sentence_timestamps:
            told["utterances"] = [_sentence(sentence) for sentence in sentences_of(words)]
        if query.full_transcript:
            told["full_transcript"] = " ".join(self._said_for_good)
        if redacted := redacted_in(words):
            told["redacted_entities"] = redacted
        return told

    def _word(self, word: RecognisedWord) -> dict[str, object]:
        told: dict[str, object] = {"word": word.text, **_times(word, word), "confidence": _CONFIDENCE}
        return told | {"speaker": 0, "speaker_confidence": _CONFIDENCE} if self._query.diarize else told


def error_message(message: str) -> str:
    """Something went wrong."""
    return _json({"type": "error", "status": "error", "message": message})


def _sentence(words: list[RecognisedWord]) -> dict[str, object]:
    return {"text": transcript_of(words), **_times(words[0], words[-1])}


def _times(first: RecognisedWord, last: RecognisedWord) -> dict[str, object]:
    """In seconds."""
    return {"start": round(first.start_ms / 1000, 3), "end": round(last.end_ms / 1000, 3)}


def _json(told: dict[str, object]) -> str:
    return msgspec.json.encode(told).decode()
