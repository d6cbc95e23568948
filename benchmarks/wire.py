"""The least of WebSocket that a load generator needs, so that one core can play 500 carriers and a Lightning.

Strategy:

- Only what the servers under test send: unfragmented frames under 64 KiB, close, ping. Anything else is an
  error, never a guess.
- Client frames carry the mask key 0: legal, and the payload needs no pass over it.
- Bytes in, messages out; nothing here knows asyncio.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLIENT_KEY = "bG9hZC1nZW5lcmF0b3ItMQ=="


def client_head(length: int, opcode: int = TEXT) -> bytes:
    """The head of a client's frame of `length` bytes, mask key 0 included."""
    first = bytes((0x80 | opcode,))
    if length < 126:
        return first + bytes((0x80 | length,)) + bytes(4)
    return first + b"\xfe" + length.to_bytes(2, "big") + bytes(4)


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole client's frame."""
    return client_head(len(payload), opcode) + payload


def server_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole server's frame."""
    first = bytes((0x80 | opcode,))
    if len(payload) < 126:
        return first + bytes((len(payload),)) + payload
    return first + b"\x7e" + len(payload).to_bytes(2, "big") + payload


def upgrade_request(host: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The request that opens a WebSocket."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {_CLIENT_KEY}", "Sec-WebSocket-Version: 13"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def upgrade_answer(request_head: bytes) -> bytes:
    """The answer that accepts the upgrade in `request_head`."""
    key = header(request_head, b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def header(head: bytes, name: bytes) -> bytes:
    """The value of header `name` (lower case) in a request's or answer's head; empty when it is missing."""
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


class FrameReader:
    """Cuts a byte stream into WebSocket messages, of either side."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Every whole message so far, as (opcode, payload)."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            first, second = data[at], data[at + 1]
            length, body = second & 127, at + 2
            if length == 126:
                if end - at < 4:
                    break
                length, body = data[at + 2] << 8 | data[at + 3], at + 4
            elif length == 127 or not first & 0x80:
                raise ValueError("longer or more broken up than anything this benchmark exchanges")
            masked = second & 128
            if masked:
                body += 4
            if end - body < length:
                break
            at = body + length
            payload = data[body:at]
            yield first & 15, _unmask(payload, data[body - 4 : body]) if masked else payload
        self._rest = data[at:]


def _unmask(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
