"""The HTTP doors of the emulated Lightning: a JSON body in, and the audio out, as events or as raw bytes.

Strategy:

- A `Door` is data: a path, what may be asked there, and how the audio is wrapped (lightning.md 5, 6). What may
  be asked is what the socket of that model takes, without what steers a socket.
- The headers go out with the first audio, so whatever is refused, and whatever the engine fails at, is still
  an HTTP error with a JSON body.
- Pace and faults are those of the socket. A client that hangs up cancels its handler (the server is set up
  so), and the handler returns its unit on every way out, just before the client can see the end.
- `Content-Type` of raw audio is ``audio/wav`` whatever the format is, because that was recorded.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiohttp import web

from bridge.emulators.lightning_audio import Emulator
from bridge.emulators.lightning_dialects import LIVE, V2, V2_LANGUAGES, V2_MODEL, V31, Dialect
from bridge.emulators.lightning_faults import Faults, InducedError
from bridge.emulators.lightning_protocol import Account, Synthesis
from bridge.emulators.lightning_refusals import Refusal, invalid, over_concurrency, refused, retired
from bridge.emulators.lightning_requests import (
    OUTPUT_FORMATS,
    Check,
    Fields,
    array,
    blank_text,
    json_object,
    one_of,
)

logger = logging.getLogger(__name__)

GARBLED_EVENT: Final = b'event: audio\ndata: {"audio":"AAAA\n\n'
_EXPIRE_HEADER, _EXPIRY_HEADER = "x-expire-content", "x-content-expiry"


@dataclass(frozen=True, slots=True)
class Door:
    """One path that can be posted to."""

    path: str
    #: Server-sent events, or else raw audio.
    events: bool
    #: What may be asked; its own path is that of the socket.
    dialect: Dialect


#: Fields that steer a socket. Over HTTP they are ignored, as is what is in no schema at all.
_SOCKET_ONLY: Final = frozenset(
    ("continue", "flush", "max_buffer_flush_ms", "complete_backoff_ms", "cancel_request")
    + ("context_id", "context_close", "max_buffer_delay_ms")
)


def _over_http(socket: Dialect, **more: Check) -> Dialect:
    """What `socket` takes, and `more`, as one body that says it all."""
    fields = {name: check for name, check in socket.fields.items() if name not in _SOCKET_ONLY}
    required = tuple(dict.fromkeys(("text", *socket.required)))
    return replace(socket, fields=fields | more, required=required)


_UNIFIED: Final = _over_http(LIVE)
_V31: Final = _over_http(V31)
#: Other than its socket, v2 over HTTP has output formats, and three languages more (the vendor's own package).
_V2: Final = replace(
    _over_http(
        V2,
        language=one_of(*V2_LANGUAGES, "sv", "ml", "te"),
        output_format=one_of(*OUTPUT_FORMATS),
        pronunciation_dicts=array,
    ),
    implied={"model": V2_MODEL},
)
DOORS: Final = (
    Door("/waves/v1/tts/live", events=True, dialect=_UNIFIED),
    Door("/waves/v1/tts", events=False, dialect=_UNIFIED),
    Door("/waves/v1/lightning-v3.1/stream", events=True, dialect=_V31),
    Door("/waves/v1/lightning-v3.1/get_speech", events=False, dialect=_V31),
    Door("/waves/v1/lightning-v2/stream", events=True, dialect=_V2),
    Door("/waves/v1/lightning-v2/get_speech", events=False, dialect=_V2),
)
#: Doors of models that were retired before there was a bridge. Clients still have methods for them.
RETIRED_PATHS: Final = (
    "/waves/v1/lightning/get_speech",
    "/waves/v1/lightning-large/get_speech",
    "/waves/v1/lightning-large/stream",
)


def refusal_response(refusal: Refusal) -> web.Response:
    """`refusal` as aiohttp sends it."""
    return web.Response(
        status=refusal.status,
        body=refusal.body,
        headers=refusal.headers,
        content_type="application/json",
    )


class HttpDoors:
    """All doors of one emulator."""

    def __init__(
        self,
        emulator: Emulator,
        account: Account,
        admit: Callable[[web.Request], web.Response | None],
    ) -> None:
        """`admit` refuses a bad key, or gives None."""
        self._emulator, self._account, self._admit = emulator, account, admit
        self._transports: set[asyncio.Transport] = set()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Open every door."""
        for door in DOORS:
            router.add_post(door.path, functools.partial(self._answer, door))
        for path in RETIRED_PATHS:
            router.add_post(path, self._retired)

    def abort(self) -> None:
        """Cut every answer that is under way, without an end."""
        for transport in self._transports:
            transport.abort()

    async def _retired(self, request: web.Request) -> web.Response:
        return self._admit(request) or self._refuse(retired(request.path))

    async def _answer(self, door: Door, request: web.Request) -> web.StreamResponse:
        if refusal := self._admit(request):
            return refusal
        options = self._emulator.options
        if door.dialect.is_v2 and options.v2_retired:
            return self._refuse(retired("Lightning v2"))
        fields = read_body(await request.read(), door.dialect, strict_voices=options.strict_voices)
        if isinstance(fields, Refusal):
            return self._refuse(fields)
        if not self._account.take_unit():
            return self._refuse(over_concurrency(options.concurrency))
        return await self._speak(door, request, fields)

    def _refuse(self, refusal: Refusal) -> web.Response:
        self._emulator.stats.errors += 1
        return refusal_response(refusal)

    async def _speak(self, door: Door, request: web.Request, fields: Fields) -> web.StreamResponse:
        """Answer a request that has its unit."""
        answer = _Answer(self._emulator, door, request, self._synthesis(door.dialect, fields))
        try:
            with self._under_way(request.transport):
                await answer.speak()
        except ConnectionError:
            return answer.response  # the client left, or was left on purpose; there is nobody to tell
        except InducedError:
            refusal = refused(500, self._emulator.options.error_code, "The synthesis failed")
            return await self._tell_failure(answer, refusal)
        except RuntimeError:
            logger.exception("the speech engine failed")
            return self._refuse(refused(500, "INTERNAL_ERROR", "The speech engine failed"))
        return await answer.end()

    async def _tell_failure(self, answer: _Answer, refusal: Refusal) -> web.StreamResponse:
        """As an HTTP error, while that can still be told; then as an event, or for want of one by a cut."""
        if not answer.response.prepared:
            return self._refuse(refusal)
        self._emulator.stats.errors += 1
        return await answer.fail(refusal)

    @contextmanager
    def _under_way(self, transport: asyncio.Transport | None) -> Iterator[None]:
        """Hold a unit, and count how what was under way has ended."""
        held = {transport} if transport else set()
        self._transports |= held
        try:
            yield
            self._emulator.stats.completed += 1
        except (ConnectionError, asyncio.CancelledError):
            self._emulator.stats.cancelled += 1
            raise
        finally:
            self._account.return_unit()
            self._transports -= held

    def _synthesis(self, dialect: Dialect, fields: Fields) -> Synthesis:
        """Count a synthesis that has its unit, and give it its ids."""
        speech = dialect.request(fields)
        number = self._account.began(speech.text, fields)
        session = {"session_id": f"http_{number:08x}"} if dialect.tells_session else {}
        ids = {**session, **dialect.echoed(fields), "request_id": f"task_{number:08x}"}
        head = msgspec.json.encode(ids)[:-1]
        return Synthesis(speech, number, timed=False, head=head, old_complete=True)


