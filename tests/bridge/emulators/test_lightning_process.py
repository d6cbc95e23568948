"""The emulated Lightning beside the demo and the rehearsals: it lives as long as it is needed, and no longer."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import pytest

from bridge.emulators.lightning_process import environment, lightning_process
from bridge.errors import BridgeError


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_the_emulator_lives_as_long_as_it_is_needed() -> None:
    async with lightning_process("tones") as url:
        assert await answers(url)
    assert not await answers(url)


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, KeyboardInterrupt])
async def test_it_goes_down_whatever_happens(error: type[BaseException]) -> None:
    with pytest.raises(error):
        async with lightning_process("tones") as url:
            raise error
    assert not await answers(url)


async def test_an_emulator_that_does_not_start_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BridgeError, match="the emulated Lightning did not start"):
        async with lightning_process("choir"):
            pass
    assert "choir" in capfd.readouterr().err


def test_it_imports_what_its_parent_did(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "/somewhere", *sys.path])
    monkeypatch.setenv("SMALLEST_API_KEY", "the-operators-own")
    env = environment()
    assert env["PYTHONPATH"].split(os.pathsep)[:2] == [str(tmp_path), "/somewhere"]
    assert env["SMALLEST_API_KEY"] != "the-operators-own"
    assert env["PATH"] == os.environ["PATH"]
