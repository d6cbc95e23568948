"""A carrier's REST API on this machine: checks who asks and what for, and does nothing else.

A stand-in is pure: `answer` takes the request and returns what the carrier would say. Each is in
`bridge.emulators.carriers.<name>_rest` as ``STAND_IN``; `EmulatedRest` serves one over HTTP, on loopback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from bridge.carriers.rest import RestAnswer, RestRequest

T = TypeVar("T")


class RestStandIn:
    """One account at a carrier.

    Args:
        section: the carrier's section of the bridge's configuration: the credentials that are the right ones.
    """

    name: ClassVar[str]

    def __init__(self, section: Any) -> None:
        self.section = section
        #: What was asked and granted, in order: each request that was answered with a 2xx.
        self.granted: list[RestRequest] = []

    def answer(self, request: RestRequest) -> RestAnswer:
        """What the carrier says to `request`; its own statuses and bodies for what is wrong with it."""
        answer = self.judge(request)
        if answer.ok:
            self.granted.append(request)
        return answer

    def judge(self, request: RestRequest) -> RestAnswer:
        """For each to fill in: 401 without the right credentials, 404 for an unknown path, 4xx for a bad body."""
        raise NotImplementedError


def said(status: int, body: object = None) -> RestAnswer:
    """An answer with JSON in it."""
    return RestAnswer(status, b"" if body is None else msgspec.json.encode(body))


def header(request: RestRequest, name: str) -> str:
    """A header's value; empty when it is missing."""
    return next((value for key, value in request.headers.items() if key.lower() == name.lower()), "")


def run(plan: Any, stand_in: RestStandIn) -> Any:
    """Go through a plan with a stand-in for the carrier, without a network. Returns what the plan returns.

    Raises:
        CarrierError: as the plan does.
    """
    try:
        request = next(plan)
        while True:
            request = plan.send(stand_in.answer(request.signed(time.time())))
    except StopIteration as done:
        return done.value


class EmulatedRest:
    """Serves a stand-in on loopback: ``async with EmulatedRest(stand_in) as api: api.url``."""

    def __init__(self, stand_in: RestStandIn) -> None:
        self.stand_in = stand_in
        self.url = ""
        self._news = asyncio.Event()
        self._runner: Any = None

    async def __aenter__(self) -> EmulatedRest:
        from aiohttp import web

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _LOOPBACK, 0)
        await site.start()
        self.url = f"http://{_LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def until_granted(self, wanted: Callable[[RestRequest], T | None]) -> T:
        """Wait until something was granted of which `wanted` makes something; what it makes of it."""
        while True:
            self._news.clear()
            for request in self.stand_in.granted:
                if (found := wanted(request)) is not None:
                    return found
            await self._news.wait()

    async def _handle(self, request: Any) -> Any:
        from aiohttp import web

        asked = RestRequest(
            self.stand_in.name,
            "ask the stand-in",
            request.method,
            str(request.rel_url),
            dict(request.headers),
            await request.read(),
        )
        answer = self.stand_in.answer(asked)
        self._news.set()
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")


_LOOPBACK: Final = "127.0.0.1"
