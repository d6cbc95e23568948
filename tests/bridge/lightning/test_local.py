"""The door `local`, with small programs in Python."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.config import LightningConfig, Secret
from bridge.errors import InvalidRequest, LightningError, TimedOut, Unavailable
from bridge.lightning.doors import open_door
from bridge.lightning.limits import Units
from bridge.lightning.local import (
    DEFAULT_COMMAND,
    MAX_PROGRAMS,
    LocalEngine,
    argv_of,
    environment_of,
    last_line,
)
from bridge.lightning.speech import Synthesis
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.wav import read_wav, wav_bytes
from tests.support.lightning_live import KEY, parts_of
from tests.support.lightning_requests import request
from tests.support.waiting import until

HEADER = wav_bytes(AudioFormat(Encoding.PCM16, 16000), b"")
#: Long enough that only being killed can end it within a test.
SLEEP = "import time; time.sleep(600)"


@asynccontextmanager
async def engine(program: str = "", **changes: Any) -> AsyncIterator[LocalEngine]:
    """The door that runs `program` in this Python; the default command when there is none."""
    command = [sys.executable, "-S", "-c", program] if program else []
    wanted: dict[str, Any] = {"door": "local", "command": command, "api_key": Secret(KEY)}
    wanted |= {"first_audio_timeout_s": 60.0, "stall_timeout_s": 60.0}
    async with LocalEngine(LightningConfig(**(wanted | changes))) as door:
        yield door


async def audio_of(synthesis: Synthesis) -> bytes:
    parts, error = await parts_of(synthesis)
    assert error is None, error
    return b"".join(part for part in parts if isinstance(part, bytes))


async def error_of(synthesis: Synthesis) -> LightningError:
    _, error = await parts_of(synthesis)
    assert error is not None
    return error


def runs(pid: int) -> bool:
    """Whether the process is still there and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter when it goes while it is read
        return False


# -- going well --------------------------------------------------------------------------------------------

ECHO = "import sys; text = sys.stdin.buffer.read(); sys.stdout.buffer.write(text)"


async def test_text_goes_in_and_whatever_comes_out_is_handed_on() -> None:
    async with engine(ECHO) as door:
        assert await audio_of(door.synthesize(request(text="Grüße!"))) == "Grüße!".encode()
        assert (door.stats.completed, door.units.in_use, door.running) == (1, 0, set())
        assert door.last_error is None


async def test_a_text_that_fits_no_pipe_goes_in_while_audio_comes_out() -> None:
    echo = "import sys\nwhile part := sys.stdin.buffer.read1(100): sys.stdout.buffer.write(part * 40)"
    async with engine(echo) as door:
        text = "x" * 8000
        assert await audio_of(door.synthesize(request(text=text))) == text.encode() * 40


async def test_audio_comes_while_the_program_still_runs() -> None:
    program = f"import sys; sys.stdout.buffer.write({HEADER!r} + b'ab'); sys.stdout.flush(); {SLEEP}"
    async with engine(program) as door:
        synthesis = door.synthesize(request())
        assert await anext(synthesis) == HEADER + b"ab"
        assert len(door.running) == 1


async def test_what_the_program_is_told_in_its_arguments() -> None:
    tell = "import sys; sys.stdout.write('|'.join(sys.argv[1:]))"
    arguments = ["{language}", "-v{voice_id}", "{speed}", "{text}", "{{}", "$HOME; true"]
    async with engine(command=[sys.executable, "-S", "-c", tell, *arguments]) as door:
        told = await audio_of(door.synthesize(request(voice_id="{speed}", language="hi", speed=1.5)))
        assert told.decode() == "hi|-v{speed}|1.5|{text}|{{}|$HOME; true"


def test_the_program_itself_has_no_placeholders() -> None:
    assert argv_of(["{speed}", "{speed}"], request(speed=2)) == ["{speed}", "2"]
    assert argv_of([])[0] == DEFAULT_COMMAND[0] == sys.executable


async def test_it_is_not_told_our_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    monkeypatch.setenv("BRIDGE_LIGHTNING__API_KEY", KEY)
    monkeypatch.setenv("OF_THE_OPERATOR", "kept")
    async with engine("import os; print(dict(os.environ))") as door:
        told = (await audio_of(door.synthesize(request()))).decode()
        assert KEY not in told
        assert "OF_THE_OPERATOR" in told


def test_what_is_ours_in_the_environment() -> None:
    ours = {"SMALLEST_API_KEY": "1", "BRIDGE_SERVER__PORT": "2", "PATH": "3", "MY_BRIDGE_": "4"}
    assert environment_of(ours) == {"PATH": "3", "MY_BRIDGE_": "4"}


async def test_the_default_speaks_with_espeak_ng() -> None:
    pytest.importorskip("espeakng_loader")
    async with engine() as door:
        wav = read_wav(await audio_of(door.synthesize(request(text="Hello there."))))
        assert 300 < wav.duration_ms < 3000


async def test_it_takes_no_unit_of_the_account() -> None:
    stats = LightningStats()
    units = Units(1, stats)
    config = LightningConfig(door="local", command=[sys.executable, "-S", "-c", ECHO])
    door = open_door(config, stats, units)
    assert isinstance(door, LocalEngine)
    held = await units.acquire(0)
    async with door:
        assert await audio_of(door.synthesize(request(), wait_s=0)) == b"Hello."
        assert door.stats is stats
    held.release()
    assert door.units.concurrency == MAX_PROGRAMS


# -- being stopped -----------------------------------------------------------------------------------------

