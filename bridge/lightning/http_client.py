"""What everything that talks HTTP to Lightning shares: a session, and what can go wrong with a request.

Strategy:

- Nothing that we send (headers, key, proxy) ends up in an error: aiohttp's exceptions carry the request, so ours are
  raised outside their handlers and do not even have them as context.
- The key goes with each request and is no default of the session: aiohttp sends those to the proxy, too.
- A redirect is not followed: the key is for the address in the configuration. Nothing is unpacked: audio does not
  get smaller, and what does is a bomb.
- What an answer's header says of its body is not believed (lightning.md 6). Whether it is text instead of audio is
  told by its bytes.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from typing import Final

import aiohttp

from bridge import __version__
from bridge.config import LightningConfig
from bridge.errors import LightningError, TimedOut, Unavailable
from bridge.lightning.faults import Fault, fault_of_http, plain
from bridge.tls import tls_context

#: An idle connection is kept so long. Lightning's own limit is unknown; balancers close after 60 s.
IDLE_S: Final = 50.0
#: An error's body is read so far.
MAX_ERROR_BYTES: Final = 2**16

#: What a request can end with, before and during its answer.
FAILURES: Final = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


def url_of(config: LightningConfig, path: str) -> str:
    """Where `path` is."""
    return config.base_url.rstrip("/") + path


def headers_of(config: LightningConfig, **more: str) -> dict[str, str]:
    """What goes with every request, and `more`."""
    return {
        "Authorization": f"Bearer {config.api_key.reveal()}",
        "User-Agent": f"lightning-phone-bridge/{__version__}",
        "Accept-Encoding": "identity",
        **more,
    }


def open_session(
    config: LightningConfig, *, traces: list[aiohttp.TraceConfig] | None = None
) -> aiohttp.ClientSession:
    """A session for `config`: keep-alive, its proxy and no other, a deadline for connecting and for nothing else.

    The caller's next duty: close it.
    """
    connector = aiohttp.TCPConnector(
        limit=0,  # the units of concurrency are the limit
        keepalive_timeout=IDLE_S,
        ssl=tls_context() if config.base_url.startswith("https:") else True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, connect=config.connect_timeout_s),
        proxy=config.proxy.reveal() or None,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=traces,
    )


def told(failure: BaseException, config: LightningConfig) -> LightningError:
    """One of `FAILURES`, as our error. aiohttp's own texts may quote a header or the proxy's address."""
    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        return TimedOut(f"no connection within {config.connect_timeout_s:g} s", code="connect_timeout")
    if isinstance(failure, aiohttp.ClientConnectorError):
        reason = failure.strerror or type(failure.os_error).__name__
        return Unavailable(f"cannot connect: {reason}", code="connect")
    if isinstance(failure, aiohttp.ClientHttpProxyError):
        return Unavailable(f"cannot connect: the proxy answered HTTP {failure.status}", code="connect")
    if isinstance(failure, TimeoutError):
        return TimedOut("no answer in time", code="answer_timeout")
    if isinstance(failure, aiohttp.ServerConnectionError | aiohttp.ClientPayloadError | OSError):
        return Unavailable("the connection was lost", code="dropped")
    return Unavailable(f"no HTTP that we understand: {type(failure).__name__}", code="protocol")


async def fault_in(answer: aiohttp.ClientResponse) -> Fault:
    """What an answer other than 2xx says.

    Raises:
        aiohttp.ClientError: it broke off.
    """
    body = await read_up_to(answer, MAX_ERROR_BYTES)
    fault = fault_of_http(answer.status, body, answer.headers.get("Retry-After"), now_s=time.time())
    return replace(fault, message=fault.message + _details(body))


async def read_up_to(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body of `answer`, or its first `most_bytes`.

    Raises:
        aiohttp.ClientError: it broke off.
    """
    body = bytearray()
    while len(body) < most_bytes and (more := await answer.content.read(most_bytes - len(body))):
        body += more
    return bytes(body)


def _details(body: bytes) -> str:
    """What the account's answers say besides: ``{"error", "details": []}``."""
    fields = plain(body)
    details = fields.get("details") if isinstance(fields, dict) else None
    told = (
        [detail[:100] for detail in details if isinstance(detail, str)] if isinstance(details, list) else []
    )
    return "".join(f"; {detail}" for detail in told[:3])


class TextGuard:
    """Keeps text from being taken for audio: an error, or a web page, that came with status 200.

    As long as all of a body could be text it is held back, which speech could be for a few bytes at most.
    """

    def __init__(self) -> None:
        self._held = b""
        self._is_audio = False

    def feed(self, chunk: bytes) -> bytes:
        """What of the body is audio for sure."""
        if self._is_audio:
            return chunk
        held = self._held + chunk
        if held and not _may_be_text(held):
            self._is_audio, self._held = True, b""
            return held
        self._held = held[:MAX_ERROR_BYTES]
        return b""

    def flush(self) -> bytes:
        """The rest, at the end of the body, if that is no text."""
        return b"" if self.fault else self._held

    @property
    def fault(self) -> Fault | None:
        """What the text says, if it is one."""
        if len(self._held) < 2:
            return None
        fault = fault_of_http(0, self._held)
        return replace(fault, message="text instead of audio") if fault.message == "HTTP 0" else fault


_TEXT_BEGINS: Final = re.compile(rb"""\s*([{\[]\s*(["{\[\]}]|$)|<([!?a-zA-Z]|$)|$)""")
_CONTROL: Final = re.compile(rb"[^\t\n\r -~\x80-\xff]")


def _may_be_text(body: bytes) -> bool:
    """Whether `body` begins as JSON or HTML does, and is text so far. Silence, in every encoding, is none."""
    if not _TEXT_BEGINS.match(body) or _CONTROL.search(body):
        return False
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"  # the rest of a character may come yet
    return True
