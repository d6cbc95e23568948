"""One session of the emulated `/waves/v1/lightning-v4/live`, without the socket: events and `now` in, actions out.

Strategy:

- What the voice is like is in the query string and holds for the whole session. What is wrong with it is told
  once the socket is open, because the real one does not refuse the handshake either.
- Turns are spoken one at a time, in the order they came. A turn has a unit of concurrency only while it is
  spoken, so a turn that waits in the queue costs nothing.
- `interrupt` stops the turn and drops the queue. Its acknowledgement goes out after the last frame of the turn,
  which may be late if the options say so.
- Where the sources are silent: `interrupt` with nothing to stop is acknowledged all the same, without a
  `turn_id`; over the account's concurrency a turn is refused with an `error` that names it; the idle timeout is
  that of `/tts/live`.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import msgspec

from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_protocol import Account, Close, Send
from bridge.emulators.lightning_refusals import concurrency_message, idle_message
from bridge.emulators.lightning_requests import MAX_TEXT_CHARS, SpeechRequest, json_object
from bridge.emulators.lightning_voices import ids_of

V4_MODEL: Final = "lightning_v4"
V4_VOICES: Final = ids_of("lightning-v4")
V4_LANGUAGES: Final = ("en", "auto")
V4_SAMPLE_RATES_HZ: Final = (8000, 16000, 24000, 44100, 48000)
FILTER_ACTIONS: Final = ("reject", "flag")

POLICY_VIOLATION: Final = 1008
_DEFAULTS: Final = SpeechRequest(
    model=V4_MODEL, voice_id=V4_VOICES[0], language="en", sample_rate_hz=V4_SAMPLE_RATES_HZ[-1]
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why there will be no session: what is said, if anything, before the socket is closed with `close_code`."""

    close_code: int = POLICY_VIOLATION
    message: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One utterance that is being spoken."""

    turn_id: str
    request: SpeechRequest
    #: Counted from 1 over the life of the emulator.
    number: int


@dataclass(frozen=True, slots=True)
class BeginTurn:
    """Speak; report `finished` when all audio is out, or `failed`."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class StopTurn:
    """Stop speaking; report `stopped` when the last frame is out."""

    turn: Turn


V4Action: TypeAlias = Send | BeginTurn | StopTurn | Close


def settings_in(query: Mapping[str, str], options: EmulatorOptions) -> SpeechRequest | Rejection:
    """What `query` asks every turn to be spoken with, or why it is not accepted."""
    if not options.v4_access:
        return _rejection("model_access_denied", "This account has no access to lightning_v4")
    rate_hz = query.get("sample_rate", str(_DEFAULTS.sample_rate_hz))
    if rate_hz not in map(str, V4_SAMPLE_RATES_HZ):
        return Rejection()
    voice_id = query.get("voice_id", _DEFAULTS.voice_id)
    if options.strict_voices and voice_id not in V4_VOICES:
        return _rejection("invalid_voice", f"Invalid voice_id: {voice_id}")
    if problem := _query_problem(query):
        return _rejection("invalid_query", problem)
    return replace(
        _DEFAULTS,
        voice_id=voice_id,
        language=query.get("language", _DEFAULTS.language),
        sample_rate_hz=int(rate_hz),
        speed=float(query.get("speed", "1")),
    )


def _query_problem(query: Mapping[str, str]) -> str:
    choices = {
        "language": V4_LANGUAGES,
        "output_format": ("pcm",),
        "content_filter": ("true", "false"),
        "content_filter_action": FILTER_ACTIONS,
    }
    for name, allowed in choices.items():
        if query.get(name, allowed[0]) not in allowed:
            return f"{name} must be one of {', '.join(allowed)}"
    return "" if _is_speed(query.get("speed", "1")) else "speed must be between 0.5 and 2"


def _is_speed(text: str) -> bool:
    try:
        return 0.5 <= float(text) <= 2
    except ValueError:
        return False


def _rejection(code: str, message: str) -> Rejection:
    told = {"status": "error", "error": {"code": code, "message": message}}
    return Rejection(message=msgspec.json.encode(told))


