"""Connections that lead to addresses that have been judged, and to no other.

Strategy:

- An address is judged where the connection is made: what a name means a moment later has no say. The resolver hands on
  what it found if all of it may be asked, and the socket is made for nothing else.
- Nothing is in between: no cache of names, no proxy, no cookie, no connection of before.

Facts, from aiohttp's client reference: a literal address goes past the resolver, and `socket_factory` sees it.
"""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from bridge.flows.origins import fault_of_address
from bridge.tls import tls_context


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


def open_session(resolver: AbstractResolver | None, *, anywhere: bool) -> aiohttp.ClientSession:
    """A session whose connections lead to addresses that have been judged, and to no other.

    Args:
        resolver: finds addresses; the system's when None.
        anywhere: whether addresses need not be public.
    """

    def make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = address
        _require_allowed(str(place[0]), anywhere=anywhere)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    connector = aiohttp.TCPConnector(
        limit=0,
        ssl=tls_context(),
        resolver=GuardedResolver(resolver or aiohttp.ThreadedResolver(), anywhere=anywhere),
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
