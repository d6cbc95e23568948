"""How an agent elsewhere knows that it is the bridge that asks. Pure.

Strategy:

- HMAC-SHA256 with a secret that both have, over the time, a full stop, and what is asked: the body of a request, or the
  path of a WebSocket (with its query, as it stands in the request line). In ``X-Bridge-Signature: t=<time>,v1=<hex>``.
- The time is signed as well: what was overheard is of no use minutes later.
- Several ``v1`` may stand there: an agent takes any that is right, so that a secret can be changed while calls are on.
- The other way round nothing is signed: over ``https`` and ``wss`` the agent's certificate says who answers.

Facts, from RFC 2104 (HMAC). The form is the one of Stripe's webhooks, which many have code for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from bridge.secret import Secret

HEADER: Final = "X-Bridge-Signature"
#: Older ones, and those from the future, are not taken.
TOLERANCE_S: Final = 300

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(r"[0-9]{1,15}")


def signature(secret: Secret, signed: bytes, at_s: int) -> str:
    """The header's value for `signed`, a body or a path, sent at `at_s` seconds since 1970."""
    return f"t={at_s},v1={_mac(secret, signed, str(at_s))}"


def is_signed(header: str, secret: Secret, signed: bytes, now_s: float) -> bool:
    """Whether `header` is the signature of `signed`, made with `secret`, and not too long ago.

    What an agent in Python does; ``docs/remote.md`` has the same in TypeScript.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t" and _TIME.fullmatch(value)]
    macs = [value for name, _, value in parts if name == "v1" and _HEX.fullmatch(value)]
    if len(times) != 1 or abs(now_s - int(times[0])) > TOLERANCE_S or not secret:
        return False
    wanted = _mac(secret, signed, times[0])
    return any(hmac.compare_digest(wanted, mac) for mac in macs)


def _mac(secret: Secret, signed: bytes, at: str) -> str:
    message = at.encode() + b"." + signed
    return hmac.new(secret.reveal().encode(), message, hashlib.sha256).hexdigest()