#: Tells its own number and that of a child, and goes on for ever.
FAMILY = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "{SLEEP}"])
print(os.getpid(), child.pid, flush=True)
{SLEEP}
"""


async def test_cancelled_it_is_killed_with_all_that_it_started() -> None:
    async with engine(FAMILY) as door:
        synthesis = door.synthesize(request())
        told = await anext(synthesis)
        assert isinstance(told, bytes)
        family = [int(pid) for pid in told.split()]
        assert all(map(runs, family))
        synthesis.cancel()
        assert door.units.in_use == 0
        await until(lambda: not any(map(runs, family)))
        await until(lambda: not door.running)
        assert await parts_of(synthesis) == ([], None)
        assert (door.stats.cancelled, door.stats.failed) == (1, 0)


async def test_killing_leaves_its_status_to_the_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    async with engine(f"print('12', flush=True); {SLEEP}") as door:
        for _ in range(20):  # it is a race, who asks for the status of a program that has just been killed
            synthesis = door.synthesize(request())
            await anext(synthesis)
            synthesis.cancel()
            await until(lambda: not door.running)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_cancelled_before_it_runs_it_does_not_stay() -> None:
    async with engine(SLEEP) as door:
        for turns in range(12):
            synthesis = door.synthesize(request())
            for _ in range(turns):
                await asyncio.sleep(0)
            synthesis.cancel()
        await until(lambda: not door.running and not door.units.in_use)
        assert door.stats.cancelled == 12


async def test_closing_the_door_kills_what_runs() -> None:
    async with engine(FAMILY) as door:
        synthesis = door.synthesize(request())
        told = await anext(synthesis)
        assert isinstance(told, bytes)
        just_asked = door.synthesize(request(request_id="r2"))
    await until(lambda: not any(runs(int(pid)) for pid in told.split()))
    assert not door.running
    assert {(await error_of(one)).code for one in (synthesis, just_asked)} == {"closed"}


@pytest.mark.parametrize(
    ("program", "limits", "code"),
    [
        (SLEEP, {"first_audio_timeout_s": 0.01}, "first_audio_timeout"),
        (f"print('ab', flush=True); {SLEEP}", {"stall_timeout_s": 0.01}, "stall_timeout"),
    ],
)
async def test_a_program_that_is_silent_is_killed(program: str, limits: dict[str, Any], code: str) -> None:
    async with engine(program, **limits) as door:
        error = await error_of(door.synthesize(request()))
        assert isinstance(error, TimedOut)
        assert error.code == code
        await until(lambda: not door.running)


async def test_a_program_that_never_stops_talking_is_killed() -> None:
    async with engine("import sys\nwhile True: sys.stdout.write('x' * 65536)") as door:
        error = await error_of(door.synthesize(request()))
        assert error.code == "flood"
        await until(lambda: not door.running)


# -- going badly -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import sys; sys.exit('first\\nno such voice\\n\\n')", "failed with code 1: no such voice"),
        ("raise SystemExit(3)", "failed with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9"),
        ("import os; print('ab', flush=True); os._exit(4)", "failed with code 4"),
        ("pass", "gave no audio"),
        ("import sys; sys.stderr.write('x' * 100000); sys.exit(1)", "failed with code 1: xxx"),
    ],
)
async def test_how_a_program_fails(program: str, told: str) -> None:
    async with engine(program) as door:
        error = await error_of(door.synthesize(request()))
        assert isinstance(error, Unavailable)
        assert told in str(error)
        assert "lightning.command" in str(error)
        assert len(str(error)) < 600
        assert (door.stats.failed, door.units.in_use) == (1, 0)


async def test_a_program_that_does_not_listen_may_still_speak() -> None:
    async with engine("import os; os.close(0); print('ab')") as door:
        assert await audio_of(door.synthesize(request(text="x" * 8000))) == b"ab\n"


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", ""])
async def test_a_program_that_is_not_there(program: str) -> None:
    async with engine(command=[program]) as door:
        assert isinstance(door.last_error, Unavailable), "the door knows before anybody asks"
        error = await error_of(door.synthesize(request()))
        assert isinstance(error, Unavailable)
        for named in ("lightning.command", "lightning.fallbacks", "install it", program):
            assert named in str(error)
        assert door.last_error is error


async def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no program")
    async with engine(command=[os.fspath(tmp_path / "notes.txt")]) as door:
        assert "ermission denied" in str(await error_of(door.synthesize(request())))


@pytest.mark.parametrize(
    ("command", "changes", "named"),
    [
        ([], {"text": " "}, "text"),
        (["a\0b"], {}, "NUL"),
        (["true", "{voice_id}"], {"voice_id": "a\0b"}, "NUL"),
    ],
)
async def test_what_cannot_be_asked_of_a_program(
    command: list[str], changes: dict[str, Any], named: str
) -> None:
    async with engine(command=command) as door:
        error = await error_of(door.synthesize(request(**changes)))
        assert isinstance(error, InvalidRequest)
        assert named in str(error)


async def test_after_a_failure_it_may_work_again(tmp_path: Path) -> None:
    program = tmp_path / "speaker"
    async with engine(command=[os.fspath(program)]) as door:
        await error_of(door.synthesize(request()))
        program.write_text("#!/bin/sh\ncat\n")
        program.chmod(0o755)
        assert await audio_of(door.synthesize(request())) == b"Hello."
        assert door.last_error is None


async def test_the_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with engine("raise SystemExit(1)") as door:
        await error_of(door.synthesize(request(text="My card number is secret.")))
    assert "card number" not in caplog.text


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo\n", "two"),
        (b"one\n\ttwo  three \n\n", "two three"),
        (b"\xff", "�"),
        (b"x" * 400, "x" * 299 + "…"),
    ],
)
def test_the_last_line_that_says_something(stderr: bytes, line: str) -> None:
    assert last_line(stderr) == line
