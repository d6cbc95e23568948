"""Any carrier played by hand against a bridge: its media socket as its table of cases has it, one message at a time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from bridge.carriers.carrier import Upgrade
from bridge.carriers.dialect import Binary
from bridge.emulators.caller_webhooks import Answer
from bridge.server.limits import Limits
from tests.support.bridge import Stage, stage
from tests.support.carrier_cases import PUBLIC_URL, Cases
from tests.support.stranger import PATIENCE_S, Socket, send

#: What the frames and upgrades of the tables have for a token, where they have one.
PLACEHOLDERS: Final = (b"one-time-t0ken", b"one-time")


@dataclass
class ByHand:
    """A carrier, and the bridge that it calls."""

    cases: Cases
    s: Stage
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def socket(
        self, token: str = "", headers: Mapping[str, str] | None = None, upgrade: Upgrade | None = None
    ) -> AsyncIterator[Socket]:
        """A media socket, asked for at the time that its upgrade is signed for: the table's, or another.

        Raises:
            aiohttp.WSServerHandshakeError: it was not.
        """
        upgrade = upgrade or self.cases.upgrade
        now_s = upgrade.now_s
        self.s.server.runtime.unix_clock = lambda: now_s
        url = urlsplit(self._with(token, upgrade.url.encode()).decode())
        here = url._replace(scheme="ws", netloc=f"127.0.0.1:{self.s.config.server.port}").geturl()
        sent = {name: self._with(token, value.encode()).decode() for name, value in upgrade.headers.items()}
        async with self.session.ws_connect(
            here, headers={**sent, **(headers or {})}, autoping=False
        ) as socket:
            yield socket

    @asynccontextmanager
    async def live(self) -> AsyncIterator[Socket]:
        """A media socket of a call that is on."""
        token = await self.s.server.runtime.admission.issue_token(self.cases.name, self.cases.call)
        async with self.socket(token) as socket:
            await self.say(socket, *self.cases.before, self.cases.start, token=token)
            yield socket

    async def say(self, socket: Socket, *names: str, token: str = "") -> None:
        """Send frames of the table."""
        for name in names:
            message = self.cases.frame(name)
            said = self._with(token, message)
            await send(socket, said if type(message) is Binary else said.decode())

    async def get(self, path: str, headers: Mapping[str, str]) -> Answer:
        """What the bridge says at `path`."""
        url = f"http://127.0.0.1:{self.s.config.server.port}{path}"
        async with self.session.get(url, headers=headers) as response:
            return Answer(response.status, await response.text())

    def _with(self, token: str, text: bytes) -> bytes:
        for placeholder in PLACEHOLDERS if token else ():
            text = text.replace(placeholder, token.encode())
        return text


@asynccontextmanager
async def by_hand(
    cases: Cases,
    *,
    limits: Limits | None = None,
    server: Mapping[str, object] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[ByHand]:
    """A bridge that serves this carrier at the address which its table is signed for."""
    async with (
        stage(
            "tests.support.agents:waits_for_ever",
            carrier=cases.name,
            section=cases.section,
            limits=limits,
            clock=clock,
            sections={"server": {"public_url": PUBLIC_URL, **(server or {})}},
        ) as s,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session,
    ):
        yield ByHand(cases, s, session)
