"""A phone menu without end for benchmarks/ivr.py, and a caller who knows which prompt comes next.

Strategy:

- The menu is a flow file: step after step, each with a prompt of its own that is in the cache. So a key goes the whole
  way: message, barge-in, flow, shelf, playout, packet.
- A prompt is noise of one mu-law magnitude, as the syntheses of `benchmarks.sound` are: every byte tells which prompt
  it is of. Lightning is never asked for any of them.
- A key is answered by the first packet of the next prompt. What comes of the prompt before it after a clear is stale.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from benchmarks import sound
from benchmarks.contenders import BRIDGE, Contender
from benchmarks.line import Line
from bridge.config import load_config
from bridge.lightning.voice import normaliser
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import PromptCache
from bridge.prompts.key import Keys

PROMPT_MS = 3000
#: No prompt comes twice in a call: what is stale would be taken for what is new.
STEPS = len(sound.IDS)
#: A key that brought no prompt in this time was lost.
LOST_AFTER_S = 2.0

#: Whether the prompt before was still being played.
When: TypeAlias = Literal["over the prompt", "after it"]
WHENS: tuple[When, ...] = ("over the prompt", "after it")


@dataclass(frozen=True, slots=True)
class Answered:
    """A key, and how long the first packet of the next prompt took; None: it never came."""

    when: When
    after_ms: float | None


class MenuLine(Line):
    """One call, going down the menu."""

    def __init__(self, *line: Any) -> None:
        super().__init__(*line)
        self.keys: list[Answered] = []
        self._step = 0
        self._awaited = -1
        self._known = [sound.IDS[0]]
        self._requested = lambda _number: self._known
        self._news: asyncio.Event = asyncio.Event()

    async def go_down(self, seconds: float, dice: random.Random) -> None:
        """Press keys for so long, half of them over the prompt and half when it is over, or until the menu ends."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._step + 1 < STEPS and not self.is_over:
            if not self.utterances:
                await asyncio.sleep(0.05)
                continue
            when: When = dice.choice(WHENS)
            after_s = dice.uniform(0.3, 2.5) if when == "over the prompt" else dice.uniform(3.6, 4.4)
            await asyncio.sleep(max(0.0, self.utterances[-1].first_at + after_s - time.monotonic()))
            if not self.is_over:
                await self.press_on(when)

    async def press_on(self, when: When) -> None:
        """Press the key that leads to the next prompt, and wait for it."""
        self._news.clear()
        self._awaited = sound.IDS[self._step + 1]
        pressed_at = time.monotonic()
        if when == "after it":
            self._step_down()
        self.press("1", to_interrupt=when == "over the prompt")
        try:
            async with asyncio.timeout(LOST_AFTER_S):
                await self._news.wait()
        except TimeoutError:
            self.keys.append(Answered(when, None))
            self.give_up_pending()
        else:
            self.keys.append(Answered(when, 1000 * (self.utterances[-1].first_at - pressed_at)))

    def _step_down(self) -> None:
        self._step += 1
        self._known = [*self._known, sound.IDS[self._step]]

    def _cleared(self, now: float) -> None:
        asked = self._pending is not None
        super()._cleared(now)
        if asked:
            self._step_down()  # only now, or the next prompt would be stale too

    def _audio(self, identity: int, size: int, now: float) -> None:
        super()._audio(identity, size, now)
        if identity == self._awaited:
            self._news.set()


def menu_of_the_bridge(folder: Path) -> Contender:
    """The bridge with the menu, whose files and cache are written into `folder` before it starts."""
    config = folder / "bridge.toml"

    def command(_port: int, _lightning_port: int) -> Sequence[str]:
        return (*BRIDGE.command(0, 0)[:-1], str(config))

    def environ(port: int, lightning_port: int, calls: int) -> Mapping[str, str]:
        environ = BRIDGE.environ(port, lightning_port, calls)
        write_menu(folder, config, environ)
        return environ

    return replace(BRIDGE, name="menu", command=command, environ=environ)


def write_menu(folder: Path, config: Path, environ: Mapping[str, str]) -> None:
    """The configuration, the flow, its prompts, and the cache with their audio."""
    for name in ("flows", "prompts"):
        (folder / name).mkdir(exist_ok=True)
    config.write_text(
        '[lightning]\nvoice_id = "magnus"\nlanguage = "en"\n\n[prompts]\ncache = "cache"\n\n'
        '[agent]\nentrypoint = "bridge.agents.ivr:ivr"\n'
    )
    texts = [f"This is prompt {step} of the benchmark." for step in range(STEPS)]
    prompts = (f'[prompts.p{step}]\ntext = "{text}"\n' for step, text in enumerate(texts))
    (folder / "prompts" / "menu.toml").write_text("\n".join(prompts))
    (folder / "flows" / "menu.toml").write_text("\n".join(['start = "s0"\n', *map(_step, range(STEPS))]))
    read = load_config(config, environ)
    cache, keys = (
        PromptCache(folder / "cache", PromptStats()),
        Keys(read.lightning, normaliser(read.speech.normalise)),
    )
    for identity, text in zip(sound.IDS, texts, strict=True):
        if not cache.put(
            keys.of(text, {}), sound.synthesis(identity, PROMPT_MS), {"of": "fixed", "text": text}
        ):
            raise OSError(f"{folder} takes no files: {cache.write_error}")


def _step(step: int) -> str:
    head = f'[steps.s{step}]\nprompt = "p{step}"\n'
    if step + 1 == STEPS:
        return f'{head}do = "hang_up"\n'
    return f'{head}do = "menu"\nchoices = {{ 1 = "s{step + 1}" }}\ntimeout_s = 600\ntries = 1\n'
