"""Where an agent elsewhere is, and what a request to it bears. Pure.

Strategy: who configures the bridge says where agents are, so any host will do; but what callers say and do is not sent
in the clear to another machine, nor without a signature, unless `insecure` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bridge import __version__
from bridge.networks import is_loopback
from bridge.remote.signature import HEADER, signature
from bridge.secret import Secret

SOCKETS: Final = frozenset({"ws", "wss"})
WEBHOOKS: Final = frozenset({"http", "https"})

#: Nothing that one of the two libraries would have to mend.
_PLAIN: Final = re.compile(r"[!-~]{1,2000}")
#: What a header can hold.
_ID: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where an agent is, and what it knows us by.

    Attributes:
        url: a good one, see `fault_of`.
        secret: what requests are signed with; empty: they are not.
        unix_clock: seconds since 1970.
    """

    url: str = field(repr=False)
    secret: Secret
    unix_clock: Callable[[], float]

    @property
    def scheme(self) -> str:
        """One of `SOCKETS` or `WEBHOOKS`, in small letters."""
        return urlsplit(self.url).scheme

    @property
    def path(self) -> str:
        """As it stands in the request line."""
        parts = urlsplit(self.url)
        return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"

    def headers(self, call_id: str, signed: bytes) -> dict[str, str]:
        """What goes with a request of which `signed` is signed."""
        headers = {"User-Agent": f"lightning-phone-bridge/{__version__}"}
        if _ID.fullmatch(call_id):
            headers["X-Bridge-Call"] = call_id
        if self.secret:
            headers[HEADER] = signature(self.secret, signed, int(self.unix_clock()))
        return headers


def fault_of(url: str, *, signed: bool, insecure: bool = False) -> str:
    """Why no agent is asked at `url`; empty when one may be.

    Args:
        signed: whether there is a secret to sign with.
        insecure: whether another machine may be asked in the clear, or unsigned.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "url is no address"
    if parts.scheme not in SOCKETS | WEBHOOKS or not host or not _PLAIN.fullmatch(url):
        return "url must be wss:// or ws:// (a WebSocket), https:// or http:// (webhooks), in plain ASCII"
    if "@" in parts.netloc or parts.fragment:
        return "url must have no user, no password and no fragment: requests are signed with secret"
    if insecure or is_loopback(host):
        return ""
    if parts.scheme in ("ws", "http"):
        return f"url must be {parts.scheme}s:// for another machine than this, or insecure = true"
    return (
        ""
        if signed
        else "secret is missing: the agent could not tell the bridge from anybody, or insecure = true"
    )
