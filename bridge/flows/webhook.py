"""Asks the user's own API: the only I/O of flows.

Strategy:

- A name is judged by the list (`origins`), an address by what it is (`guard`). A redirect is not followed.
- Every request has a connection of its own: one that was kept might be closed by the other end just when a POST is
  sent, and nobody could tell whether that was received.
- Asked again is what is harmless. GET: whatever got no answer, and 429, 500, 502, 503, 504. POST: what was never sent,
  and 429 and 503, which say that nothing was done. All tries of a fetch bear the same ``X-Bridge-Request``.
- One deadline is for all of it. A pause that would not end before it is not begun: what was answered counts.
- The answer is small, plain JSON, or of no use. What was sent, and the token most of all, is in no log and no error.

Facts, from RFC 9110 9.2.2 (idempotent methods), 10.2.3 (Retry-After).
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import aiohttp

from bridge import __version__
from bridge.flows.actions import Fetch, Fetched
from bridge.flows.guard import ForbiddenAddress, open_session
from bridge.flows.origins import Rule, judge, rules_of
from bridge.flows.webhook_answer import Answer, Failure, answer_of
from bridge.secret import Secret

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver
    from yarl import URL

    from bridge.observe.stats import FlowStats

log = logging.getLogger(__name__)

#: The first pause before another try; each further one is twice as long.
PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 2.0

_AGAIN: Final = {"GET": frozenset({429, 500, 502, 503, 504}), "POST": frozenset({429, 503})}
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
_ID: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL = field(repr=False)
    rule: Rule
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


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
        except Failure as failure:
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
            raise Failure("not_allowed", f"the address {error}") from None
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
            raise Failure("token", f"{name} is not set, or holds what no header can carry")
        return Secret(token)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _tries(self, request: _Request, retries: int, deadline_at: float) -> Fetched:
        for tries_before in range(retries + 1):
            left = retries - tries_before
            longest_s = min(self._pause_s * 2**tries_before, MAX_PAUSE_S)
            pause_s = random.uniform(longest_s / 2, longest_s)  # noqa: S311 - calls that failed together part
            try:
                answer = await self._ask(request, connect_within_s=_share(deadline_at, left))
            except Failure as failure:
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

    async def _ask(self, request: _Request, connect_within_s: float) -> Answer:
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
                return await answer_of(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = error
        raise _told(failure, request.rule)  # outside: aiohttp's exceptions hold the headers, and so the token

    def _session(self, *, anywhere: bool) -> aiohttp.ClientSession:
        if anywhere not in self._sessions:
            self._sessions[anywhere] = open_session(self._resolver, anywhere=anywhere)
        return self._sessions[anywhere]


def _encoded(body: Mapping[str, Any] | None) -> bytes | None:
    try:
        return None if body is None else json.dumps(dict(body), allow_nan=False).encode()
    except (TypeError, ValueError):
        raise Failure("request", "what is to be sent is no JSON") from None


def _fits(pause_s: float, deadline_at: float) -> bool:
    return asyncio.get_running_loop().time() + pause_s < deadline_at


def _share(deadline_at: float, left: int) -> float:
    """So long may connecting take that the tries that are left may take as long."""
    return max(deadline_at - asyncio.get_running_loop().time(), 0.001) / (left + 1)


def _told(failure: Exception, rule: Rule) -> Failure:
    """What went wrong, in words of our own."""
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, ForbiddenAddress):
        return Failure("address", f"{rule.host}: {cause}")
    if isinstance(failure, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return Failure(
            "tls", f"{rule.host} cannot prove to be it: its certificate is not trusted", unsent=True
        )
    if isinstance(failure, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Failure("connect", f"cannot connect to {rule.host}", unsent=True, final=False)
    if isinstance(failure, aiohttp.ServerConnectionError | aiohttp.ClientPayloadError | OSError):
        return Failure("dropped", f"{rule.host} dropped the connection", final=False)
    return Failure("protocol", f"{rule.host} does not speak HTTP: {type(failure).__name__}")
