"""One socket of the emulated `/waves/v1/tts/live`, without the socket: messages and `now` in, actions out.

Strategy:

- A `LightningSession` never awaits and never reads a clock. It says what to send, which synthesis to begin or
  stop and when to close; whoever holds the socket does it, and reports back with `finished` or `failed`.
- An `Account` is what all sockets share: the units of concurrency, the ids, the counts. A unit belongs to a
  synthesis from its request until just before its `complete` goes out, so that a client that has seen
  `complete` can always ask again.
- Where the sources leave Lightning's behaviour open, this is what was chosen: overlapping requests of one
  socket run side by side, a unit each; a refused request leaves the socket open; `cancel_request` stops what
  is spoken and drops what is buffered, is not acknowledged, and gives no `complete`; running syntheses keep
  the socket from going idle.
- Continuations (`context_id`) are refused so far. They will be more buffers beside `_buffer`, one per
  context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import msgspec

from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats
from bridge.emulators.lightning_refusals import Refusal, refused
from bridge.emulators.lightning_requests import (
    TIMED_LANGUAGES,
    TIMED_VOICES,
    Issue,
    SpeechRequest,
    blank_text,
    external_ids,
    issues_in,
    request_from,
)
from bridge.emulators.speech_engine import TimedWord

KEEPALIVES: Final = frozenset({"ping", "keepalive", "keep_alive", "keep-alive"})
MAX_IDLE_TIMEOUT_S: Final = 180.0
#: Buffered text is released when it is longer than Lightning's biggest chunk.
MAX_BUFFERED_CHARS: Final = 250


@dataclass(frozen=True, slots=True, eq=False)
class Synthesis:
    """One synthesis, and how each of its messages is written."""

    request: SpeechRequest
    #: Counted from 1 over the life of the emulator.
    number: int
    #: Whether the client asked for the words' times and this voice has them.
    timed: bool
    #: The ids that every message of it carries: a JSON object without its last brace.
    head: bytes

    def chunk(self, audio_base64: bytes) -> bytes:
        """The message with a piece of audio."""
        return b'%b,"status":"chunk","data":{"audio":"%b"}}' % (self.head, audio_base64)

    def word(self, index: int, word: TimedWord) -> bytes:
        """The message with the time of the word `index`, counted from 0."""
        start_s, end_s = round(word.start_ms / 1000, 3), round(word.end_ms / 1000, 3)
        data = msgspec.json.encode({"id": index, "word": word.text, "start": start_s, "end": end_s})
        return b'%b,"status":"word_timestamp","data":%b}' % (self.head, data)

    def complete(self) -> bytes:
        """The message that ends it."""
        return b'%b,"status":"complete"}' % self.head

    def error(self, blame: Mapping[str, object]) -> bytes:
        """The message that ends it badly."""
        return b'%b,"status":"error",%b' % (self.head, msgspec.json.encode(blame)[1:])


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text message."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """Speak; report `finished` when `complete` is due, or `failed`."""

    synthesis: Synthesis


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop speaking; nothing is to be reported any more."""

    synthesis: Synthesis


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: int = 1000


Action: TypeAlias = Send | Begin | Stop | Close


@dataclass(slots=True)
class Account:
    """What all sockets of an emulator share."""

    options: EmulatorOptions = field(default_factory=EmulatorOptions)
    stats: EmulatorStats = field(default_factory=EmulatorStats)

    def take_unit(self) -> bool:
        """Take a unit of concurrency, unless none is left."""
        limit, stats = self.options.concurrency, self.stats
        if limit and stats.active >= limit:
            stats.over_concurrency += 1
            return False
        stats.active += 1
        stats.max_active = max(stats.max_active, stats.active)
        return True

    def return_unit(self) -> None:
        """Give a unit back."""
        self.stats.active -= 1

    def has_room_for_socket(self) -> bool:
        """Whether one more open socket is within `sockets_per_unit`, counting it already."""
        limit = self.options.sockets_per_unit * self.options.concurrency
        return not limit or self.stats.open_connections <= limit


