"""Hydra, played in virtual time: a test writes down what it says, and looks at what it was told."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bridge.agents.conversation import Manners
from bridge.agents.hydra_dialogue import Dialogue
from bridge.errors import BridgeError, ThinkerError
from bridge.hydra.audio import Uplink
from bridge.hydra.messages import OUTPUT_HZ, Message, decode
from bridge.hydra.session import HydraSettings
from bridge.observe.stats import HydraStats
from bridge.secret import Secret
from bridge.tools import Tool, Toolbox
from telephony_codecs.formats import PCM16_8K, AudioFormat, Encoding
from telephony_codecs.tones import tone
from telephony_codecs.transcoder import Transcoder
from tests.support.call import Scene

SETTINGS = HydraSettings("https://hydra.example", Secret("k"), "hydra-v1.1", "maya", "Be brief.")
_PCM_48K = AudioFormat(Encoding.PCM16, OUTPUT_HZ)


def voice(ms: float) -> str:
    """So much sound as Hydra sends it."""
    transcoder = Transcoder(PCM16_8K, _PCM_48K)
    pcm = tone([440], ms, -12.0).astype("<i2").tobytes()
    return b64encode(transcoder.feed(pcm) + transcoder.flush()).decode()


class PlayedSession:
    """One session."""

    output_hz = OUTPUT_HZ

    def __init__(self, settings: HydraSettings, uplink: Uplink) -> None:
        self.settings = settings
        #: What it was told, and how much of the caller it has heard.
        self.told: list[dict[str, Any]] = []
        self.heard_ms = 0.0
        self.closed = False
        self._uplink = uplink
        self._inbox: asyncio.Queue[Message | Exception | None] = asyncio.Queue()
        uplink.open(self._hear)

    def _hear(self, pcm: bytes) -> None:
        self.heard_ms += len(pcm) / 32

    @property
    def told_kinds(self) -> list[str]:
        return [message["type"] for message in self.told]

    # -- what the test plays -----------------------------------------------------------------------------------

    def says(self, kind: str, **fields: Any) -> None:
        self._inbox.put_nowait(decode(json.dumps({"type": kind, **fields})))

    def speaks(self, response_id: str, ms: float = 500, text: str = "") -> None:
        """A whole answer, faster than real time."""
        self.begins(response_id, ms, text)
        self.says("response.output_audio.done", response_id=response_id)
        self.ends(response_id)

    def begins(self, response_id: str, ms: float = 500, text: str = "") -> None:
        self.says("response.created", response={"id": response_id})
        if text:
            self.says("response.output_audio_transcript.delta", response_id=response_id, delta=text)
        self.goes_on(response_id, ms)

    def goes_on(self, response_id: str, ms: float) -> None:
        self.says("response.output_audio.delta", response_id=response_id, delta=voice(ms))

    def ends(self, response_id: str, status: str = "completed", reason: str = "", tokens: int = 0) -> None:
        details, usage = {"reason": reason} if reason else None, {"total_tokens": tokens}
        response = {"id": response_id, "status": status, "status_details": details, "usage": usage}
        self.says("response.done", response=response)

    def calls(self, response_id: str, call_id: str, name: str, arguments: str = "{}") -> None:
        """A function call, whole; the answer that it belongs to goes on."""
        about = {"response_id": response_id, "call_id": call_id, "name": name}
        self.says("response.function_call_arguments.delta", **about, delta=arguments)
        self.says("response.function_call_arguments.done", **about, arguments=arguments)

    def hears_the_caller(self) -> None:
        self.says("input_audio_buffer.speech_started", audio_start_ms=0)

    def hears_the_end(self) -> None:
        self.says("input_audio_buffer.speech_stopped", audio_end_ms=self.heard_ms)

    def breaks(self, error: Exception) -> None:
        self._inbox.put_nowait(error)

    def is_idle(self) -> None:
        self._inbox.put_nowait(None)

    # -- what the dialogue uses --------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        self.told.append(json.loads(message))

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self._inbox.get()) is not None:
            if isinstance(message, Exception):
                raise message
            yield message

    async def close(self) -> None:
        self.closed = True
        self._uplink.close()
        self._inbox.put_nowait(None)


#: What comes of an attempt to open a session: it takes so many seconds, or fails.
Attempt: TypeAlias = float | ThinkerError


@dataclass
class PlayedHydra:
    """Opens sessions, as `attempts` say; all further ones at once."""

    attempts: list[Attempt] = field(default_factory=list)
    sessions: list[PlayedSession] = field(default_factory=list)

    async def open(self, settings: HydraSettings, uplink: Uplink, stats: HydraStats) -> PlayedSession:
        attempt = self.attempts.pop(0) if self.attempts else 0.0
        if isinstance(attempt, ThinkerError):
            raise attempt
        await asyncio.sleep(attempt)
        session = PlayedSession(settings, uplink)
        self.sessions.append(session)
        stats.sessions += 1
        return session

    @property
    def session(self) -> PlayedSession:
        """The newest one."""
        return self.sessions[-1]


@dataclass
class Talk:
    """A call that Hydra holds. Its `task` ends when the dialogue does."""

    scene: Scene
    hydra: PlayedHydra
    dialogue: Dialogue
    task: asyncio.Task[None]

    @property
    def session(self) -> PlayedSession:
        return self.hydra.session

    async def end(self) -> None:
        """The caller hangs up."""
        self.scene.call.end("carrier")
        await asyncio.gather(self.task, return_exceptions=True)
        self.scene.close()


async def talk(
    scene: Scene,
    *attempts: Attempt,
    tools: Callable[[Dialogue], Sequence[Tool]] = lambda _: (),
    **manners: Any,
) -> Talk:
    """Hydra holds the call of `scene`, and has been given the time to be there. Without a greeting."""
    hydra = PlayedHydra(list(attempts))
    fields: dict[str, Any] = {"greeting": "", "idle_s": 600.0}
    dialogue = Dialogue(scene.call, Manners(**(fields | manners)), hydra.open)
    toolbox = Toolbox(tools(dialogue), scene.stats.agents, scene.call.note)
    task = asyncio.create_task(_hold(scene, dialogue, toolbox))
    await asyncio.sleep(0.01)
    return Talk(scene, hydra, dialogue, task)


async def _hold(scene: Scene, dialogue: Dialogue, toolbox: Toolbox) -> None:
    """As `Runtime.run_agent` does it."""
    try:
        await dialogue.hold(SETTINGS, toolbox)
    except BridgeError:
        return
    finally:
        await scene.call.hang_up()
