"""``bridge demo``: a whole call on this machine.

The emulated Lightning runs in a process of its own (its voice is GPL). Bridge and caller run here, over real sockets
on loopback, with signatures and tokens as in production.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

if TYPE_CHECKING:
    from bridge.call import Call
    from bridge.config import Config
    from bridge.emulators.call_report import CallReport
    from bridge.emulators.caller_script import Cue, Utterance

GREETING: Final = (
    "Hello, and welcome to the Lightning telephone bridge. You may interrupt me at any time. For as long as you let "
    "me, I will go on to tell you about our opening hours, our prices, and the weather in all of our offices."
)
REPLY: Final = "Of course. Tuesday at ten it is. Goodbye!"
CALLER_SAYS: Final = "Excuse me, I would just like to book a table for Tuesday at ten."
#: How much of the greeting the caller listens to before interrupting it.
PATIENCE_MS: Final = 2600.0
TURN_AFTER_MS: Final = 600.0
_EMULATOR_START_S: Final = 20.0


def demo(
    *,
    caller: Annotated[Path | None, Parameter(name="--caller")] = None,
    out: Annotated[Path, Parameter(alias="-o")] = Path("demo"),
) -> int:
    """A whole call on this machine: no account, no key, no network.

    Starts an emulated Lightning, a bridge and a caller. The caller interrupts the greeting; you see when everything
    happened, and get the call as a stereo WAV (caller left, bridge right) and as a picture.

    Args:
        caller: a recording of what the caller says (WAV), instead of the offline voice.
        out: folder for call.wav and call.svg.
    """
    from bridge.cli.running import log_to_stderr, run

    log_to_stderr("warning")
    return run(_demo(_read(caller) if caller else None, out))


def _read(recording: Path) -> bytes:
    from bridge.errors import ConfigError

    try:
        return recording.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=str(recording)) from error


async def _demo(recorded: bytes | None, out: Path) -> int:
    from bridge.cli.demo_report import CallStory, draw, tell

    async with _lightning() as url:
        config = _config(url)
        words = recorded or await _caller_voice(config)
        report, calls, began_s = await _call(config, words)
    if not report.ok or not calls:
        print(f"bridge: the call failed: {report.outcome}: {report.detail}", file=sys.stderr)
        return 1
    story = CallStory(calls[0], report, (calls[0].started_s - began_s) * 1000)
    wav = report.write_stereo(out / "call.wav")
    picture = draw(story, out / "call.svg")
    tell(story, wav, picture)
    return 0


def _config(url: str) -> Config:
    from msgspec.structs import replace

    from bridge.config import Secret, TwilioConfig, load_config

    port = _free_port()
    base = load_config(environ={})
    return replace(
        base,
        server=replace(base.server, host="127.0.0.1", port=port, public_url=f"http://127.0.0.1:{port}"),
        lightning=replace(base.lightning, base_url=url, api_key=Secret("demo-key"), concurrency=4),
        carriers=replace(base.carriers, twilio=TwilioConfig(auth_token=Secret("demo-auth-token"))),
        agent=replace(base.agent, options={"greeting": GREETING, "reply": REPLY, "goodbye_after_s": 2.0}),
    )


async def _call(config: Config, words: bytes) -> tuple[CallReport, list[Call], float]:
    """The call as the caller and the bridge tell it, and when it was dialled (monotonic seconds)."""
    from bridge.emulators.caller import place_call
    from bridge.emulators.caller_plan import CallPlan
    from bridge.emulators.caller_script import Cue
    from bridge.server.serve import running

    calls: list[Call] = []
    cue = Cue(after_bridge_speaks_ms=PATIENCE_MS)
    twilio = config.carriers.twilio
    assert twilio is not None  # noqa: S101 - _config has just put it there
    async with running(config, source="demo") as server:
        server.runtime.on_ended.append(calls.append)
        plan = CallPlan(
            answer_url=f"{config.server.public_url}/carriers/twilio/answer",
            auth_token=twilio.auth_token,
            actions=[_utterance(words, cue)],
            hang_up_on_silence_s=5.0,
        )
        began_s = time.monotonic()
        return await place_call(plan), calls, began_s


def _utterance(words: bytes, cue: Cue) -> Utterance:
    from bridge.emulators.caller_script import Utterance
    from bridge.errors import ConfigError

    try:
        return Utterance.from_wav(words, cue)
    except ValueError as error:
        raise ConfigError(str(error), key="--caller") from error


async def _caller_voice(config: Config) -> bytes:
    """The caller's words in another voice of the same offline engine, as a WAV."""
    from bridge.lightning.clip import ClipFormat, synthesise_clip

    lightning = config.lightning.with_changes({"voice_id": "sophia"})
    clip = await synthesise_clip(CALLER_SAYS, ClipFormat("pcm", 8000), lightning)
    return clip.file()


@asynccontextmanager
async def _lightning() -> AsyncIterator[str]:
    """An emulated Lightning in its own process; yields its URL."""
    from bridge.errors import BridgeError

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", "emulate", "lightning", "--port", "0",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        async with asyncio.timeout(_EMULATOR_START_S):
            line = (await process.stdout.readline()).decode()
        address = re.search(r"http://[\w.\[\]:-]*\d", line)
        if address is None:
            raise BridgeError("the emulated Lightning did not start")
        yield address[0]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
