"""One socket of the emulated Lightning, without the socket: messages and `now` in, actions out.

Strategy:

- A `LightningSession` never awaits and never reads a clock. It says what to send, which synthesis to begin or
  stop and when to close; whoever holds the socket does it, and reports back with `finished` or `failed`.
- What is taken is the business of its `Dialect`, what waits under a `context_id` that of its `Context`.
- A unit belongs to a synthesis from its request until just before its `complete` goes out, so that a client that
  has seen `complete` can always ask again. A context has one unit, from its first text until it is closed and
  all its segments are out.
- Where the sources leave Lightning's behaviour open, this is what was chosen. Overlapping requests of one
  socket run side by side, a unit each; those of one context in turn. A refused request leaves the socket open.
  A lone space is a keepalive, as one public client sends it. `cancel_request` is not acknowledged and gives no
  `complete`; it drops what is buffered, stops what is spoken (`cancel_stops_audio`), and is for one context
  where it names one. A cancelled context gives its unit back and opens anew with its next text. Running
  syntheses keep the socket from going idle. The `complete` of a segment follows its audio at once: what
  `complete_backoff_ms` waits for is more text, and a context says itself when there is no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from bridge.emulators.lightning_contexts import MAX_BUFFERED_CHARS, Context
from bridge.emulators.lightning_dialects import LIVE, Dialect
from bridge.emulators.lightning_protocol import Account, Action, Begin, Close, Send, Stop, Synthesis
from bridge.emulators.lightning_refusals import concurrency_message, idle_message
from bridge.emulators.lightning_requests import (
    TIMED_LANGUAGES,
    TIMED_VOICES,
    Fields,
    Issue,
    SpeechRequest,
    blank_text,
    json_object,
)

KEEPALIVES: Final = frozenset({"ping", "keepalive", "keep_alive", "keep-alive"})
#: What holds for one message of a context, and not for those that follow it.
_OF_ONE_MESSAGE: Final = frozenset({"text", "continue", "context_close"})


class LightningSession:
    """The state of one socket."""

    def __init__(
        self,
        account: Account,
        session_id: str,
        *,
        idle_timeout_s: float,
        now: float,
        dialect: Dialect = LIVE,
    ) -> None:
        """`now` is in seconds on any monotonic clock, here and everywhere below."""
        self._account = account
        self._session_id = session_id
        self._idle_timeout_s = idle_timeout_s
        self._heard_at = now
        self._dialect = dialect
        #: What is being spoken or waits for its turn, in the order of release, and whose segment it is.
        self._active: dict[Synthesis, Context | None] = {}
        self._contexts: dict[str, Context] = {}
        self._buffer = ""
        #: What the buffered text is spoken with, and when it is released by itself.
        self._pending: Fields = {}
        self._release_at: float | None = None

    @property
    def deadline(self) -> float:
        """When `expire` must be called, unless a message comes first."""
        releases = [self._release_at, *(context.buffer.release_at for context in self._contexts.values())]
        return min([self._heard_at + self._idle_timeout_s, *(at for at in releases if at is not None)])

    def receive(self, message: str | bytes, now: float) -> list[Action]:
        """What to do about `message`. Anything may be in it; nothing is raised."""
        self._heard_at = now
        fields = json_object(message)
        if fields is None:
            return [self._error("Invalid JSON message", "INVALID_JSON", {})]
        kind = fields.get("type")
        if self._dialect.keepalives and isinstance(kind, str) and kind in KEEPALIVES:
            self._account.stats.pings += 1
            return [Send(b'{"type":"pong"}')]
        if issues := self._dialect.issues(fields, strict_voices=self._account.options.strict_voices):
            return [self._refusal(issues, fields)]
        request = self._dialect.request(fields)
        if request.cancel_request:
            return self._cancel(request.context_id, stop_audio=self._account.options.cancel_stops_audio)
        take = self._take_fragment if request.context_id else self._take_text
        return take(request, fields, now)

    def finished(self, synthesis: Synthesis, now: float) -> list[Action]:
        """The audio of `synthesis` is out and its `complete` is due: what to do."""
        if synthesis not in self._active:
            return []
        self._heard_at = max(self._heard_at, now)
        self._account.stats.completed += 1
        told = Send(synthesis.complete())
        more_text_comes = synthesis.request.continues or synthesis.request.context_id
        if self._account.options.close_after_complete and not more_text_comes:
            return [told, *self._end(synthesis, now), Close()]
        return [told, *self._end(synthesis, now)]

    def failed(
        self, synthesis: Synthesis, reason: str, now: float, code: str = "INTERNAL_ERROR"
    ) -> list[Action]:
        """It could not be spoken, or not to its end: what to do."""
        if synthesis not in self._active:
            return []
        self._account.stats.errors += 1
        return [Send(synthesis.error(self._blame(reason, code))), *self._end(synthesis, now)]

    def expire(self, now: float) -> list[Action]:
        """What the passing of time asks for; nothing before `deadline`."""
        actions: list[Action] = []
        if self._release_at is not None and now >= self._release_at:
            actions += self._speak(self._pending, self._drain_buffer())
        for context in self._contexts.values():
            actions += self._release(context, context.buffer.expire(now), now)
        return actions or self._expire_idle(now)

    def closed(self) -> list[Action]:
        """The socket is gone: everything of it ends."""
        return self._cancel("", stop_audio=True)

    def _expire_idle(self, now: float) -> list[Action]:
        if now < self._heard_at + self._idle_timeout_s:
            return []
        if self._active:
            self._heard_at = now
            return []
        self._account.stats.idle_closed += 1
        blame = self._blame(idle_message(self._idle_timeout_s))
        return [Send(msgspec.json.encode({"status": "error", **blame})), Close()]

    # -- text without a context ----------------------------------------------------------------------------

    def _take_text(self, request: SpeechRequest, fields: Fields, now: float) -> list[Action]:
        """Keep the text of a `request`, made of `fields`, for more to come, or speak it with what was kept."""
        if self._is_keepalive(request):
            self._account.stats.pings += 1
            return []
        had_text = bool(self._buffer)
        if had_text:  # what closes a buffer need not repeat what opened it
            fields = {**self._pending, **_told(fields)}
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

    def _is_keepalive(self, request: SpeechRequest) -> bool:
        known = self._dialect.keepalives and not self._account.options.refuse_spaces
        return known and request.text == " " and not (request.continues or request.flush or self._buffer)

    def _keep(self, fields: Fields, text: str, flush_ms: float, now: float) -> None:
        self._buffer, self._pending = text, fields
        if flush_ms and self._release_at is None:
            self._release_at = now + flush_ms / 1000

    def _drain_buffer(self) -> str:
        text, self._buffer, self._release_at = self._buffer, "", None
        return text

    def _speak(self, fields: Fields, text: str) -> list[Action]:
        if not text.strip():
            return []
        if not self._account.take_unit():
            return [self._over_concurrency(fields)]
        synthesis = self._synthesis(replace(self._dialect.request(fields), text=text), fields)
        self._active[synthesis] = None
        return [Begin(synthesis)]

    # -- continuations -------------------------------------------------------------------------------------

    def _take_fragment(self, request: SpeechRequest, fields: Fields, now: float) -> list[Action]:
        """Keep the text of a fragment in its context, and speak what is ready."""
        context = self._contexts.get(request.context_id)
        if context is None:
            if not request.text.strip():
                return []  # closing what is not open gives nothing
            if not self._account.take_unit():
                return [self._over_concurrency(fields)]
            context = self._contexts[request.context_id] = Context(request.context_id)
        lasting = {name: value for name, value in context.fields.items() if name not in _OF_ONE_MESSAGE}
        context.fields = {**lasting, **_told(fields)}
        return self._release(context, context.take(self._dialect.request(context.fields), now), now)

    def _release(self, context: Context, segments: Sequence[str], now: float) -> list[Action]:
        """Speak `segments` when it is their turn."""
        for text in segments:
            request = replace(self._dialect.request(context.fields), text=text, complete_backoff_ms=0)
            synthesis = self._synthesis(request, context.fields)
            self._active[synthesis] = context
            context.waiting.append((synthesis, now))
        return self._proceed(context, now)

    def _proceed(self, context: Context, now: float) -> list[Action]:
        """The next turn in `context`, or its end."""
        if context.is_over:
            self._account.return_unit()
            del self._contexts[context.name]
        return [*context.proceed(now)]

    # -- ends ----------------------------------------------------------------------------------------------

    def _cancel(self, context_id: str, *, stop_audio: bool) -> list[Action]:
        """Forget the text of one context, or of all the socket, and with `stop_audio` what is spoken too."""
        contexts = [context for name, context in self._contexts.items() if context_id in ("", name)]
        for context in contexts:
            context.drop_text()
        if not context_id:
            self._drain_buffer()
        stopped = self._stop(contexts, everything=not context_id) if stop_audio else []
        for context in contexts:
            self._proceed(context, self._heard_at)  # nothing to begin: either it speaks or it is over
        return stopped

    def _stop(self, contexts: Sequence[Context], *, everything: bool) -> list[Action]:
        waiting = {synthesis for context in contexts for synthesis, _ in context.waiting}
        for context in contexts:
            context.drop_audio()
        stopped = [s for s, context in self._active.items() if everything or context in contexts]
        for synthesis in stopped:
            if self._active.pop(synthesis) is None:
                self._account.return_unit()
            self._account.stats.cancelled += 1
        return [Stop(synthesis) for synthesis in stopped if synthesis not in waiting]

    def _end(self, synthesis: Synthesis, now: float) -> list[Action]:
        """`synthesis` is over: return its unit, or have the next of its context begin."""
        context = self._active.pop(synthesis)
        if context is None:
            self._account.return_unit()
            return []
        context.speaking = None
        return self._proceed(context, now)

    # -- messages ------------------------------------------------------------------------------------------

    def _synthesis(self, request: SpeechRequest, fields: Fields) -> Synthesis:
        """Count a synthesis, and give it its ids."""
        options = self._account.options
        number = self._account.began(request.text, fields)
        ids = {**self._ids(fields), "request_id": f"task_{number:08x}"}
        known = request.voice_id in TIMED_VOICES and request.language in TIMED_LANGUAGES
        timed = request.word_timestamps and (known or options.words_for_any_voice)
        head = msgspec.json.encode(ids)[:-1]
        return Synthesis(request, number, timed, head, old_complete=options.old_complete)

    def _ids(self, fields: Fields) -> dict[str, str]:
        own = {"session_id": self._session_id} if self._dialect.tells_session else {}
        return {**own, **self._dialect.echoed(fields)}

    def _over_concurrency(self, fields: Fields) -> Send:
        message = concurrency_message(self._account.options.concurrency)
        return self._error(message, "CONCURRENCY_LIMIT_EXCEEDED", fields)

    def _refusal(self, issues: Sequence[Issue], fields: Fields) -> Send:
        message = "; ".join(issue.message for issue in issues)
        return self._error(message, issues[0].code, fields, issues)

    def _error(self, message: str, code: str, fields: Fields, issues: Sequence[Issue] = ()) -> Send:
        self._account.stats.errors += 1
        told = self._blame(message, code, issues)
        return Send(msgspec.json.encode({**self._ids(fields), "status": "error", **told}))

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


def _told(fields: Fields) -> Fields:
    """Without what is null, which is as good as absent."""
    return {name: value for name, value in fields.items() if value is not None}
