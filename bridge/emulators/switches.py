"""What the options of every emulated service of Smallest AI have in common: who may come in, what is in range. No I/O.

Strategy:

- A class that derives has its own switches, with their defaults and reasons, and names those that have a range.
- A key is compared in constant time, and is in no line that is printed.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, fields
from typing import ClassVar

from bridge.secret import Secret


@dataclass(slots=True, kw_only=True)
class Switches:
    """The switches. May be changed while the emulator runs: the next handshake or message obeys.

    The defaults answer at once and without a fault, which is what tests want; a demo wants `realistic()`.

    Raises:
        ValueError: a number is out of its range.
    """

    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = ()
    POSITIVE: ClassVar[tuple[str, ...]] = ()

    #: The one key that is accepted. Empty: any key, but there must be one.
    api_key: Secret = field(default_factory=Secret)
    #: Answer handshakes, and requests over HTTP, with this HTTP status; 0 is off.
    refuse: int = 0

    def __post_init__(self) -> None:
        for name in self.NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in self.POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
        if self.refuse and not 400 <= self.refuse <= 599:
            raise ValueError("refuse must be an HTTP error status, or 0")

    def describe(self) -> str:
        """What differs from the defaults, for one printed line. The key is never in it."""
        plain = type(self)()
        changed = [f.name for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name)]
        told = [_told(name, getattr(self, name)) for name in changed if name != "api_key"]
        return ", ".join(told) or "no switches"

    def accepts(self, key: str) -> bool:
        """Whether `key` may come in."""
        return accepts(self.api_key, key)


def accepts(wanted: Secret, key: str) -> bool:
    """Whether `key` is the one that is `wanted`; any is that is not empty, where none is wanted."""
    right = wanted.reveal().encode()
    return bool(key) and (not right or hmac.compare_digest(key.encode(errors="surrogateescape"), right))


def bearer(authorization: str) -> str:
    """The key in the header `authorization`; empty when there is none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _told(name: str, value: object) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
