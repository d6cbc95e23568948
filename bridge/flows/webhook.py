"""Asks the user's own API: the only I/O of flows.

Strategy:

- A name is judged by the list, an address by what it is (`origins`), and that where the connection is made: the
  resolver hands on only addresses that have passed, none when one has not, and the socket is made for no other. What a
  name means a moment later has no say. No cache, no redirect, no proxy, no cookie is in between.
- Every request has a connection of its own: one that was kept might be closed by the other end just when a POST is
  sent, and nobody could tell whether that was received.
- Asked again is what is harmless. GET: whatever got no answer, and 429, 500, 502, 503, 504. POST: what was never sent,
  and 429 and 503, which say that nothing was done. All tries of a fetch bear the same ``X-Bridge-Request``.
- One deadline is for all of it. A pause that would not end before it is not begun: what was answered counts.
- The answer is small, plain JSON, or of no use. What was sent, and the token most of all, is in no log and no error.

Facts, from aiohttp's client reference (a literal address goes past the resolver, `socket_factory` sees it) and
RFC 9110 9.2.2 (idempotent methods), 10.2.3 (Retry-After).
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from bridge import __version__
from bridge.flows.actions import Fetch, Fetched
from bridge.flows.origins import Rule, allowed_host, fault_of_address, judge, rules_of
from bridge.lightning.faults import fault_of_http
from bridge.lightning.tls import tls_context
from bridge.secret import Secret

if TYPE_CHECKING:
    from yarl import URL

    from bridge.observe.stats import FlowStats

__all__ = ["KINDS", "WebhookClient", "allowed_host"]
log = logging.getLogger(__name__)

#: What `FlowStats.webhook_failures` is counted by.
KINDS: Final = frozenset(
    {
        "not_allowed",  # the list does not have it
        "address",  # its name means an address that is not asked
        "token",  # the variable of the environment is not set, or no token
        "request",  # what is to be sent is no JSON
        "connect",
        "tls",
        "timeout",
        "dropped",
        "protocol",  # no HTTP that we understand
        "redirect",
        "status",  # 429 or 5xx, also at the last try
        "too_big",
        "encoding",  # compressed, although that was not asked for
        "not_json",
    }
)
MAX_BODY_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
#: The first pause before another try; each further one is twice as long.
PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 2.0

_AGAIN: Final = {"GET": frozenset({429, 500, 502, 503, 504}), "POST": frozenset({429, 503})}
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
_ID: Final = re.compile(r"[!-~]{1,128}")


class _Failure(Exception):
    """No answer of use. `unsent`: the other end cannot have seen the request; `final`: nor would it see the next."""

    def __init__(self, kind: str, reason: str, *, unsent: bool = False, final: bool = True) -> None:
        super().__init__(reason)
        self.kind, self.unsent, self.final = kind, unsent, final


class ForbiddenAddress(OSError):
    """A host has an address that no webhook is sent to."""


class GuardedResolver(AbstractResolver):
    """Lets through what `inner` finds, if all of it may be asked.

    Args:
        anywhere: whether addresses need not be public.
    """

    def __init__(self, inner: AbstractResolver, *, anywhere: bool) -> None:
        self._inner, self._anywhere = inner, anywhere

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`.

        Raises:
            OSError: it has none, or one that is forbidden.
        """
        found = await self._inner.resolve(host, port, family)
        for result in found:
            _require_allowed(result["host"], anywhere=self._anywhere)
        return found

    async def close(self) -> None:
        await self._inner.close()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL = field(repr=False)
    rule: Rule
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    fetched: Fetched
    retry_after_s: float = 0.0


