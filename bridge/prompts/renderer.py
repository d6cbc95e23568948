"""Prompts synthesised ahead of calls, or behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from bridge.config import LightningConfig
from bridge.errors import BridgeError
from bridge.lightning.limits import Units
from bridge.lightning.speech import Synthesizer
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import PromptCache
from bridge.prompts.key import Normaliser
from bridge.prompts.template import Piece


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. `done` of `total` are cached already, rendered now or failed; `seconds` of audio rendered now."""

    total: int
    cached: int = 0
    rendered: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Pieces that are no longer waited for."""
        return self.cached + self.rendered + self.failed


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it: counts of pieces, each different one counted once; and the failures, with why."""

    total: int
    cached: int
    rendered: int
    seconds: float
    failures: list[tuple[Piece, BridgeError]] = field(default_factory=list)


class Renderer:
    """Renders pieces into a cache. Used as ``async with``.

    Args:
        units: whose units of concurrency it takes; its own by default.
        door: who speaks; by default the HTTP door, where the model speaks there, else the configured one.
        normalise: what is done to text before it is spoken, as calls do it.
        behind_calls: calls come first: never takes a unit that one waits for, nor the last free one of several.
    """

    def __init__(
        self,
        config: LightningConfig,
        cache: PromptCache | None,
        stats: PromptStats,
        *,
        units: Units | None = None,
        door: Synthesizer | None = None,
        normalise: Normaliser | None = None,
        behind_calls: bool = False,
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *_exc: object) -> None:
        raise NotImplementedError

    async def render(
        self, pieces: Sequence[Piece], progress: Callable[[Progress], None] = lambda _progress: None
    ) -> Report:
        """Synthesise and keep those of `pieces` that are not in the cache. Cancelled, what is done stays."""
        raise NotImplementedError
