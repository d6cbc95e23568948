"""How the doctor asks an address: one request, within a deadline, with whatever comes of it told in words.

Nothing here judges, and no redirect is followed: that there is one is a finding.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from bridge.config import ServerConfig
from bridge.doctor.findings import Answer, Certificate
from bridge.lightning.http_client import read_up_to

MAX_BODY_BYTES: Final = 64 * 1024

_UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "YnJpZGdlLWRvY3Rvci0wMQ==",
}


class Web:
    """Used as ``async with``.

    Args:
        within_s: for each request, from looking up the name to the end of the answer.
        tls: which authorities are trusted; by default the machine's.
    """

    def __init__(self, within_s: float, tls: ssl.SSLContext | None = None) -> None:
        self._within_s, self._tls = within_s, tls or ssl.create_default_context()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Web:
        # A connection for each request: behind one address there may be several bridges.
        connector = aiohttp.TCPConnector(ssl=self._tls, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        proxy: str = "",
    ) -> Answer:
        """What `url` answers, up to 64 KB of it; `Answer.error` says why it does not."""
        assert self._session is not None
        try:
            async with (
                asyncio.timeout(self._within_s),
                self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=body or None,
                    allow_redirects=False,
                    proxy=proxy or None,
                ) as answer,
            ):
                return Answer(answer.status, dict(answer.headers), await read_up_to(answer, MAX_BODY_BYTES))
        except TimeoutError:
            return Answer(error=f"no answer within {self._within_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(error=told(error))

    async def ask_to_upgrade(self, url: str) -> Answer:
        """What `url` answers to a request for a WebSocket. It need not open one."""
        return await self.ask(url, headers=_UPGRADE)

    async def certificate(self, url: str) -> Certificate:
        """What an https:// address shows."""
        parts = urlsplit(url)
        try:
            async with asyncio.timeout(self._within_s):
                opened = asyncio.open_connection(
                    parts.hostname, parts.port or 443, ssl=self._tls, server_hostname=parts.hostname
                )
                _, writer = await opened
        except ssl.SSLError as error:
            return Certificate(refused=told(error))
        except TimeoutError:
            return Certificate(unseen=f"no answer within {self._within_s:g} s")
        except OSError as error:
            return Certificate(unseen=told(error))
        try:
            found = writer.get_extra_info("peercert") or {}
            return Certificate(ssl.cert_time_to_seconds(str(found["notAfter"])))
        finally:
            writer.transport.abort()


def local_url(server: ServerConfig) -> str:
    """Where this machine reaches the bridge that `server` describes."""
    host = server.host if server.host not in ("0.0.0.0", "::", "") else "127.0.0.1"  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"


def told(error: Exception) -> str:
    """What is wrong with a connection, in a few words."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "it does not speak TLS as it should"
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return "its name is not known (DNS)"
    if isinstance(cause, ConnectionRefusedError):
        return "nobody listens there (connection refused)"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return "the connection was closed before an answer"
    if isinstance(cause, OSError) and cause.strerror:
        return f"cannot connect: {cause.strerror}"
    return f"no HTTP that we understand ({type(error).__name__})"
