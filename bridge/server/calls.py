"""The door for operators: place a call."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from bridge.errors import BridgeError, CarrierError, ConfigError, Refused, Unsupported
from bridge.server.health import for_operators
from bridge.server.runtime import Runtime
from bridge.server.webhooks import read_body


class CallOrder(Struct, forbid_unknown_fields=True):
    """Whom to call, and who talks: by default the agent of the configuration."""

    via: Annotated[str, Meta(min_length=1, max_length=64)]
    to: Annotated[str, Meta(min_length=1, max_length=256)]
    from_number: Annotated[str, Meta(min_length=1, max_length=256)] = msgspec.field(name="from")
    agent: Annotated[str, Meta(max_length=256)] = ""


async def place(runtime: Runtime, request: web.Request) -> web.Response:
    """Place a call; 202 with its id as soon as the carrier has taken it. All answers are JSON."""
    try:
        for_operators(runtime, request)
        order = msgspec.json.decode(await read_body(request, runtime.limits.body_within_s), type=CallOrder)
        call_id = await runtime.place_call(order.via, order.to, order.from_number, order.agent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _json(400, error=f"the body must be JSON with via, to and from: {error}")
    except (BridgeError, NotImplementedError) as error:
        return _json(_status_of(error), error=str(error))
    return _json(202, call_id=call_id)


def _status_of(error: Exception) -> int:
    match error:
        case Refused():
            return error.status
        case ConfigError():
            return 400
        case Unsupported():
            return 501
        case CarrierError():
            return 502
        case _:
            return 500


def _json(status: int, **fields: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(fields), content_type="application/json")