class WebhookClient:
    """Carries out `Fetch`. Close it when done.

    Args:
        allowed: `flows.webhook_hosts`.
        environ: holds the bearer tokens.
        stats: `BridgeStats.flows`.
        resolver: finds addresses; the system's by default.
        pause_s: before the first further try.
    """

    def __init__(
        self,
        allowed: Sequence[str],
        environ: Mapping[str, str],
        stats: FlowStats,
        *,
        resolver: AbstractResolver | None = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._rules = rules_of(allowed)
        self._environ = environ
        self._stats = stats
        self._resolver = resolver
        self._pause_s = pause_s
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def fetch(self, action: Fetch, *, call_id: str = "") -> Fetched:
        """Ask, and ask again where that is harmless. Never raises but CancelledError.

        Args:
            call_id: sent as ``X-Bridge-Call``.
        """
        self._stats.webhooks += 1
        try:
            request = self._request(action, call_id)
            async with asyncio.timeout(action.deadline_s) as deadline:
                fetched = await self._tries(request, action.retries, deadline.when() or 0.0)
        except TimeoutError:
            return self._failed("timeout", f"no answer within {action.deadline_s:g} s", call_id)
        except _Failure as failure:
            return self._failed(failure.kind, str(failure), call_id)
        if 300 <= fetched.status < 400:
            self._count("redirect", f"HTTP {fetched.status}: redirects are not followed", call_id)
        elif fetched.status == 429 or fetched.status >= 500:
            self._count("status", f"HTTP {fetched.status}", call_id)
        return fetched

    async def close(self) -> None:
        """Let go of the connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _failed(self, kind: str, reason: str, call_id: str) -> Fetched:
        self._count(kind, reason, call_id)
        return Fetched(error=reason)

    def _count(self, kind: str, reason: str, call_id: str) -> None:
        self._stats.webhook_failures[kind] += 1
        log.warning("call %s: webhook: %s", call_id, reason)

    # -- what is asked -------------------------------------------------------------------------------------------------

    def _request(self, action: Fetch, call_id: str) -> _Request:
        try:
            url, rule = judge(action.url, self._rules)
        except ValueError as error:
            raise _Failure("not_allowed", f"the address {error}") from None
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"lightning-phone-bridge/{__version__}",
            "X-Bridge-Request": uuid4().hex,
        }
        if _ID.fullmatch(call_id):
            headers["X-Bridge-Call"] = call_id
        if action.bearer_env:
            headers["Authorization"] = f"Bearer {self._token(action.bearer_env).reveal()}"
        if action.body is not None:
            headers["Content-Type"] = "application/json"
        return _Request(action.method, url, rule, headers, _encoded(action.body))

    def _token(self, name: str) -> Secret:
        token = self._environ.get(name, "")
        if not _TOKEN.fullmatch(token):
            raise _Failure("token", f"{name} is not set, or holds what no header can carry")
        return Secret(token)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _tries(self, request: _Request, retries: int, deadline_at: float) -> Fetched:
        for tries_before in range(retries + 1):
            left = retries - tries_before
            longest_s = min(self._pause_s * 2**tries_before, MAX_PAUSE_S)
            pause_s = random.uniform(longest_s / 2, longest_s)  # noqa: S311 - calls that failed together part
            try:
                answer = await self._ask(request, connect_within_s=_share(deadline_at, left))
            except _Failure as failure:
                harmless = failure.unsent or request.method == "GET"
                if failure.final or not harmless or not left or not _fits(pause_s, deadline_at):
                    raise
            else:
                pause_s = max(pause_s, answer.retry_after_s)
                again = answer.fetched.status in _AGAIN.get(request.method, ())
                if not again or not left or not _fits(pause_s, deadline_at):
                    return answer.fetched
            self._stats.webhook_retries += 1
            await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    async def _ask(self, request: _Request, connect_within_s: float) -> _Answer:
        session = self._session(anywhere=request.rule.anywhere)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_within_s)
        failure: Exception
        try:
            async with session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                return await _answer_of(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = error
        raise _told(failure, request.rule)  # outside: aiohttp's exceptions hold the headers, and so the token

    def _session(self, *, anywhere: bool) -> aiohttp.ClientSession:
        if anywhere not in self._sessions:
            self._sessions[anywhere] = _open(self._resolver, anywhere=anywhere)
        return self._sessions[anywhere]


def _open(resolver: AbstractResolver | None, *, anywhere: bool) -> aiohttp.ClientSession:
    """A session whose connections lead to addresses that have been judged, and to no other."""

    def make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = address
        _require_allowed(str(place[0]), anywhere=anywhere)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    connector = aiohttp.TCPConnector(
        limit=0,
        ssl=tls_context(),
        resolver=GuardedResolver(resolver or aiohttp.DefaultResolver(), anywhere=anywhere),
        use_dns_cache=False,
        force_close=True,
        socket_factory=make_socket,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )
    # Or it would send a dropped GET once more, uncounted. There is no public way; its own TestClient does this.
    session._retry_connection = False
    return session


def _require_allowed(address: str, *, anywhere: bool) -> None:
    if reason := fault_of_address(address, anywhere=anywhere):
        raise ForbiddenAddress(f"{address} {reason}")


def _encoded(body: Mapping[str, Any] | None) -> bytes | None:
    try:
        return None if body is None else json.dumps(dict(body), allow_nan=False).encode()
    except (TypeError, ValueError):
        raise _Failure("request", "what is to be sent is no JSON") from None


def _fits(pause_s: float, deadline_at: float) -> bool:
    return asyncio.get_running_loop().time() + pause_s < deadline_at


def _share(deadline_at: float, left: int) -> float:
    """So long may connecting take that the tries that are left may take as long."""
    return max(deadline_at - asyncio.get_running_loop().time(), 0.001) / (left + 1)


# -- what is answered --------------------------------------------------------------------------------------------------


async def _answer_of(response: aiohttp.ClientResponse) -> _Answer:
    """Status and JSON. What came with a status other than 2xx may be something else, and is dropped then.

    Raises:
        _Failure: a good answer is not small, plain JSON.
    """
    fault = fault_of_http(response.status, b"", response.headers.get("Retry-After"), now_s=time.time())
    body: Any = None
    try:
        body = _decoded(await _body_of(response))
    except (_Failure, aiohttp.ClientPayloadError):
        if 200 <= response.status < 300:
            raise
    return _Answer(Fetched(response.status, body), fault.retry_after_s or 0.0)


async def _body_of(response: aiohttp.ClientResponse) -> bytes:
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise _Failure("encoding", "the answer is compressed")
    body = bytearray()
    while more := await response.content.readany():
        body += more
        if len(body) > MAX_BODY_BYTES:
            raise _Failure("too_big", f"the answer has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _decoded(body: bytes) -> Any:
    """The JSON in `body`; None when there is nothing."""
    if not body.strip():
        return None
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise _Failure("not_json", "the answer is not JSON") from None
    if _depth_exceeds(decoded, MAX_DEPTH):
        raise _Failure("not_json", f"the answer is nested more than {MAX_DEPTH} deep")
    return decoded


def _depth_exceeds(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        inner = [
            item.values() if isinstance(item, dict) else item
            for item in level
            if isinstance(item, dict | list)
        ]
        if not inner:
            return False
        level = [child for children in inner for child in children]
    return True


def _told(failure: Exception, rule: Rule) -> _Failure:
    """What went wrong, in words of our own."""
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, ForbiddenAddress):
        return _Failure("address", f"{rule.host}: {cause}")
    if isinstance(failure, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return _Failure(
            "tls", f"{rule.host} cannot prove to be it: its certificate is not trusted", unsent=True
        )
    if isinstance(failure, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return _Failure("connect", f"cannot connect to {rule.host}", unsent=True, final=False)
    if isinstance(failure, aiohttp.ServerConnectionError | aiohttp.ClientPayloadError | OSError):
        return _Failure("dropped", f"{rule.host} dropped the connection", final=False)
    return _Failure("protocol", f"{rule.host} does not speak HTTP: {type(failure).__name__}")
