"""What the emulators' servers do about clients that leave early."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler


@web.middleware
async def may_leave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A client that leaves before its socket is open is no error of ours: a bridge that ends while it warms one up."""
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response()
