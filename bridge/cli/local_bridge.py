"""The bridge that runs on this machine, for commands that ask it to do something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.carriers.rest import RestAnswer
    from bridge.config import Config
    from bridge.doctor.web import Web
    from bridge.secret import Secret


@dataclass(frozen=True)
class LocalBridge:
    """One that runs at `url`, whose operator may ask with `token`."""

    url: str
    token: Secret
    web: Web

    async def post(self, path: str, body: object, *, refusal: str) -> tuple[RestAnswer, str]:
        """Ask for something. Returns the answer, and why there is none.

        Args:
            refusal: what it does for nobody who has not its token: "which places calls for nobody else".

        Raises:
            ConfigError: it does not take our word.
        """
        import msgspec

        return await self._ask("POST", path, msgspec.json.encode(body), refusal)

    async def get(self, path: str, *, refusal: str) -> tuple[RestAnswer, str]:
        """Ask what there is at `path`, as `post` does."""
        return await self._ask("GET", path, b"", refusal)

    async def _ask(self, method: str, path: str, body: bytes, refusal: str) -> tuple[RestAnswer, str]:
        from bridge.carriers.rest import RestAnswer, bearer

        headers = bearer(self.token) if self.token else {}
        if body:
            headers["Content-Type"] = "application/json"
        answer = await self.web.ask(f"{self.url}{path}", method=method, headers=headers, body=body)
        if answer.status == 403:
            reason = f"is not that of the bridge that runs at {self.url}, {refusal}"
            raise ConfigError(reason, key="server.admin_token")
        return RestAnswer(answer.status, answer.body), answer.error


@asynccontextmanager
async def bridge_at(url: str, config: Config, within_s: float) -> AsyncIterator[LocalBridge]:
    """The bridge at `url`, wherever that is, while the block runs. Whether there is one shows when it is asked."""
    from bridge.doctor.web import Web

    async with Web(within_s) as web:
        yield LocalBridge(url.rstrip("/"), config.server.admin_token, web)


@asynccontextmanager
async def local_bridge(config: Config, within_s: float) -> AsyncIterator[LocalBridge | None]:
    """The bridge at ``server.port`` of this machine, while the block runs; None when none runs there.

    Args:
        within_s: for each of its answers.
    """
    from bridge.doctor.web import Web, local_url
    from bridge.names import INSTANCE_HEADER

    async with Web(within_s) as web:
        here = local_url(config.server)
        runs = (await web.ask(f"{here}/livez")).header(INSTANCE_HEADER)
        yield LocalBridge(here, config.server.admin_token, web) if runs else None
