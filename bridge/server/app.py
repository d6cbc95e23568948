"""Routes: which door leads where, and that every carrier's door has the same lock."""

from __future__ import annotations

from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge.errors import ProtocolError, Refused
from bridge.server import calls, health, webhooks
from bridge.server.media import media
from bridge.server.runtime import Runtime


def build_app(runtime: Runtime) -> web.Application:
    """The application. It holds no state of its own."""
    app = web.Application(client_max_size=runtime.limits.body_bytes, middlewares=[_refusals(runtime)])
    for name, carrier in runtime.carriers.items():
        base = f"/carriers/{name}"
        for method in carrier.webhook_methods:
            app.router.add_route(method, f"{base}/answer", partial(webhooks.answer, runtime, name))
            app.router.add_route(method, f"{base}/status", partial(webhooks.status, runtime, name))
            app.router.add_route(method, f"{base}/ended", partial(webhooks.ended, runtime, name))
        app.router.add_get(f"{base}/media", partial(media, runtime, name))
        app.router.add_get(f"{base}/media/{{token}}", partial(media, runtime, name))
    app.router.add_post("/calls", partial(calls.place, runtime))
    app.router.add_get("/calls/{id}/turns", partial(calls.turns, runtime))
    app.router.add_post("/flows/reload", partial(calls.reload, runtime))
    app.router.add_get("/livez", partial(health.livez, runtime))
    app.router.add_get("/readyz", partial(health.readyz, runtime))
    app.router.add_get("/metrics", partial(health.metrics, runtime))
    return app


def _refusals(runtime: Runtime) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (Refused, ProtocolError) as error:
            return webhooks.refusal(runtime, error)

    return middleware
