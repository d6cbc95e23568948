"""What is said on one socket of the emulated Pulse: audio and messages in, answers out. No I/O, no clock.

Strategy:

- Time is counted in the audio that came in, frame by frame of 20 ms, so the same bytes get the same answers. How late
  an answer is in real time is written on it, and is the business of who sends it.
- A final ends what is not final yet. One is due when an utterance is followed by `ends_after_ms` of silence, when it
  has `max_words`, and when it is asked for: then there is one with or without words, and it says `from_finalize`.
- Whether anybody speaks is told by the level alone, as the real one tells it by the sound, whatever the words are.
- Faults that are in what is said are made here, from options; those of the socket are made by who holds it.

Facts, from lightning.md 9, asyncapi/stt-live-ws.yaml of Smallest AI's documentation, and livekit-plugins-smallestai,
which relies on it that a final comes before the ``speech_ended`` of its utterance, and that ``keepalive`` is answered.
No source tells how long a socket may be idle, nor whether ``endpointing=false`` leaves `eou_timeout_ms` in force: here
it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from bridge.emulators.pulse_audio import MulawOf
from bridge.emulators.pulse_messages import PONG, PulseMessages, error_message
from bridge.emulators.pulse_options import PulseEmulatorOptions, PulseEmulatorStats
from bridge.emulators.pulse_query import PulseQuery
from bridge.emulators.pulse_words import transcript_of, worded
from bridge.emulators.recogniser import FRAME_BYTES, FRAME_MS, RecognisedWord, Recognition, is_sound
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.reframer import Reframer

#: Sound that lasts so long is somebody who speaks.
_SPEECH_MS: Final = 60
#: Silence after which nobody speaks any more, where the query does not say.
_STOPS_AFTER_MS: Final = 600
_NORMAL, _POLICY_VIOLATION = 1000, 1008
#: What no client can read, one after the other: broken, of another shape, of wrong types, not text at all.
_GARBAGE: Final[tuple[str | bytes, ...]] = (
    '{"type":"transcription","transcript":"hel',
    "[]",
    '{"type":"transcription","transcript":17,"is_final":"perhaps","session_id":null}',
    '{"type":"weather","status":"fair"}',
    b"\x00\xff\xfe",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Send this message `late_ms` from now, but not before the ones before it."""

    message: str | bytes
    late_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket, after all that was answered."""

    code: int = _NORMAL


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut the socket without a goodbye."""


Action: TypeAlias = Answer | Close | Drop


class _Command(msgspec.Struct):
    """A message of the client."""

    type: str


