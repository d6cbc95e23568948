"""The HTTP that carriers ask: how to answer a call, how a stream fares, what to do after it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiMapping

from bridge.carriers.carrier import Endpoint, IncomingCall, Reply, Webhook
from bridge.errors import ProtocolError, Refused
from bridge.networks import origin
from bridge.server.runtime import Runtime

log = logging.getLogger(__name__)

#: What a form says that it is; ``application/octet-stream`` is what the library makes of nothing.
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "application/octet-stream"})


async def read_webhook(runtime: Runtime, carrier: str, endpoint: Endpoint, request: web.Request) -> Webhook:
    """The request as the carrier's own code sees it, if its body is all here in time.

    Raises:
        Refused: the body did not come in time, or is not the form that it says it is.
    """
    if request.content_type.startswith("multipart/"):
        # Carriers send no files, and nobody else may make us keep any.
        raise Refused("bad_body", "the body is not a plain form", status=415)
    body = await read_body(request, runtime.limits.body_within_s)
    return Webhook(
        url=runtime.admission.url_of(carrier, endpoint, query_of(request)),
        method=request.method,
        headers=request.headers,
        form=_form(request, body),
        body=body,
        remote=remote_of(runtime, request),
        now_s=runtime.unix_clock(),
    )


def remote_of(runtime: Runtime, request: web.Request) -> str:
    """The address that a request comes from: who connected, or whom our own proxy was asked by."""
    forwarded = request.headers.getall("X-Forwarded-For", [])
    return origin(request.remote or "", forwarded, runtime.proxies)


async def read_body(request: web.Request, within_s: float) -> bytes:
    """The body, if all of it is here `within_s` seconds from now.

    Raises:
        Refused: it is not.
    """
    try:
        async with asyncio.timeout(within_s):
            return await request.read()
    except TimeoutError:
        raise Refused("slow_body", "the body did not come in time", status=408) from None
    except (ValueError, web.RequestPayloadError):
        raise Refused("bad_body", "the body cannot be read", status=400) from None


def _form(request: web.Request, body: bytes) -> MultiMapping[str]:
    """The body's fields; none when it is no form."""
    if not body or request.content_type not in _FORMS:
        return MultiDict()
    try:
        charset = request.charset or "utf-8"
        return MultiDict(parse_qsl(body.rstrip().decode(charset), keep_blank_values=True, encoding=charset))
    except (ValueError, LookupError):
        raise Refused("bad_body", "the body is not a form", status=400) from None


def query_of(request: web.Request) -> str:
    """``?`` and the query as it was written, for it is part of what is signed; empty without one."""
    query = request.rel_url.raw_query_string
    return f"?{query}" if query else ""


async def answer(runtime: Runtime, carrier: str, request: web.Request) -> web.Response:
    """A call comes in: say how to open its media stream. What is about something else is counted."""
    webhook = await read_webhook(runtime, carrier, "answer", request)
    call = runtime.admission.announced(carrier, webhook)
    if call is None:
        return _noted(runtime, carrier, webhook)
    log.info("call %s announced by %s", call.call_id, carrier)
    reply = await runtime.admission.invite(carrier, call)
    response = _response(reply)
    if reply.then is not None or reply.dial is not None:
        await response.prepare(request)
        await response.write_eof()  # the carrier must have its answer before it is asked for anything
        _go_on(runtime, carrier, call, reply)
    return response


def _go_on(runtime: Runtime, carrier: str, call: IncomingCall, reply: Reply) -> None:
    if reply.then is not None:
        runtime.errands.start("answer", carrier, lambda: reply.then)
    if reply.dial is not None:
        from bridge.server.dialling import dial

        runtime.errands.spawn(dial(runtime, carrier, call, reply.dial), f"media socket of {call.call_id}")


async def status(runtime: Runtime, carrier: str, request: web.Request) -> web.Response:
    """The carrier tells how a stream fares."""
    webhook = await read_webhook(runtime, carrier, "status", request)
    runtime.admission.verify(carrier, webhook)
    return _noted(runtime, carrier, webhook)


async def ended(runtime: Runtime, carrier: str, request: web.Request) -> web.Response:
    """The stream is over and the carrier asks what comes next."""
    webhook = await read_webhook(runtime, carrier, "ended", request)
    runtime.admission.verify(carrier, webhook)
    teller = runtime.carriers[carrier]
    return _response(teller.ended(webhook, runtime.ended_of(teller.call_id_of(webhook))))


def _noted(runtime: Runtime, carrier: str, webhook: Webhook) -> web.Response:
    teller = runtime.carriers[carrier]
    runtime.stats.stream_statuses[teller.status(webhook)] += 1
    if over := teller.over(webhook):
        runtime.told_over(carrier, over)
    return _response(teller.noted)


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
