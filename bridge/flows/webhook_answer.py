"""What the user's own API answers: small, plain JSON, or of no use.

Strategy: no more is read than may be there, nothing is unpacked, and what is nested deeper than anybody means is not
taken. What came with a status other than 2xx may be something else: then only the status counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from bridge.flows.actions import Fetched
from bridge.lightning.faults import fault_of_http

#: What `FlowStats.webhook_failures` is counted by.
KINDS: Final = frozenset(
    {
        "not_allowed",  # the list does not have it
        "address",  # its name means an address that is not asked
        "token",  # the variable of the environment is not set, or no token
        "request",  # what is to be sent is no JSON
        "connect",
        "tls",
        "timeout",
        "dropped",
        "protocol",  # no HTTP that we understand
        "redirect",
        "status",  # 429 or 5xx, also at the last try
        "too_big",
        "encoding",  # compressed, although that was not asked for
        "not_json",
    }
)

MAX_BODY_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32


class Failure(Exception):
    """No answer of use. `unsent`: the other end cannot have seen the request; `final`: nor would it see the next."""

    def __init__(self, kind: str, reason: str, *, unsent: bool = False, final: bool = True) -> None:
        super().__init__(reason)
        self.kind, self.unsent, self.final = kind, unsent, final


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told to a flow, and for how long its sender wants to be left alone."""

    fetched: Fetched
    retry_after_s: float = 0.0


async def answer_of(response: aiohttp.ClientResponse) -> Answer:
    """Status and JSON. What came with a status other than 2xx may be something else, and is dropped then.

    Raises:
        Failure: a good answer is not small, plain JSON.
    """
    fault = fault_of_http(response.status, b"", response.headers.get("Retry-After"), now_s=time.time())
    body: Any = None
    try:
        body = _decoded(await _body_of(response))
    except (Failure, aiohttp.ClientPayloadError):
        if 200 <= response.status < 300:
            raise
    return Answer(Fetched(response.status, body), fault.retry_after_s or 0.0)


async def _body_of(response: aiohttp.ClientResponse) -> bytes:
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Failure("encoding", "the answer is compressed")
    body = bytearray()
    while more := await response.content.readany():
        body += more
        if len(body) > MAX_BODY_BYTES:
            raise Failure("too_big", f"the answer has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _decoded(body: bytes) -> Any:
    """The JSON in `body`; None when there is nothing."""
    if not body.strip():
        return None
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise Failure("not_json", "the answer is not JSON") from None
    if _depth_exceeds(decoded, MAX_DEPTH):
        raise Failure("not_json", f"the answer is nested more than {MAX_DEPTH} deep")
    return decoded


def _depth_exceeds(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        inner = [
            item.values() if isinstance(item, dict) else item
            for item in level
            if isinstance(item, dict | list)
        ]
        if not inner:
            return False
        level = [child for children in inner for child in children]
    return True
