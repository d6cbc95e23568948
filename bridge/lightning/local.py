"""The door `local`: a program on this machine speaks, one process for each synthesis.

Strategy:

- The text goes to its standard input, a WAV comes from its standard output, and is handed on as it comes, header
  and all. Exit code 0 is the end; anything else is an error, told in the last line of its standard error.
- It is run without a shell, in a process group of its own, which is killed when the synthesis is over: nothing of
  it outlives a barge-in.
- It is not told our key, and takes no unit of Lightning's concurrency.
- The default is eSpeak NG, in a process of its own because it is GPL. Its first audio comes after about 0.1 s, most
  of which is Python's own start, so no process is kept warm.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from bridge.config import API_KEY_VARIABLE, LightningConfig
from bridge.errors import InvalidRequest, LightningError, Unavailable
from bridge.lightning.door import Door
from bridge.lightning.limits import Units
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.refusals import refuse
from bridge.lightning.speech import PartSink, Synthesis
from bridge.lightning.stats import LightningStats
from bridge.lightning.watched import WatchedSynthesis
from bridge.plain_text import short

#: What runs when `command` is empty. `-P`: the folder that the bridge happens to run in has no say in it.
DEFAULT_COMMAND: Final = (
    *(sys.executable, "-P", "-m", "bridge.emulators.speak"),
    *("--language={language}", "--voice-id={voice_id}", "--speed={speed}"),
)
#: No account limits them, but a machine does.
MAX_PROGRAMS: Final = 64
#: The most that one second of audio takes: two channels at 48 kHz.
_MOST_BYTES_PER_S: Final = 48_000 * 2 * 2
_KEPT_STDERR_BYTES: Final = 4096
_PLACEHOLDER: Final = re.compile(r"\{(language|voice_id|speed)\}")
_OURS: Final = ("BRIDGE_", API_KEY_VARIABLE)
_STDIN, _STDOUT, _STDERR = 0, 1, 2


class LocalEngine(Door):
    """A `Synthesizer` that runs `config.command`. One for a process and entry of the configuration.

    Args:
        config: the command and the deadlines.
        stats: where to count; shared by the doors of a process.
        units: as every door has it. Not used: these programs are nobody's account.
    """

    def __init__(
        self, config: LightningConfig, *, stats: LightningStats | None = None, units: Units | None = None
    ) -> None:
        stats = stats or LightningStats()
        super().__init__(config, stats=stats, units=Units(MAX_PROGRAMS, stats))
        self._starting: set[asyncio.Task[object]] = set()
        #: Programs that have not ended yet, even if nobody wants them any more.
        self.running: set[_Program] = set()

    async def start(self) -> None:
        """Look whether the program is there; `last_error` says it if not."""
        program = argv_of(self.config.command)[0]
        self.tried(None if shutil.which(program) else _missing(program, "not found"))

    async def close(self) -> None:
        """Kill every program. What is being synthesised fails."""
        await super().close()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(program.ended for program in self.running))

    def _synthesis(self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None) -> Synthesis:
        return _LocalSynthesis(request, into, self, wait_s)

    def tried(self, error: LightningError | None = None) -> None:
        """A program runs; or `error` is why it does not."""
        self._last_error = error

    async def run(self, program: _Program, argv: Sequence[str]) -> None:
        """Start `program`. Who is cancelled meanwhile leaves it to be killed as soon as it runs.

        Raises:
            OSError: it is not there, or may not be run.
            ValueError: no argument may look like that.
        """
        starting = asyncio.create_task(program.start(argv))
        self._starting.add(starting)
        starting.add_done_callback(self._started)
        await asyncio.shield(starting)

    def _started(self, task: asyncio.Task[object]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            task.exception()  # whoever wanted to know may be gone


class _LocalSynthesis(WatchedSynthesis):
    """A synthesis by a process."""

    def __init__(
        self, request: SynthesisRequest, into: PartSink | None, engine: LocalEngine, wait_s: float | None
    ) -> None:
        super().__init__(request, into, engine, wait_s)
        self._engine = engine
        self._program: _Program | None = None

    async def _ask(self) -> None:
        refuse(self.request, "local")
        argv = argv_of(self._config.command, self.request)
        self._sent()
        try:
            program = await self._run_program(argv)
        except LightningError as error:
            self._engine.tried(error)
            raise
        self._engine.tried()
        program.say(self.request.text)

    async def _run_program(self, argv: Sequence[str]) -> _Program:
        program = self._program = _Program(argv[0], self._engine.running, self._take_audio, self._ended)
        try:
            await self._engine.run(program, argv)
        except OSError as error:
            failure: LightningError = _missing(argv[0], error.strerror or type(error).__name__)
        except ValueError:
            failure = InvalidRequest("lightning.command: a NUL in it", code="local_command")
        else:
            return program
        raise failure

    def _ended(self, error: str) -> None:
        if error:
            self.finish(self._unavailable(error, "local_failed"))
        else:
            self._complete_if_heard("lightning.command gave no audio")

    def _flood_bytes(self) -> float:
        return super()._flood_bytes() / (self.request.sample_rate * 2) * _MOST_BYTES_PER_S

    def _hang_up(self) -> None:
        if self._program is not None:
            self._program.kill()


class _Program(asyncio.SubprocessProtocol):
    """One process.

    Args:
        name: for errors.
        running: where it is noted while it runs.
        on_audio: given what it writes.
        on_end: told once, when it has ended and everything is read: what went wrong, or nothing.
    """

    def __init__(
        self,
        name: str,
        running: set[_Program],
        on_audio: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._name, self._running, self._on_audio, self._on_end = name, running, on_audio, on_end
        self._transport: asyncio.SubprocessTransport | None = None
        self._killed = False
        self._stderr = bytearray()
        #: Done when it has ended and everything is read.
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, argv: Sequence[str]) -> None:
        """Run it, without a shell, and as the leader of a process group."""
        await asyncio.get_running_loop().subprocess_exec(
            lambda: self, *argv, start_new_session=True, env=environment_of(os.environ)
        )

    def say(self, text: str) -> None:
        """Give it all of its input."""
        assert self._transport is not None
        stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(_STDIN))
        stdin.write(text.encode(errors="replace"))
        stdin.close()

    def kill(self) -> None:
        """End it and all that it has started, now."""
        self._killed = True
        transport = self._transport
        if transport is None or self.ended.done():
            return
        if transport.get_returncode() is None:
            # It leads a group of its own. If it ends in this very moment, the group is empty.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
        # Not the transport: its close() asks for the status, and may take it from the event loop, which complains.
        for number in (_STDIN, _STDOUT, _STDERR):
            if pipe := transport.get_pipe_transport(number):
                pipe.close()

    # -- from the event loop ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._running.add(self)
        if self._killed:
            self.kill()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It has written something."""
        if fd == _STDOUT:
            self._on_audio(data)
        else:
            self._stderr += data
            del self._stderr[:-_KEPT_STDERR_BYTES]

    def connection_lost(self, _exc: Exception | None) -> None:
        """It has ended and everything is read."""
        self._running.discard(self)
        self.ended.set_result(None)
        if self._transport is not None:
            code = self._transport.get_returncode()
            self._transport.close()
            self._on_end(self._problem(code))

    def _problem(self, code: int | None) -> str:
        if code == 0:
            return ""
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"failed with code {code}"
        said = last_line(bytes(self._stderr))
        return f"lightning.command: {self._name} {how}" + (f": {said}" if said else "")


def argv_of(command: Sequence[str], request: SynthesisRequest | None = None) -> list[str]:
    """Program and arguments, with what `request` puts into the placeholders {language}, {voice_id} and {speed}."""
    argv = list(command or DEFAULT_COMMAND)
    if request is None:
        return argv
    values = {"language": request.language, "voice_id": request.voice_id, "speed": f"{request.speed:g}"}
    return [argv[0], *(_PLACEHOLDER.sub(lambda found: values[found[1]], part) for part in argv[1:])]


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What a program gets of our environment: all but what is ours, because that holds keys."""
    return {name: value for name, value in environment.items() if not name.startswith(_OURS)}


def last_line(stderr: bytes) -> str:
    """The last line that says something, cut short."""
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return short(lines[-1]) if lines else ""


def _missing(program: str, reason: str) -> Unavailable:
    mend = "install it, or name another program in lightning.command or that of the lightning.fallbacks entry"
    return Unavailable(f"lightning.command: cannot run {program}: {reason}; {mend}", code="local_missing")
