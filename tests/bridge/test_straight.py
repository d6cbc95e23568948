"""No WebSocket of ours follows a redirect: neither the key nor anything else goes where nobody configured."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from bridge.config import LightningConfig, PulseConfig, Secret
from bridge.errors import LightningError
from bridge.lightning.connection import Dialer
from bridge.lightning.stats import LightningStats
from bridge.straight import StraightConnect
from bridge.transcribers.pulse_messages import Refusal
from bridge.transcribers.pulse_socket import Dialer as PulseDialer


@asynccontextmanager
async def elsewhere(seen: list[str]) -> AsyncIterator[str]:
    """Where a server sends whoever asks it on to another one, which notes who came."""

    async def note(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append(socket.request.headers.get("Authorization", ""))

    async with serve(note, "127.0.0.1", 0) as other:

        def sends_on(_socket: ServerConnection, request: Request) -> Response:
            return Response(
                302, "Found", Headers({"Location": f"ws://127.0.0.1:{port_of(other)}{request.path}"})
            )

        async with serve(note, "127.0.0.1", 0, process_request=sends_on) as server:
            yield f"127.0.0.1:{port_of(server)}"


def port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


async def test_nobody_is_sent_on() -> None:
    seen: list[str] = []
    async with elsewhere(seen) as there:
        with pytest.raises(InvalidStatus) as caught:
            await StraightConnect(f"ws://{there}/")
        assert caught.value.response.status_code == 302
        key = Secret("canary")
        lightning = LightningConfig(base_url=f"http://{there}", api_key=key)
        with pytest.raises(LightningError, match="302"):
            await Dialer(lightning, LightningStats(), "/x").dial()
        refused = await PulseDialer(PulseConfig(base_url=f"http://{there}", api_key=key)).dial()
        assert isinstance(refused, Refusal) and "302" in refused.message
    assert seen == []
