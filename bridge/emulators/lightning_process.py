"""The emulated Lightning in a process of its own: its voice is GPL, and what it costs is not the bridge's."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from bridge.config import API_KEY_VARIABLE
from bridge.errors import BridgeError

#: The key that it accepts.
KEY: Final = "demo-key"
_START_S: Final = 20.0
_STOP_S: Final = 5.0


@asynccontextmanager
async def lightning_process(engine: str, *options: str) -> AsyncIterator[str]:
    """An emulated Lightning as long as the block runs; yields its URL.

    Args:
        engine: who speaks: ``espeak``, ``tones``, ``auto``.
        options: more of ``bridge emulate lightning``.

    Raises:
        BridgeError: it did not start.
    """
    starting = asyncio.create_task(_start(engine, options))
    try:
        # A Ctrl-C at this very moment must not lose a process that is already there.
        yield await _address(await asyncio.shield(starting))
    finally:
        await _stop(await starting)


async def _start(engine: str, options: Sequence[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "bridge", "emulate", "lightning", "--port", "0", "--engine", engine, *options,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )  # fmt: skip


def environment() -> dict[str, str]:
    """Ours, with our own import path, whatever folder this is; and its own key, not the operator's."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, API_KEY_VARIABLE: KEY}


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = (await process.stdout.readline()).decode(errors="replace")
    except TimeoutError:
        line = ""
    address = re.search(r"http://[\w.\[\]:-]*\d", line)
    if address is None:
        raise BridgeError("the emulated Lightning did not start")
    return address[0]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()
