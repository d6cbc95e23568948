"""One piece at a time, spoken to be kept: all of its audio, or why it could not be had.

Strategy:

- It asks as a call's voice would (the same request, in the same format), through a door of its own, and only the first
  entry of the configuration: what a fallback speaks is another voice, and is never kept.
- Busy is no failure: the piece waits and is asked for again. What fails otherwise is asked for `TRIES` times.
- Behind calls, calls come first: a piece is asked for only when a unit is free that nobody waits for, and of several
  units one is left free. When a call comes to wait all the same, the synthesis is given up at once and made later.
"""

from __future__ import annotations

import asyncio
from typing import Final, Self

from bridge.catalogue import DOOR_MODEL
from bridge.config import LightningConfig
from bridge.errors import Busy, LightningError
from bridge.lightning.breaker import Breaker
from bridge.lightning.clip import PieceAnswer
from bridge.lightning.door import Door
from bridge.lightning.doors import open_door
from bridge.lightning.entries import Entry, VoiceOptions
from bridge.lightning.limits import QUEUE_TIMEOUT, Units
from bridge.lightning.pieces import split
from bridge.lightning.speech import Synthesis
from bridge.lightning.stats import LightningStats
from bridge.observe.stats import PromptStats
from bridge.prompts.edges import trimmed
from bridge.prompts.key import Keys
from bridge.prompts.template import Piece
from telephony_codecs.formats import MULAW_8K

#: How often a piece is asked for, and how long is waited before it is asked for again.
TRIES: Final = 3
FIRST_BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 8.0
#: Lightning may say that it is busy for so long.
BUSY_PATIENCE_S: Final = 300.0
#: A unit of our own account may take so long: others of this process may be using it.
UNIT_PATIENCE_S: Final = 600.0
#: No caller hears the silence, so deadlines that are for callers are not for prompts.
LEAST_TIMEOUT_S: Final = 10.0
#: How often is looked whether a call waits for a unit.
YIELD_POLL_S: Final = 0.02
#: What is kept for a text of which nothing is spoken (an emoji, a rule).
NOTHING: Final = MULAW_8K.silence(20)


class Narrator:
    """Speaks pieces. Used as ``async with``.

    Args:
        keys: of the configuration whose first entry speaks; what is done to text before it is spoken.
        units: whose units of concurrency it takes; its own by default.
        door: what it speaks through; by default the HTTP door where the model speaks there, else the configured one.
        behind_calls: see above.
        lightning_stats: where syntheses are counted.
        first_backoff_s: wait before a piece is asked for again, where Lightning does not say for how long.
    """

    def __init__(
        self,
        keys: Keys,
        stats: PromptStats,
        *,
        units: Units | None = None,
        door: Door | None = None,
        behind_calls: bool = False,
        lightning_stats: LightningStats | None = None,
        first_backoff_s: float = FIRST_BACKOFF_S,
    ) -> None:
        self._first_backoff_s = first_backoff_s
        self._keys, self._stats = keys, stats
        self._once = self._behind if behind_calls else self._ask
        config, counted = keys.config, lightning_stats or LightningStats()
        if door is None:
            config = ahead_of_calls(config)
            door = open_door(config, counted, units or Units(config.concurrency, counted))
        self._door = door
        self._entry = Entry("prompts", config, door, Breaker(config.breaker_failures), door.units)

    async def __aenter__(self) -> Self:
        await self._door.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._door.close()

    @property
    def units(self) -> Units:
        """What it takes when it speaks."""
        return self._door.units

    async def speak(self, piece: Piece) -> bytes:
        """`piece` synthesised: 8 kHz mu-law, without most of the silence around it.

        Raises:
            LightningError: it could not be had.
        """
        audio = bytearray()
        try:
            for part in split(self._keys.spoken(piece.text, piece.options)):
                audio += await self._patiently(part, piece.options)
        except LightningError:
            self._stats.render_failures += 1
            raise
        self._stats.rendered += 1
        return await asyncio.to_thread(trimmed, bytes(audio) or NOTHING, piece.text)

    async def _patiently(self, text: str, options: VoiceOptions) -> bytes:
        """All of `text`'s audio, asked for again where that may help."""
        failures, busy_s, backoff_s = 0, 0.0, self._first_backoff_s
        while True:
            try:
                return await self._once(text, options)
            except Busy as error:
                wait_s = backoff_s if error.retry_after_s is None else error.retry_after_s
                busy_s += wait_s
                if error.code == QUEUE_TIMEOUT or busy_s > BUSY_PATIENCE_S:
                    raise
            except LightningError as error:
                wait_s, failures = backoff_s, failures + 1
                if not error.retryable or failures == TRIES:
                    raise
            await asyncio.sleep(wait_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)

    async def _ask(self, text: str, options: VoiceOptions) -> bytes:
        synthesis = self._door.synthesize(self._entry.request(text, options), wait_s=UNIT_PATIENCE_S)
        return await self._heard(synthesis)

    async def _heard(self, synthesis: Synthesis) -> bytes:
        answer = PieceAnswer(MULAW_8K, self._entry.asked, self._entry.answer_format)
        audio = bytearray()
        try:
            async for part in synthesis:
                if isinstance(part, bytes):
                    audio += answer.feed(part)
        finally:
            synthesis.cancel()  # of no effect when it is over
        if not synthesis.cancelled:
            audio += answer.flush()
            self._entry.answer_format = answer.format
        return bytes(audio)

    # -- behind calls ----------------------------------------------------------------------------------

    async def _behind(self, text: str, options: VoiceOptions) -> bytes:
        """As `_ask`, whenever calls leave a unit for it."""
        while True:
            await self._turn()
            synthesis = self._door.synthesize(self._entry.request(text, options), wait_s=0.0)
            watch = asyncio.create_task(self._give_way(synthesis))
            try:
                audio = await self._heard(synthesis)
            except Busy as error:
                if error.code != QUEUE_TIMEOUT:
                    raise
                continue
            finally:
                watch.cancel()
            if not synthesis.cancelled:
                return audio
            self._stats.yielded += 1

    async def _turn(self) -> None:
        """Wait until calls leave a unit."""
        units = self._door.units
        left_free = 1 if units.concurrency > 1 else 0
        while units.waiting or not units.free or units.in_use + left_free >= units.concurrency:  # noqa: ASYNC110 - units tell nobody
            await asyncio.sleep(YIELD_POLL_S)

    async def _give_way(self, synthesis: Synthesis) -> None:
        """Cancel `synthesis` as soon as somebody waits for a unit."""
        while True:
            await asyncio.sleep(YIELD_POLL_S)
            if self._door.units.waiting:
                synthesis.cancel()
                return


def ahead_of_calls(config: LightningConfig) -> LightningConfig:
    """`config` as prompts are rendered: one whole clip at a time where the model has that, and nobody waits for it."""
    door = config.door if config.door == "local" or config.door in DOOR_MODEL else "http"
    return config.with_changes(
        {
            "door": door,
            "text_streaming": "sentences",
            "spare_connections": 0,
            "connect_timeout_s": max(config.connect_timeout_s, LEAST_TIMEOUT_S),
            "first_audio_timeout_s": max(config.first_audio_timeout_s, LEAST_TIMEOUT_S),
            "stall_timeout_s": max(config.stall_timeout_s, LEAST_TIMEOUT_S),
        }
    )