class LightningSession:
    """The state of one socket."""

    def __init__(self, account: Account, session_id: str, *, idle_timeout_s: float, now: float) -> None:
        """`now` is in seconds on any monotonic clock, here and everywhere below."""
        self._account = account
        self._session_id = session_id
        self._idle_timeout_s = idle_timeout_s
        self._heard_at = now
        self._active: set[Synthesis] = set()
        self._buffer = ""
        #: What the buffered text is spoken with, and when it is released by itself.
        self._pending: Mapping[str, object] = {}
        self._release_at: float | None = None

    @property
    def deadline(self) -> float:
        """When `expire` must be called, unless a message comes first."""
        idle_at = self._heard_at + self._idle_timeout_s
        return idle_at if self._release_at is None else min(idle_at, self._release_at)

    def receive(self, message: str | bytes, now: float) -> list[Action]:
        """What to do about `message`. Anything may be in it; nothing is raised."""
        self._heard_at = now
        fields = _decode(message)
        if fields is None:
            return [self._error("Invalid JSON message", "INVALID_JSON", {})]
        kind = fields.get("type")
        if isinstance(kind, str) and kind in KEEPALIVES:
            self._account.stats.pings += 1
            return [Send(b'{"type":"pong"}')]
        if issues := issues_in(fields, strict_voices=self._account.options.strict_voices):
            return [self._refusal(issues, fields)]
        return self._cancel() if fields.get("cancel_request") else self._take_text(fields, now)

    def finished(self, synthesis: Synthesis, now: float) -> list[Action]:
        """The audio of `synthesis` is out and its `complete` is due: what to send."""
        if not self._end(synthesis):
            return []
        self._heard_at = max(self._heard_at, now)
        self._account.stats.completed += 1
        done: list[Action] = [Send(synthesis.complete())]
        return [*done, Close()] if self._account.options.close_after_complete else done

    def failed(self, synthesis: Synthesis, reason: str) -> list[Action]:
        """The engine could not speak it: what to send."""
        if not self._end(synthesis):
            return []
        self._account.stats.errors += 1
        return [Send(synthesis.error(self._blame(reason, "INTERNAL_ERROR")))]

    def expire(self, now: float) -> list[Action]:
        """What the passing of time asks for; nothing before `deadline`."""
        if self._release_at is not None and now >= self._release_at:
            return self._speak(self._pending, self._drain_buffer())
        if now < self._heard_at + self._idle_timeout_s:
            return []
        if self._active:
            self._heard_at = now
            return []
        self._account.stats.idle_closed += 1
        reason = f"Connection timed out after {self._idle_timeout_s:g} seconds of inactivity"
        return [Send(msgspec.json.encode({"status": "error", **self._blame(reason)})), Close()]

    def closed(self) -> list[Action]:
        """The socket is gone: everything of it ends."""
        return self._cancel()

    def _take_text(self, fields: Mapping[str, object], now: float) -> list[Action]:
        """Keep the text of a request for more to come, or speak it with what was kept."""
        request = request_from(fields)
        had_text = bool(self._buffer)
        if had_text:  # what closes a buffer need not repeat what opened it
            fields = {**self._pending, **{name: value for name, value in fields.items() if value is not None}}
        text = self._buffer + request.text
        if request.continues and not request.flush and len(text) <= MAX_BUFFERED_CHARS:
            self._keep(fields, text, request.max_buffer_flush_ms, now)
            return []
        self._drain_buffer()
        if text.strip():
            return self._speak(fields, text)
        # A flush of nothing gives nothing, not even `complete`; a request of nothing is refused.
        quiet = had_text or request.continues or (request.flush and not request.text)
        return [] if quiet else [self._refusal([blank_text()], fields)]

    def _keep(self, fields: Mapping[str, object], text: str, flush_ms: float, now: float) -> None:
        self._buffer, self._pending = text, fields
        if flush_ms and self._release_at is None:
            self._release_at = now + flush_ms / 1000

    def _drain_buffer(self) -> str:
        text, self._buffer, self._release_at = self._buffer, "", None
        return text

    def _speak(self, fields: Mapping[str, object], text: str) -> list[Action]:
        stats = self._account.stats
        if not text.strip():
            return []
        if not self._account.take_unit():
            limit = self._account.options.concurrency
            message = f"Concurrency limit reached: {limit} of {limit} requests are active"
            return [self._error(message, "CONCURRENCY_LIMIT_EXCEEDED", fields)]
        stats.requests += 1
        stats.chars += len(text)
        stats.texts.append(text)
        stats.last_request = dict(fields)
        synthesis = self._synthesis(replace(request_from(fields), text=text), fields)
        self._active.add(synthesis)
        return [Begin(synthesis)]

    def _synthesis(self, request: SpeechRequest, fields: Mapping[str, object]) -> Synthesis:
        number = self._account.stats.requests
        ids = {"session_id": self._session_id, "request_id": f"task_{number:08x}", **external_ids(fields)}
        known = request.voice_id in TIMED_VOICES and request.language in TIMED_LANGUAGES
        timed = request.word_timestamps and (known or self._account.options.words_for_any_voice)
        return Synthesis(request, number, timed, msgspec.json.encode(ids)[:-1])

    def _cancel(self) -> list[Action]:
        self._drain_buffer()
        stopped = sorted(self._active, key=lambda synthesis: synthesis.number)
        for synthesis in stopped:
            self._end(synthesis)
            self._account.stats.cancelled += 1
        return [Stop(synthesis) for synthesis in stopped]

    def _end(self, synthesis: Synthesis) -> bool:
        """Return the unit of `synthesis`; False when it was over already."""
        if synthesis not in self._active:
            return False
        self._active.remove(synthesis)
        self._account.return_unit()
        return True

    def _refusal(self, issues: Sequence[Issue], fields: Mapping[str, object]) -> Send:
        message = "; ".join(issue.message for issue in issues)
        return self._error(message, issues[0].code, fields, issues)

    def _error(
        self, message: str, code: str, fields: Mapping[str, object], issues: Sequence[Issue] = ()
    ) -> Send:
        self._account.stats.errors += 1
        ids = {"session_id": self._session_id, **external_ids(fields)}
        return Send(msgspec.json.encode({**ids, "status": "error", **self._blame(message, code, issues)}))

    def _blame(self, message: str, code: str = "", issues: Sequence[Issue] = ()) -> dict[str, object]:
        """What tells an error, in the shape that the options ask for."""
        if self._account.options.nested_errors:
            return {"error": {"message": message, "code": code}}
        told: dict[str, object] = {"message": message}
        if code:
            told["error_code"] = code
        if issues:
            told["error"] = [issue.wire() for issue in issues]
        return told


def _decode(message: str | bytes) -> dict[str, object] | None:
    try:
        fields = msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return fields if isinstance(fields, dict) else None


def idle_timeout_s(query: str | None, default_s: float) -> float:
    """What ``?timeout=`` asks for, in seconds: a positive whole number, at most 180; else the default."""
    asked = query or ""
    if not (asked.isascii() and asked.isdecimal() and int(asked[:9])):
        return default_s
    return min(float(asked[:9]), MAX_IDLE_TIMEOUT_S)


def handshake_refusal(authorization: str, options: EmulatorOptions) -> Refusal | None:
    """What a handshake, or a request over HTTP, is refused with, or None."""
    if options.refuse:
        return refused(options.refuse)
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer" and key.strip() and options.accepts(key.strip()):
        return None
    return refused(401)
