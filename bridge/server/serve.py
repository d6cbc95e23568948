"""Run a server, and take it down without dropping anybody.

Strategy (aiohttp's own `run_app` makes live WebSockets deaf on SIGTERM, so we do not use it):

- The first SIGTERM or SIGINT starts a drain: new calls get 503 and `/readyz` says so, live calls go on as if nothing
  had happened, until the last one ends or `drain_timeout_s` is over. What is left is closed with 1001.
- Only then is the web server taken down. A second signal ends the waiting at once.
- SIGHUP is no end: prompts and flows are read again, for new calls.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from bridge.agents.loader import load_agent
from bridge.config import Config, require_for_serving
from bridge.errors import ConfigError
from bridge.lightning.voice_check import doubtful_voices
from bridge.server.app import build_app
from bridge.server.flows import reloading_on_hangup
from bridge.server.http_log import log as http_log
from bridge.server.limits import Limits
from bridge.server.runtime import Runtime

log = logging.getLogger(__name__)

#: After the last call is closed: what handlers get to finish.
SHUTDOWN_S: Final = 2.0


class Server:
    """A running server: its runtime, and where it listens."""

    def __init__(self, runtime: Runtime, runner: web.AppRunner) -> None:
        self.runtime = runtime
        self._runner = runner
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that was bound; of use when 0 was asked for."""
        return int(self._runner.addresses[0][1])

    def request_stop(self) -> None:
        """Begin to drain; asked a second time, stop waiting for calls."""
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()

    async def until_stopped(self) -> None:
        """Serve until `request_stop`, then drain."""
        await self._stop.wait()
        await self.drain(self.runtime.config.server.drain_timeout_s)

    async def drain(self, timeout_s: float) -> None:
        """Refuse new calls, let the live ones finish for up to `timeout_s`, close what is left with 1001."""
        runtime = self.runtime
        runtime.admission.draining = True
        log.info("draining: %d calls are live", len(runtime.calls))
        drained = asyncio.create_task(runtime.drained())
        forced = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait({drained, forced}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for call in list(runtime.calls.values()):
            call.drop(1001, "drained")
        await asyncio.wait({drained}, timeout=SHUTDOWN_S)
        for task in (drained, forced):
            task.cancel()


@asynccontextmanager
async def running(
    config: Config,
    *,
    source: str = "",
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Server]:
    """A server that listens, for as long as the block runs. Leaving it closes live calls with 1001.

    Raises:
        ConfigError: something that serving needs is missing or wrong, or the port cannot be bound.
        FilesRefused: something is wrong with prompts or flows.
    """
    require_for_serving(config, source)
    agent = load_agent(config.agent, source)
    runtime = Runtime(config, agent, source=source, limits=limits, clock=clock)
    async with AsyncExitStack() as opened:
        opened.push_async_callback(runtime.close)
        await runtime.start()
        runner = web.AppRunner(
            build_app(runtime),
            handle_signals=False,
            keepalive_timeout=runtime.limits.keepalive_s,
            shutdown_timeout=SHUTDOWN_S,
            access_log=None,
            logger=http_log,
        )
        opened.push_async_callback(runner.cleanup)
        await runner.setup()
        await _bind(runner, config, source)
        server = Server(runtime, runner)
        yield server
        if not runtime.draining:
            await server.drain(0)


async def _bind(runner: web.AppRunner, config: Config, source: str) -> None:
    try:
        await web.TCPSite(runner, config.server.host, config.server.port).start()
    except OSError as error:
        where = f"{config.server.host}:{config.server.port}"
        raise ConfigError(
            f"cannot listen on {where}: {error.strerror}", key="server.port", source=source
        ) from error


async def serve(config: Config, *, source: str = "", on_ready: Callable[[Server], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then drain. Returns the exit code: 0, or 130 for SIGINT.

    Raises:
        ConfigError: as `running`.
    """
    loop = asyncio.get_running_loop()
    codes: list[int] = []
    async with running(config, source=source) as server:

        def stop(code: int) -> None:
            codes.append(code)
            server.request_stop()

        _spare_the_collector()
        loop.add_signal_handler(signal.SIGTERM, stop, 0)
        loop.add_signal_handler(signal.SIGINT, stop, 130)
        if on_ready is not None:
            on_ready(server)
        check = asyncio.create_task(_doubt_voices(config))
        with reloading_on_hangup(server.runtime.library):
            await server.until_stopped()
        check.cancel()
        await asyncio.wait([check])
    return codes[0] if codes else 0


async def _doubt_voices(config: Config) -> None:
    for doubt in await doubtful_voices(config.lightning):
        log.warning("%s", doubt)


def _spare_the_collector() -> None:
    """What was loaded at start lives as long as the process: no collection need walk it while packets wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10, 10)
