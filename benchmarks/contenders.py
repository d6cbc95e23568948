"""The servers that can be measured: how each is started, and where it is called.

The bridge runs from this checkout. Peers run from `.venv-peers` and are never imported by anything of ours.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.line import ACCOUNT_SID, Line
from benchmarks.load import Door, Load
from benchmarks.mock_lightning import MockLightning
from benchmarks.process import Server
from bridge.carriers.registry import carrier_types
from bridge.config import ENV_PREFIX
from bridge.config_tree import convert, variable_of
from bridge.emulators.carriers.telnyx import PUBLIC_KEY as TELNYX_KEY

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
AUTH_TOKEN = "benchmark-token"  # of the simulated account; there is no such account
READY_WITHIN_S = 30.0
#: What each emulated carrier and the bridge know of each other: `[carriers.<name>]`.
CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "twilio": {"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN},
    "telnyx": {"public_key": TELNYX_KEY},
    "plivo": {"auth_token": AUTH_TOKEN},
    "vonage": {"signature_secret": AUTH_TOKEN, "api_key": "benchmark", "application_id": "benchmark"},
    "signalwire": {"signing_key": AUTH_TOKEN},
    "exotel": {"username": "benchmark", "password": AUTH_TOKEN},
    "asterisk": {"username": "benchmark", "password": AUTH_TOKEN},
    "freeswitch": {"token": AUTH_TOKEN},
    "jambonz": {"webhook_secret": AUTH_TOKEN, "username": "benchmark", "password": AUTH_TOKEN},
    "genesys": {"api_key": "benchmark", "client_secret": b64encode(AUTH_TOKEN.encode()).decode()},
}


@dataclass(frozen=True)
class Contender:
    """A server to measure. `port` is its own, `lightning_port` the mock's."""

    name: str
    command: Callable[[int, int], Sequence[str]]
    environ: Callable[[int, int, int], Mapping[str, str]]
    door: Callable[[int], Door]
    ready_path: str


def _bridge_environ(port: int, lightning_port: int, calls: int) -> dict[str, str]:
    return {
        "BRIDGE_SERVER__HOST": "127.0.0.1",
        "BRIDGE_SERVER__PORT": str(port),
        "BRIDGE_SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
        "BRIDGE_SERVER__DRAIN_TIMEOUT_S": "1",
        "BRIDGE_LIGHTNING__BASE_URL": f"http://127.0.0.1:{lightning_port}",
        "BRIDGE_LIGHTNING__CONCURRENCY": str(calls + 10),
        "BRIDGE_LIGHTNING__SPARE_CONNECTIONS": str(min(32, 2 + calls // 10)),
        "BRIDGE_CARRIERS__TWILIO__ACCOUNT_SID": ACCOUNT_SID,
        "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": AUTH_TOKEN,
        "SMALLEST_API_KEY": "benchmark",
    }


BRIDGE = Contender(
    "bridge",
    lambda port, _: (sys.executable, "-m", "bridge.cli.main", "serve", "--config", "benchmarks/bridge.toml"),
    _bridge_environ,
    lambda port: Door(answer_url=f"http://127.0.0.1:{port}/carriers/twilio/answer", auth_token=AUTH_TOKEN),
    "/readyz",
)


def bridge_called_by(carrier: str) -> Contender:
    """The bridge, called by the emulator of `carrier`."""
    keys = CREDENTIALS[carrier]
    section = convert(keys, carrier_types()[carrier].section, "benchmark")

    def environ(port: int, lightning_port: int, calls: int) -> dict[str, str]:
        own = {variable_of(f"carriers.{carrier}.{key}", ENV_PREFIX): value for key, value in keys.items()}
        # Where no key can be pressed, nobody can tell the agent when to begin.
        starts = (
            {} if carrier_types()[carrier].capabilities.dtmf else {"BRIDGE_AGENT__OPTIONS__AT_ONCE": "true"}
        )
        return _bridge_environ(port, lightning_port, calls) | own | starts

    def door(port: int) -> Door:
        url = f"http://127.0.0.1:{port}/carriers/{carrier}/answer"
        return Door(answer_url=url, carrier=carrier, section=section)

    return replace(BRIDGE, name=f"bridge, {carrier}", environ=environ, door=door)


PIPECAT = Contender(
    "pipecat",
    lambda port, lightning: (str(PEERS_PYTHON), "benchmarks/peers/pipecat_bot.py", str(port), str(lightning)),
    lambda port, lightning, calls: {},
    lambda port: Door(media_url=f"ws://127.0.0.1:{port}/media"),
    "/ready",
)
FLOOR = Contender(
    "floor",
    lambda port, _: (sys.executable, "-m", "benchmarks.floor", str(port)),
    lambda port, lightning, calls: {},
    lambda port: Door(media_url=f"ws://127.0.0.1:{port}/media"),
    "/ready",
)


@dataclass(frozen=True)
class Stage:
    """A server that is up, the load to put on it, and the mock it synthesises with."""

    server: Server
    load: Load
    lightning: MockLightning
    door: Door


@asynccontextmanager
async def serving(
    contender: Contender,
    calls: int,
    noise: Sequence[bytes],
    *,
    core: int,
    log: Path,
    line_type: type[Line] = Line,
) -> AsyncIterator[Stage]:
    """Start `contender` on `core` for `calls` calls, with a mock of its own; end it afterwards.

    Raises:
        ChildProcessError: it ended at once.
        TimeoutError: it was not ready within 30 s.
    """
    lightning = MockLightning()
    await lightning.start()
    load = Load(lightning, noise, line_type)
    port = _free_port()
    command = contender.command(port, lightning.port)
    environ = contender.environ(port, lightning.port, calls)
    ready = f"http://127.0.0.1:{port}{contender.ready_path}"
    try:
        with Server(command, environ, cwd=ROOT, core=core, log=log, ready_url=ready) as server:
            await _until_ready(server)
            yield Stage(server, load, lightning, contender.door(port))
    finally:
        load.stop()
        lightning.close()


async def _until_ready(server: Server) -> None:
    until = time.monotonic() + READY_WITHIN_S
    # In a thread, because the server may ask the mock, which lives in this loop, before it is ready.
    while not await asyncio.to_thread(server.is_ready):
        if time.monotonic() > until:
            raise TimeoutError(f"not ready within {READY_WITHIN_S:.0f} s; its output is in {server.log}")
        await asyncio.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
