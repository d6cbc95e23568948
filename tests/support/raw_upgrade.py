"""A client that asks for a WebSocket and leaves before it has been given one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit


async def ask_and_leave(url: str, headers: Mapping[str, str]) -> None:
    """The request and its end arrive in one turn of the loop that both sides share: the server learns that nobody is
    there any more when it answers."""
    to = urlsplit(url)
    assert to.hostname and to.port
    asked = {
        "Host": to.netloc,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    target = to._replace(scheme="", netloc="").geturl()
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items()), "", ""]
    with socket.create_connection((to.hostname, to.port)) as connection:
        connection.sendall("\r\n".join(lines).encode())
    for _ in range(20):  # turns, not time: it is served in this very loop
        await asyncio.sleep(0)
