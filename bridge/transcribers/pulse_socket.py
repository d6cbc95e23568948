"""How a socket to Pulse is opened and left.

Strategy:

- Whatever goes wrong is a `Refusal`, a value, in words that hold nothing of the handshake: neither key nor proxy.
- The wire log of the library stays off: at debug level it prints the handshake, key included.
- A call that is over says so to Pulse, and nobody waits for the answer.
"""

from __future__ import annotations

import logging
import ssl
from asyncio import timeout
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bridge import __version__
from bridge.config import PulseConfig
from bridge.straight import StraightConnect
from bridge.tls import tls_context
from bridge.transcribers.pulse_messages import (
    BUSY_CLOSES,
    CLOSE_STREAM,
    Kind,
    Refusal,
    refusal_of_close,
    refusal_of_http,
    url_of,
)

_wire_logger = logging.getLogger(f"{__name__}.wire")
_wire_logger.setLevel(logging.INFO)  # see the strategy above

#: A transcript is a few hundred bytes; with words and sentences of minutes, some ten thousand.
MAX_MESSAGE_BYTES: Final = 2**18
CLOSE_TIMEOUT_S: Final = 1.0
#: Protocol pings tell a dead peer where no `finalize` is asked for.
PING_INTERVAL_S: Final = 20.0
PING_TIMEOUT_S: Final = 10.0


class Dialer:
    """Opens sockets, all with the same settings.

    Args:
        config: with the key in it.
    """

    def __init__(self, config: PulseConfig) -> None:
        self._config = config
        self._url = url_of(config)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What the other end is checked with; None where it is not."""
        return tls_context() if self._url.startswith("wss:") else None

    async def dial(self) -> ClientConnection | Refusal:
        """An open socket, or why there is none after `connect_timeout_s`."""
        config = self._config
        try:
            return await StraightConnect(
                self._url,
                additional_headers={"Authorization": f"Bearer {config.api_key.reveal()}"},
                user_agent_header=f"lightning-phone-bridge/{__version__}",
                compression=None,
                proxy=config.proxy.reveal() or None,
                ssl=self.tls,
                open_timeout=config.connect_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=PING_INTERVAL_S,
                ping_timeout=PING_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
                logger=_wire_logger,
            )
        except InvalidStatus as refused:
            answer = refused.response
            return self.hushed(refusal_of_http(answer.status_code, bytes(answer.body or b"")))
        except TimeoutError:
            return Refusal(Kind.UNAVAILABLE, f"no connection within {config.connect_timeout_s:g} s")
        except (WebSocketException, OSError, EOFError, UnicodeError) as failure:
            # The library's own texts may quote a header or the proxy's address; its class names do not.
            reason = failure.strerror if isinstance(failure, OSError) else None
            return Refusal(Kind.UNAVAILABLE, f"cannot connect: {reason or type(failure).__name__}")

    def why(self, closed: ConnectionClosed, told: str = "") -> Refusal:
        """Why a socket is gone; `told` is the last error that it told before."""
        frame = closed.rcvd
        if frame is None:
            return Refusal(Kind.UNAVAILABLE, told or "the connection was lost")
        return self.hushed(refusal_of_close(frame.code, frame.reason or told))

    def hushed(self, refusal: Refusal) -> Refusal:
        """`refusal` without the key, should Pulse have quoted it."""
        return Refusal(refusal.kind, refusal.message.replace(self._config.api_key.reveal() or "\0", "***"))


async def refusal_at_once(socket: ClientConnection) -> Refusal | None:
    """What becomes of `socket`, which was just opened, when it is closed as Pulse wants it: None when nothing is wrong.

    Over the account's concurrency, Pulse opens a socket and closes it then.
    """
    await say_goodbye(socket)
    code, reason = socket.close_code or 1000, socket.close_reason or ""
    return refusal_of_close(code, reason) if code in BUSY_CLOSES else None


async def say_goodbye(socket: ClientConnection) -> None:
    """The call is over: close `socket` as Pulse wants it. Returns within a few `CLOSE_TIMEOUT_S`."""
    try:
        async with timeout(3 * CLOSE_TIMEOUT_S):
            await socket.send(CLOSE_STREAM, text=True)
            await socket.close()
    except (TimeoutError, ConnectionClosed):
        socket.transport.abort()