class _Answer:
    """One synthesis on its way out over HTTP."""

    def __init__(self, emulator: Emulator, door: Door, request: web.Request, synthesis: Synthesis) -> None:
        self._emulator, self._door, self._request, self._synthesis = emulator, door, request, synthesis
        self._options, self._stats = emulator.options, emulator.stats
        self._loop = asyncio.get_running_loop()
        self._asked_at = self._loop.time()
        self._faults = Faults(self._options, self._stats, synthesis.number)
        content_type = "text/event-stream" if door.events else "audio/wav"
        headers = {"Content-Type": content_type, **_answer_headers(synthesis, request.headers)}
        self.response = web.StreamResponse(headers=headers)

    async def speak(self) -> None:
        """Send all audio, each piece when it is due.

        Raises:
            ConnectionError: the client is gone, or a fault cut the connection.
            InducedError: it is to end with an error.
            RuntimeError: the engine failed; nothing was sent.
        """
        utterance = await self._emulator.utterance(self._synthesis.request)
        for chunk in utterance.chunks:
            await self._until_due(chunk.at_ms)
            if self._faults.err(chunk.at_ms):  # before the headers go out, or it could not be a status
                raise InducedError
            if not self.response.prepared:
                await self.response.prepare(self._request)
            await self._faults.suffer(
                chunk.at_ms,
                garble=self._garble,
                cut=self._cut,
                stall=self._loop.create_future,  # until the client leaves
            )
            self._stats.chunks += 1
            await self.response.write(self._wrapped(chunk.audio_base64))

    async def end(self) -> web.StreamResponse:
        """Say that it was all."""
        if self._door.events:
            await self._write_last(end_event(self._synthesis, old=self._options.old_sse))
        return self.response

    async def fail(self, refusal: Refusal) -> web.StreamResponse:
        """End badly, with some audio out already."""
        if self._door.events:
            await self._write_last(b"event: error\ndata: %b\n\n" % refusal.body)
        else:
            self._cut()
        return self.response

    async def _write_last(self, event: bytes) -> None:
        with suppress(ConnectionError):  # the client may have left by now
            await self.response.write(event)

    def _wrapped(self, audio_base64: bytes) -> bytes:
        if not self._door.events:
            return b64decode(audio_base64)
        return audio_event(self._synthesis, audio_base64, old=self._options.old_sse)

    async def _until_due(self, at_ms: float) -> None:
        due = self._asked_at + self._options.due_ms(at_ms, self._synthesis.number) / 1000
        # At full speed too the loop gets its turn, to see a client that has left.
        await asyncio.sleep(max(0.0, due - self._loop.time()))

    async def _garble(self) -> None:
        if self._door.events:  # raw audio has no messages that could be told from others
            await self.response.write(GARBLED_EVENT)

    def _cut(self) -> None:
        if self._request.transport:
            self._request.transport.abort()


