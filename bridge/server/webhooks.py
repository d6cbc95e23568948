"""The HTTP that carriers ask: how to answer a call, how a stream fares, what to do after it."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from multidict import MultiDict, MultiMapping

from bridge.carriers.carrier import Reply
from bridge.errors import ProtocolError, Refused
from bridge.server.runtime import Runtime

log = logging.getLogger(__name__)


async def read_form(request: web.Request, within_s: float) -> MultiMapping[str]:
    """The form in the body, if it is all here `within_s` seconds from now.

    Raises:
        Refused: it did not come in time, or is not a form.
    """
    if request.content_type.startswith(
        "multipart/"
    ):  # carriers send no files, and nobody else may make us keep any
        raise Refused("bad_body", "the body is not a plain form", status=415)
    try:
        async with asyncio.timeout(within_s):
            fields = await request.post()
    except TimeoutError:
        raise Refused("slow_body", "the body did not come in time", status=408) from None
    except (ValueError, LookupError, web.RequestPayloadError):
        raise Refused("bad_body", "the body is not a form", status=400) from None
    return MultiDict((name, value) for name, value in fields.items() if isinstance(value, str))


async def answer(runtime: Runtime, carrier: str, request: web.Request) -> web.Response:
    """A call comes in: say how to open its media stream."""
    form = await read_form(request, runtime.limits.body_within_s)
    call = runtime.admission.webhook(carrier, "answer", request.headers, form, query=_query(request))
    log.info("call %s announced by %s", call.call_id, carrier)
    return _response(await runtime.admission.invite(carrier, call))


async def status(runtime: Runtime, carrier: str, request: web.Request) -> web.Response:
    """The carrier tells how a stream fares."""
    form = await read_form(request, runtime.limits.body_within_s)
    runtime.admission.verify(carrier, "status", request.headers, form, query=_query(request))
    runtime.stats.stream_statuses[runtime.carriers[carrier].status(form)] += 1
    return web.Response(status=204)


async def ended(runtime: Runtime, carrier: str, request: web.Request) -> web.Response:
    """The stream is over and the carrier asks what comes next."""
    form = await read_form(request, runtime.limits.body_within_s)
    runtime.admission.verify(carrier, "ended", request.headers, form, query=_query(request))
    teller = runtime.carriers[carrier]
    return _response(teller.ended(form, runtime.ending_of(teller.incoming(form).call_id)))


def _query(request: web.Request) -> str:
    """The query as it was written: it is part of what is signed."""
    return request.rel_url.raw_query_string


def _response(reply: Reply) -> web.Response:
    return web.Response(body=reply.body.encode(), status=reply.status, content_type=reply.content_type)


def refusal(runtime: Runtime, error: Refused | ProtocolError) -> web.Response:
    """The answer to a webhook or an upgrade that was refused; the reason goes to the log, not to the stranger."""
    if isinstance(error, ProtocolError):
        runtime.stats.protocol_errors[error.kind] += 1
        return web.Response(status=400, text="bad request\n")
    runtime.stats.webhooks_refused[error.reason] += 1
    log.warning("refused: %s", error.reason)
    headers = {"Retry-After": "5"} if error.status == 503 else None
    return web.Response(status=error.status, text=f"{error.reason}\n", headers=headers)
