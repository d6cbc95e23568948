"""The doors for operators: place a call, see how long callers waited, have prompts and flows read again.

All answers are JSON.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from bridge.errors import BridgeError, CarrierError, ConfigError, Refused, Unsupported
from bridge.flows.library import is_fatal
from bridge.server.health import for_operators
from bridge.server.runtime import Runtime
from bridge.server.turn_log import REMEMBERED_CALLS
from bridge.server.webhooks import read_body

#: The id is not told back: whoever asks knows it, and it may be anything.
_UNKNOWN: Final = f"no such call: it is not on, and none of the last {REMEMBERED_CALLS} that ended here"


class CallOrder(Struct, forbid_unknown_fields=True):
    """Whom to call, and who talks: by default the agent of the configuration."""

    via: Annotated[str, Meta(min_length=1, max_length=64)]
    to: Annotated[str, Meta(min_length=1, max_length=256)]
    from_number: Annotated[str, Meta(min_length=1, max_length=256)] = msgspec.field(name="from")
    agent: Annotated[str, Meta(max_length=256)] = ""


async def place(runtime: Runtime, request: web.Request) -> web.Response:
    """Place a call; 202 with its id as soon as the carrier has taken it."""
    try:
        for_operators(runtime, request)
        order = msgspec.json.decode(await read_body(request, runtime.limits.body_within_s), type=CallOrder)
        call_id = await runtime.place_call(order.via, order.to, order.from_number, order.agent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _json(400, error=f"the body must be JSON with via, to and from: {error}")
    except (BridgeError, NotImplementedError) as error:
        return _json(_status_of(error), error=str(error))
    return _json(202, call_id=call_id)


async def turns(runtime: Runtime, request: web.Request) -> web.Response:
    """How long a call's caller waited for each answer: of a live call, of one of the last 200, or of the `last` one."""
    try:
        for_operators(runtime, request)
    except Refused as error:
        return _json(error.status, error=str(error))
    call_id = request.match_info["id"]
    found = runtime.turn_log.of(call_id)
    if found is None:
        return _json(404, error=_UNKNOWN)
    return web.Response(body=msgspec.json.encode(found), content_type="application/json")


async def reload(runtime: Runtime, request: web.Request) -> web.Response:
    """Read prompts and flows again: 200 with what new calls get now, or 422 with all that is wrong with the files."""
    try:
        for_operators(runtime, request)
    except Refused as error:
        return _json(error.status, error=str(error))
    problems = await runtime.library.reload()
    told = [str(problem) for problem in problems]
    if is_fatal(problems):
        first = next(str(problem) for problem in problems if problem.fatal)
        return _json(422, error=first, problems=told)
    edition = runtime.library.edition
    prompts = len(edition.shelf.book.specs)
    return _json(200, edition=edition.number, flows=len(edition.flows), prompts=prompts, problems=told)


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


def _json(status: int, **fields: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(fields), content_type="application/json")