class PulseSession:
    """One socket, from its handshake to its end."""

    def __init__(
        self,
        options: PulseEmulatorOptions,
        stats: PulseEmulatorStats,
        query: PulseQuery,
        recognition: Recognition,
        *,
        session_id: str,
        faulty: bool = True,
    ) -> None:
        """`faulty`: whether the faults in `options` are for this one."""
        self._options = options
        self._faults = options if faulty else PulseEmulatorOptions()
        self._stats, self._query, self._recognition = stats, query, recognition
        self._messages = PulseMessages(query, session_id)
        self._mulaw = MulawOf(query)
        self._frames = Reframer(FRAME_BYTES)
        self._heard_ms = 0
        #: Sound, and silence, without a break until now.
        self._sound_ms = self._quiet_ms = 0
        self._speaking = False
        self._partial_due_ms = 0.0
        self._partial = ""
        self._over = False

    @property
    def heard_ms(self) -> int:
        """Audio that came in so far."""
        return self._heard_ms

    def receive(self, message: str | bytes) -> list[Action]:
        """What to do about the client's next message: audio when it is bytes."""
        if self._over:
            return []
        if isinstance(message, bytes):
            return self._hear(self._mulaw.feed(message)) + self._flooding()
        try:
            command = msgspec.json.decode(message, type=_Command).type
        except (msgspec.DecodeError, UnicodeEncodeError):
            return [self._error("Invalid message: expected JSON with a type")]
        return self._obey(command)

    def expire(self) -> list[Action]:
        """Nothing came for `idle_timeout_s`."""
        self._over = True
        self._stats.idle_closed += 1
        told = f"Connection timed out after {self._options.idle_timeout_s:g} seconds of inactivity"
        return [self._error(told), Close()]

    def _obey(self, command: str) -> list[Action]:
        match command:
            case "finalize":
                return self._finalize()
            case "close_stream" | "end":  # older clients say `end`
                return self._end()
            case "keepalive":
                self._stats.keepalives += 1
                return [Answer(PONG)]
        return [self._error(f"Unknown message type: {command[:64]!r}")]

    def _finalize(self) -> list[Action]:
        self._stats.finalizes += 1
        if self._faults.ignore_finalize:
            self._stats.faults += 1
            return []
        return self._final(self._recognition.finish(), from_finalize=True)

    def _end(self) -> list[Action]:
        actions = self._hear(self._mulaw.flush())
        actions += self._hear(self._frames.flush(MULAW_8K.silent_sample))
        if self._over:
            return actions
        self._over = True
        return [*actions, *self._final(self._recognition.finish(), is_last=True), Close()]

    # -- audio ---------------------------------------------------------------------------------------------------------

    def _hear(self, mulaw: bytes) -> list[Action]:
        actions: list[Action] = []
        for frame in self._frames.feed(mulaw):
            if self._over:
                break
            self._recognition.feed(frame)
            self._heard_ms += FRAME_MS
            self._stats.audio_ms += FRAME_MS
            self._watch(is_sound(frame))
            # To livekit's plugin a final after `speech_ended` is another turn.
            actions += [*self._begin(), *self._tell(), *self._stop(), *self._strike()]
        return actions

    def _watch(self, sound: bool) -> None:
        self._sound_ms = self._sound_ms + FRAME_MS if sound else 0
        self._quiet_ms = 0 if sound else self._quiet_ms + FRAME_MS

    def _begin(self) -> list[Action]:
        if self._speaking or self._sound_ms < _SPEECH_MS:
            return []
        self._speaking = True
        return self._voice_event("speech_started", self._heard_ms - self._sound_ms)

    def _stop(self) -> list[Action]:
        if not self._speaking or self._quiet_ms < (self._query.ends_after_ms or _STOPS_AFTER_MS):
            return []
        self._speaking = False
        return self._voice_event("speech_ended", self._heard_ms - self._quiet_ms)

    def _tell(self) -> list[Action]:
        """What is due by itself: a final, or else words that are not."""
        ends_after_ms = self._query.ends_after_ms
        if self._speaking and ends_after_ms is not None and self._quiet_ms >= ends_after_ms:
            return self._final_with_words(self._recognition.finish())
        if self._heard_ms < self._partial_due_ms:
            return []
        self._partial_due_ms = self._heard_ms + self._options.partial_every_ms
        words = self._recognition.words()
        if self._query.max_words and len(words) >= self._query.max_words:
            return self._final_with_words(self._recognition.finish())
        return self._guess(words)

    def _strike(self) -> list[Action]:
        """The faults that are due by the audio heard."""
        faults = self._faults
        if faults.drop_after_ms is not None and self._heard_ms >= faults.drop_after_ms:
            self._over = True
            self._stats.faults += 1
            return [Drop()]
        if faults.error_after_ms is not None and self._heard_ms >= faults.error_after_ms:
            self._over = True
            self._stats.faults += 1
            return [self._error("Internal server error"), Close(_POLICY_VIOLATION)]
        return []

    def _flooding(self) -> list[Action]:
        if not self._faults.flood or self._over:
            return []
        self._stats.faults += 1
        spam = self._messages.guess(self._written(self._recognition.words()))
        return [Answer(spam)] * self._faults.flood

    # -- answers -------------------------------------------------------------------------------------------------------

    def _guess(self, recognised: Sequence[RecognisedWord]) -> list[Action]:
        words = self._written(recognised)
        transcript = transcript_of(words)
        if transcript in ("", self._partial):
            return []
        self._partial = transcript
        self._stats.partials += 1
        return self._answer(self._messages.guess(words), self._options.partial_ms)

    def _final_with_words(self, recognised: Sequence[RecognisedWord]) -> list[Action]:
        return self._final(recognised) if recognised else []

    def _final(
        self, recognised: Sequence[RecognisedWord], *, from_finalize: bool = False, is_last: bool = False
    ) -> list[Action]:
        words = self._written(recognised)
        self._partial = ""
        self._stats.finals += 1
        if words:
            self._stats.transcripts.append(transcript_of(words))
        message = self._messages.final(words, from_finalize=from_finalize, is_last=is_last)
        return self._answer(message, self._options.final_ms)

    def _answer(self, message: str, late_ms: float) -> list[Action]:
        answer = Answer(message, late_ms)
        if not self._faults.garbage:
            return [answer]
        self._stats.faults += 1
        return [*(Answer(unreadable, late_ms) for unreadable in _GARBAGE), answer]

    def _written(self, recognised: Sequence[RecognisedWord]) -> list[RecognisedWord]:
        return worded(recognised, self._query)

    def _voice_event(self, kind: str, at_ms: float) -> list[Action]:
        if not self._query.vad_events:
            return []
        return self._answer(self._messages.voice_event(kind, at_ms), self._options.partial_ms)

    def _error(self, message: str) -> Answer:
        self._stats.errors += 1
        return Answer(error_message(message))
