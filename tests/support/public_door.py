"""What stands between the world and a bridge: a proxy on loopback, which may do what proxies should not."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from aiohttp import web

from bridge.names import INSTANCE_HEADER

_HOP_BY_HOP = {"host", "connection", "upgrade", "content-length", "transfer-encoding"}


@dataclass
class PublicDoor:
    """Used as ``async with``. It passes requests on to `bridge_url`, unless it is told otherwise.

    Attributes:
        bridge_url: where the bridge listens.
        redirect_to: send everybody there instead.
        website: answer everything itself, with 200.
        drops_upgrades: pass a request to upgrade on as an ordinary one.
        changes_bodies: add a field to every form.
        answers_webhooks: answer every POST itself, with 204.
        other_bridge_for: so many requests go to another bridge, which says that it is alive.
    """

    bridge_url: str = ""
    redirect_to: str = ""
    website: bool = False
    drops_upgrades: bool = False
    changes_bodies: bool = False
    answers_webhooks: bool = False
    other_bridge_for: int = 0
    url: str = ""

    async def __aenter__(self) -> PublicDoor:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass(self, request: web.Request) -> web.Response:
        if self.redirect_to:
            return web.Response(status=301, headers={"Location": self.redirect_to})
        if self.other_bridge_for:
            self.other_bridge_for -= 1
            return web.Response(headers={INSTANCE_HEADER: "another"})
        if self.website or (self.answers_webhooks and request.method == "POST"):
            return web.Response(status=204 if request.method == "POST" else 200, text=None)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        if "Upgrade" in request.headers and not self.drops_upgrades:
            headers |= {"Connection": "Upgrade", "Upgrade": request.headers["Upgrade"]}
        body = await request.read()
        if body and self.changes_bodies:
            body += b"&added=1"
        url = f"{self.bridge_url}{request.rel_url}"
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower().startswith("x-")}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())