class V4Session:
    """The state of one socket.

    Args:
        settings: what every turn is spoken with; its text is left out.
        now: in seconds on any monotonic clock, here and everywhere below.
    """

    def __init__(
        self,
        account: Account,
        session_id: str,
        settings: SpeechRequest,
        *,
        idle_timeout_s: float,
        now: float,
    ) -> None:
        self._account, self._session_id, self._settings = account, session_id, settings
        self._idle_timeout_s, self._heard_at = idle_timeout_s, now
        self._queue: deque[tuple[str, str, Mapping[str, object]]] = deque()
        self._turn: Turn | None = None
        self._stopping: Turn | None = None

    @property
    def deadline(self) -> float:
        """When `expire` must be called, unless an event comes first."""
        return self._heard_at + self._idle_timeout_s

    def opened(self) -> list[V4Action]:
        """The socket is open: what to say first."""
        return [
            _send({"event": "ready", "session_id": self._session_id}),
            _send({"event": "ready", "sample_rate": self._settings.sample_rate_hz}),
        ]

    def receive(self, message: str | bytes, now: float) -> list[V4Action]:
        """What to do about `message`. Anything may be in it; nothing is raised."""
        self._heard_at = now
        fields = json_object(message) or {}
        match fields.get("event"):
            case "speak":
                return self._speak(fields)
            case "interrupt":
                return self._interrupt()
            case "user_audio":
                return self._hear(fields)
            case "end":
                return [*self._drop(), Close()]
            case _:
                return [self._error("bad_frame", "Expected a JSON object with a known event")]

    def finished(self, turn: Turn, chunks: int, now: float) -> list[V4Action]:
        """All audio of `turn` is out."""
        if turn is not self._turn:
            return []
        self._heard_at = max(self._heard_at, now)
        self._account.stats.completed += 1
        self._end()
        return [_send({"event": "turn_end", "turn_id": turn.turn_id, "chunks": chunks}), *self._next()]

    def failed(self, turn: Turn, reason: str, code: str = "internal_error") -> list[V4Action]:
        """`turn` could not be spoken, or not to its end."""
        if turn is not self._turn:
            return self.stopped(turn, 0)
        self._end()
        return [self._error(code, reason, turn.turn_id), *self._next()]

    def stopped(self, turn: Turn, chunks: int) -> list[V4Action]:
        """`turn` was interrupted and its last frame is out."""
        if turn is not self._stopping:
            return []
        self._stopping = None
        return [_send({"event": "interrupted", "turn_id": turn.turn_id, "chunks": chunks}), *self._next()]

    def expire(self, now: float) -> list[V4Action]:
        """What the passing of time asks for; nothing before `deadline`."""
        if now < self.deadline:
            return []
        if self._turn:
            self._heard_at = now
            return []
        self._account.stats.idle_closed += 1
        return [self._error("idle_timeout", idle_message(self._idle_timeout_s)), Close()]

    def closed(self) -> None:
        """The socket is gone: everything of it ends."""
        self._drop()

    def _speak(self, fields: Mapping[str, object]) -> list[V4Action]:
        turn_id, text = fields.get("turn_id"), fields.get("text")
        if not (isinstance(turn_id, str) and 0 < len(turn_id) <= 128):
            return [self._error("bad_frame", "turn_id must be a string of 1 to 128 characters")]
        if not (isinstance(text, str) and text.strip() and len(text) <= MAX_TEXT_CHARS):
            return [self._error("bad_frame", f"text must be 1 to {MAX_TEXT_CHARS} characters", turn_id)]
        self._queue.append((turn_id, text, fields))
        return self._next()

    def _hear(self, fields: Mapping[str, object]) -> list[V4Action]:
        """The caller's turn, which the real one tunes its voice by."""
        if _is_user_audio(fields):
            return []
        return [self._error("bad_user_audio", "Expected text, and audio as a WAV in base64")]

    def _next(self) -> list[V4Action]:
        """Begin the turn that waits longest, if none is being spoken."""
        actions: list[V4Action] = []
        while self._queue and not self._turn and not self._stopping:
            turn_id, text, fields = self._queue.popleft()
            if self._account.take_unit():
                actions += self._begin(turn_id, text, self._account.began(text, fields))
            else:
                reason = concurrency_message(self._account.options.concurrency)
                actions.append(self._error("concurrency_limit_exceeded", reason, turn_id))
        return actions

    def _begin(self, turn_id: str, text: str, number: int) -> list[V4Action]:
        self._turn = Turn(turn_id, replace(self._settings, text=text), number)
        return [_send({"event": "turn_start", "turn_id": turn_id}), BeginTurn(self._turn)]

    def _interrupt(self) -> list[V4Action]:
        actions = self._drop()
        if not actions and not self._stopping:
            actions.append(_send({"event": "interrupted", "turn_id": None, "chunks": 0}))
        return actions

    def _drop(self) -> list[V4Action]:
        """End the turn that is spoken, and all that wait."""
        self._queue.clear()
        turn = self._turn
        if turn is None:
            return []
        self._end()
        self._stopping = turn
        self._account.stats.cancelled += 1
        return [StopTurn(turn)]

    def _end(self) -> None:
        self._turn = None
        self._account.return_unit()

    def _error(self, code: str, message: str, turn_id: str = "") -> Send:
        self._account.stats.errors += 1
        told = {"event": "error", "code": code, "message": message}
        return _send({**told, "turn_id": turn_id} if turn_id else told)


def _send(event: Mapping[str, object]) -> Send:
    return Send(msgspec.json.encode(event))


def _is_user_audio(fields: Mapping[str, object]) -> bool:
    text, audio = fields.get("text"), fields.get("audio")
    if not (isinstance(text, str) and isinstance(audio, str)):
        return False
    try:
        return base64.b64decode(audio, validate=True).startswith(b"RIFF")
    except (binascii.Error, ValueError):
        return False
