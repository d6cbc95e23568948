"""Passwords in the ``Authorization`` header, for the carriers that are ours to run and sign nothing.

Strategy:

- One header, whole, compared in constant time. A repeated header, an unknown scheme or bad base64 is a refusal.
- Without a configured secret everything is refused.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Mapping

from bridge.carriers.carrier import header_values
from bridge.errors import Refused
from bridge.secret import Secret


def has_basic(headers: Mapping[str, str], username: str, password: Secret) -> bool:
    """Whether a request proves by HTTP Basic that it knows `username` and `password`."""
    if not (username and password):
        return False
    given = _credentials(headers, "basic")
    try:
        pair = b64decode(given, validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(pair, f"{username}:{password.reveal()}".encode())


def has_bearer(headers: Mapping[str, str], token: Secret) -> bool:
    """Whether a request brings `token` as a bearer token."""
    if not token:
        return False
    given = _credentials(headers, "bearer").encode("utf-8", "surrogatepass")
    return hmac.compare_digest(given, token.reveal().encode())


def require_basic(headers: Mapping[str, str], username: str, password: Secret) -> None:
    """Let a request pass that knows `username` and `password`.

    Raises:
        Refused: always for the reason ``signature``.
    """
    if not has_basic(headers, username, password):
        raise Refused("signature", "HTTP Basic: user name and password are missing, repeated or wrong")


def _credentials(headers: Mapping[str, str], scheme: str) -> str:
    """What follows `scheme` in the one Authorization header; empty when there is none, or more than one."""
    values = header_values(headers, "Authorization")
    if len(values) != 1:
        return ""
    given, _, credentials = values[0].partition(" ")
    return credentials.strip() if given.lower() == scheme else ""
