"""Asking addresses on loopback, with and without TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from bridge.config import ServerConfig
from bridge.doctor.findings import Certificate
from bridge.doctor.web import MAX_BODY_BYTES, Web, local_url, told
from tests.support.public_door import PublicDoor
from tests.support.tls import certificate
from tests.support.waiting import PATIENCE_S

NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def tls_server(pem: Path) -> AsyncIterator[str]:
    """One that says nothing after the handshake; yields its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_until_when_a_certificate_holds(tmp_path: Path) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    pem = certificate(tmp_path, ends)
    async with tls_server(pem) as url, Web(PATIENCE_S, ssl.create_default_context(cafile=str(pem))) as web:
        assert await web.certificate(url) == Certificate(ends.timestamp())


@pytest.mark.parametrize(
    "days, address, trusted, why",
    [
        (30, "127.0.0.1", False, "self-signed"),
        (-1, "127.0.0.1", True, "expired"),
        (30, "127.0.0.2", True, "IP address mismatch"),
    ],
)
async def test_a_certificate_that_does_not_hold(
    tmp_path: Path, days: int, address: str, trusted: bool, why: str
) -> None:
    pem = certificate(tmp_path, datetime.now(UTC) + timedelta(days=days), address)
    trust = ssl.create_default_context(cafile=str(pem)) if trusted else None
    async with tls_server(pem) as url, Web(PATIENCE_S, trust) as web:
        found = await web.certificate(url)
        assert found == Certificate(refused=found.refused)
        assert found.refused.startswith("its certificate is not accepted: ")
        assert why in found.refused.replace("self signed", "self-signed")
        assert (await web.ask(url)).error == found.refused, "a request says the same"


async def test_no_tls_and_nobody() -> None:
    no_tls, nobody = "it does not speak TLS as it should", "nobody listens there (connection refused)"
    async with PublicDoor(website=True) as door, Web(PATIENCE_S) as web:
        tls = door.url.replace("http:", "https:")
        assert await web.certificate(tls) == Certificate(refused=no_tls)
        assert (await web.ask(tls)).error == no_tls
        assert await web.certificate(f"https://{NOBODY}") == Certificate(unseen=nobody)
        assert (await web.ask(f"http://{NOBODY}")).error == nobody


async def test_a_redirect_is_not_followed() -> None:
    async with PublicDoor(redirect_to=f"http://{NOBODY}") as door, Web(PATIENCE_S) as web:
        answer = await web.ask(door.url)
    assert (answer.status, answer.header("location")) == (301, f"http://{NOBODY}")


@asynccontextmanager
async def plain_server(answer: bytes | None) -> AsyncIterator[str]:
    """One that answers every request with `answer`; with None, not at all."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        over.set()


@pytest.mark.parametrize(
    "answer, error",
    [
        (None, "no answer within 0.05 s"),
        (b"", "the connection was closed before an answer"),
        (b"220 mail.example.com ESMTP\r\n\r\n", "no HTTP that we understand"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "no HTTP that we understand"),
    ],
)
async def test_what_is_no_answer(answer: bytes | None, error: str) -> None:
    async with plain_server(answer) as url, Web(0.05 if answer is None else PATIENCE_S) as web:
        found = await web.ask(url)
    assert found.status == 0
    assert found.error.startswith(error)


async def test_an_answer_without_end_is_cut() -> None:
    body = b"x" * (2 * MAX_BODY_BYTES)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with plain_server(head + body) as url, Web(PATIENCE_S) as web:
        answer = await web.ask(url)
    assert len(answer.body) == MAX_BODY_BYTES


def test_a_name_that_nobody_knows() -> None:
    unknown = socket.gaierror(-2, "Name or service not known")
    key = ConnectionKey("voice.example", 443, True, True, None, None, None)
    for error in (unknown, aiohttp.ClientConnectorDNSError(key, unknown)):
        assert told(error) == "its name is not known (DNS)"


@pytest.mark.parametrize(
    "host, url",
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("10.0.0.5", "http://10.0.0.5:8080"),
    ],
)
def test_where_the_bridge_of_this_machine_is(host: str, url: str) -> None:
    assert local_url(ServerConfig(host=host)) == url
