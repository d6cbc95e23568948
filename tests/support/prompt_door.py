"""A door to Lightning for prompts, whose answers a test has written: real units, no network."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from bridge.config import LightningConfig
from bridge.errors import LightningError
from bridge.lightning.door import Door
from bridge.lightning.limits import Units
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import PartSink, Synthesis
from bridge.lightning.watched import WatchedSynthesis
from bridge.prompts.edges import KEPT_MS
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_encode

SILENCE = MULAW_8K.silent_sample
#: A second of something loud with just the silence at its end that a piece has: nothing is cut away, nothing added.
LOUD = mulaw_encode(b"\x00\x40\x00\xc0" * 4 * (1000 - KEPT_MS)) + SILENCE * 8 * KEPT_MS


class ScriptedDoor(Door):
    """Answers each request with the next of `script`, and with `LOUD` when that is used up.

    Args:
        units: the account's; by default it has one.
        script: audio, or what is wrong.
    """

    def __init__(
        self,
        config: LightningConfig | None = None,
        *,
        units: Units | None = None,
        script: Sequence[bytes | LightningError] = (),
    ) -> None:
        super().__init__(config or LightningConfig(), units=units)
        self.script = deque(script)
        #: The texts that were asked for, in order.
        self.texts: list[str] = []
        #: While it is clear, nothing is answered.
        self.open = asyncio.Event()
        self.open.set()

    def _synthesis(self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None) -> Synthesis:
        return _Scripted(request, into, self, wait_s)


class _Scripted(WatchedSynthesis):
    def __init__(
        self, request: SynthesisRequest, into: PartSink | None, door: ScriptedDoor, wait_s: float | None
    ) -> None:
        super().__init__(request, into, door, wait_s)
        self._door = door

    async def _ask(self) -> None:
        self._door.texts.append(self.request.text)
        await self._door.open.wait()
        answer = self._door.script.popleft() if self._door.script else LOUD
        if isinstance(answer, LightningError):
            raise answer
        self._take_audio(answer)
        self._complete()