# -- pure --------------------------------------------------------------------------------------------------------------


def read_body(body: bytes, dialect: Dialect, *, strict_voices: bool) -> Fields | Refusal:
    """The fields of a posted body that nothing is wrong with."""
    fields = json_object(body)
    if fields is None:
        return refused(400, "INVALID_JSON", "The body is not a JSON object")
    if issues := dialect.issues(fields, strict_voices=strict_voices):
        return invalid(issues)
    return fields if str(fields["text"]).strip() else invalid([blank_text()])


def audio_event(synthesis: Synthesis, audio_base64: bytes, *, old: bool) -> bytes:
    """The event with a piece of audio. The `old` envelope is that of the socket."""
    if old:
        return b"data: %b\n\n" % synthesis.chunk(audio_base64)
    return b'event: audio\ndata: {"audio":"%b","done":false,"status":"206"}\n\n' % audio_base64


def end_event(synthesis: Synthesis, *, old: bool) -> bytes:
    """The event after the last audio."""
    return b"data: %b\n\n" % synthesis.complete() if old else b'data: {"status":"200","done":true}\n\n'


def _answer_headers(synthesis: Synthesis, asked: Mapping[str, str]) -> dict[str, str]:
    """The ids as headers, and what became of a wish for content to expire."""
    ids = msgspec.json.decode(synthesis.head + b"}", type=dict[str, str])
    headers = {"X-" + name.replace("_", "-").title(): value for name, value in ids.items()}
    if asked.get(_EXPIRE_HEADER) == "true":
        headers[_EXPIRY_HEADER] = "not-entitled"
    return headers
