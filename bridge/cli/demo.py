"""``bridge demo``: a whole call on this machine.

The emulated Lightning runs in a process of its own (its voice is GPL). Bridge and caller run here, over real sockets
on loopback, with signatures and tokens as in production.
"""

from __future__ import annotations

import socket
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from bridge.cli.running import log_to_stderr, reading, reserved, run, writing
from bridge.errors import BridgeError, ConfigError

if TYPE_CHECKING:
    from bridge.cli.demo_report import CallStory
    from bridge.config import Config
    from bridge.emulators.caller_script import Utterance

GREETING: Final = (
    "Hello, and welcome to the Lightning telephone bridge. You may interrupt me at any time. For as long as you let "
    "me, I will go on to tell you about our opening hours, our prices, and the weather in all of our offices."
)
REPLY: Final = "Of course. Tuesday at ten it is. Goodbye!"
CALLER_SAYS: Final = "Excuse me, I would just like to book a table for Tuesday at ten."
#: To a recording, of which nothing is known.
REPLY_TO_ANYTHING: Final = "I stopped talking the moment you began, and I have heard you. Goodbye!"
CALLER_VOICE: Final = "sophia"
#: How much of the greeting the caller listens to before interrupting it.
PATIENCE_MS: Final = 2600.0
GOODBYE_AFTER_S: Final = 1.5
#: What a call lasts at most, beyond what the caller says.
MARGIN_S: Final = 30.0


def demo(
    *,
    caller: Annotated[Path | None, Parameter(name="--caller")] = None,
    out: Annotated[Path, Parameter(alias="-o")] = Path("demo"),
) -> int:
    """A whole call on this machine: no account, no key, no network.

    Starts an emulated Lightning, a bridge and a caller. The caller interrupts the greeting; you see when everything
    happened, and get the call as a stereo WAV (caller left, bridge right) and as a picture. Exit code 1 means that
    the greeting was not interrupted.

    Args:
        caller: a recording of what the caller says (WAV), instead of the offline voice.
        out: folder for call.wav and call.svg.
    """
    from bridge.cli.demo_picture import svg
    from bridge.cli.demo_report import tell

    log_to_stderr("error")  # of its own ends one would only be told twice
    words = _recorded(caller) if caller else None
    if words is None and find_spec("espeakng_loader") is None:
        raise ConfigError(
            "the offline voice is not installed: pip install '.[demo]', or give a recording with --caller"
        )
    wav, picture = out / "call.wav", out / "call.svg"
    with reserved(wav), reserved(picture):
        story = run(_demo(words))
        with writing(out):
            story.report.write_stereo(wav)
            picture.write_text(svg(story), "utf-8")
    tell(story, wav, picture)
    if not story.interrupted:
        raise BridgeError(
            "the greeting was not interrupted: no speech was recognised in what the caller said"
            if story.caller_spoke
            else "the greeting was not interrupted: the call was over before the caller spoke"
        )
    return 0


async def _demo(words: Utterance | None) -> CallStory:
    from bridge.emulators.lightning_process import lightning_process

    async with lightning_process("auto" if words else "espeak") as url:
        config = _config(url, REPLY_TO_ANYTHING if words else REPLY)
        return await _call(config, words or await _spoken(config), "" if words else CALLER_SAYS)


def _config(url: str, reply: str) -> Config:
    from msgspec.structs import replace

    from bridge.carriers.twilio import TwilioConfig
    from bridge.config import Config, Secret
    from bridge.emulators.lightning_process import KEY

    port, base = _free_port(), Config()
    options = {"greeting": GREETING, "reply": reply, "goodbye_after_s": GOODBYE_AFTER_S}
    return replace(
        base,
        server=replace(base.server, host="127.0.0.1", port=port, public_url=f"http://127.0.0.1:{port}"),
        lightning=replace(base.lightning, base_url=url, api_key=Secret(KEY), concurrency=4),
        carriers=replace(base.carriers, twilio=TwilioConfig(auth_token=Secret("demo-auth-token"))),
        agent=replace(base.agent, options=options),
    )


async def _call(config: Config, words: Utterance, text: str) -> CallStory:
    """The call, as the caller and the bridge tell it. `text` is what the caller says, where that is known."""
    from bridge.call import Call
    from bridge.cli.demo_report import CallStory
    from bridge.emulators.caller import place_call
    from bridge.emulators.caller_plan import CallPlan
    from bridge.server.serve import running

    calls: list[Call] = []
    async with running(config, source="demo") as server:
        server.runtime.on_ended.append(calls.append)
        plan = CallPlan(
            answer_url=f"{config.server.public_url}/carriers/twilio/answer",
            section=config.carriers.twilio,
            actions=[words],
            hang_up_after_s=MARGIN_S + len(words.audio) / 8000,
            hang_up_on_silence_s=5.0,
        )
        began_s = time.monotonic()
        report = await place_call(plan)
    if not report.ok or not calls:
        raise BridgeError(f"the call failed: {report.outcome}: {report.detail}")
    return CallStory(calls[0], report, (calls[0].started_s - began_s) * 1000, text)


# -- the caller's voice ------------------------------------------------------------------------------------------------


def _recorded(path: Path) -> Utterance:
    """What a recording says.

    Raises:
        ConfigError: it cannot be read, is no WAV, or holds nothing that could be speech.
    """
    try:
        with reading(path, "--caller"):
            return _utterance(path.read_bytes())
    except ValueError as error:
        raise ConfigError(str(error), key="--caller", source=str(path)) from error


async def _spoken(config: Config) -> Utterance:
    """The caller's words in another voice of the same offline engine."""
    from bridge.lightning.clip import ClipFormat, synthesise_clip

    lightning = config.lightning.with_changes({"voice_id": CALLER_VOICE})
    return _utterance((await synthesise_clip(CALLER_SAYS, ClipFormat("pcm", 8000), lightning)).file())


def _utterance(wav: bytes) -> Utterance:
    from bridge.emulators.caller_script import SPEECH_DBFS, Cue, Utterance
    from telephony_codecs.g711 import mulaw_decode
    from telephony_codecs.pcm import level_dbfs

    words = Utterance.from_wav(wav, Cue(after_bridge_speaks_ms=PATIENCE_MS))
    if not any(level_dbfs(mulaw_decode(frame)) >= SPEECH_DBFS for frame in words.frames):
        raise ValueError(f"nothing in it is as loud as {SPEECH_DBFS:g} dBFS")
    return words


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
