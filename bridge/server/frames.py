"""WebSocket frames written past the library: one message, one final frame (RFC 6455, 5.2).

A server's frames are unmasked, a client's are masked with a key that nobody can foretell.
"""

from __future__ import annotations

import secrets
from typing import Final

from bridge.carriers.dialect import Binary

_TEXT: Final = b"\x81"
_BINARY: Final = b"\x82"
_MASKED: Final = 0x80


def frame(message: bytes) -> bytes:
    """`message` as a server sends it."""
    opcode = _BINARY if isinstance(message, Binary) else _TEXT
    size = len(message)
    if size < 126:
        return opcode + size.to_bytes(1, "big") + message
    if size < 65536:
        return opcode + b"\x7e" + size.to_bytes(2, "big") + message
    return opcode + b"\x7f" + size.to_bytes(8, "big") + message


def masked_frame(message: bytes) -> bytes:
    """`message` as a client sends it."""
    plain = frame(message)
    head = len(plain) - len(message)
    key = secrets.token_bytes(4)
    return plain[:1] + bytes([plain[1] | _MASKED]) + plain[2:head] + key + _masked(message, key)


def _masked(message: bytes, key: bytes) -> bytes:
    size = len(message)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(message, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")
