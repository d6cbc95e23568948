"""Audio in memory, up to a limit: what is fixed stays, of the rest what was not used for longest goes first."""

from __future__ import annotations

from bridge.observe.stats import PromptStats
from bridge.prompts.prompt import Prompt


class Memory:
    """Recordings by key. Used by one thread at a time.

    Args:
        limit_bytes: of audio.
        stats: where is counted what had no room.
    """

    def __init__(self, limit_bytes: int, stats: PromptStats) -> None:
        #: Room that nobody has.
        self.left_bytes = limit_bytes
        self._stats = stats
        self._fixed: dict[str, Prompt] = {}
        #: The one that was used last is last.
        self._spoken: dict[str, Prompt] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._fixed or key in self._spoken

    def get(self, key: str) -> Prompt | None:
        """What is kept under `key`."""
        if (fixed := self._fixed.get(key)) is not None:
            return fixed
        if (spoken := self._spoken.pop(key, None)) is not None:
            self._spoken[key] = spoken
        return spoken

    def keep(self, key: str, prompt: Prompt, *, fixed: bool = False, force: bool = False) -> bool:
        """Keep `prompt`. Returns whether there was room, which is made at the cost of what is not fixed.

        Args:
            fixed: it is never dropped.
            force: it is kept even if there is no room.
        """
        self._drop(key)
        size_bytes = len(prompt.audio)
        while self._spoken and self.left_bytes < size_bytes:
            self._drop(next(iter(self._spoken)))
            self._stats.crowded_out += 1
        if self.left_bytes < size_bytes and not force:
            self._stats.crowded_out += 1
            return False
        self.left_bytes -= size_bytes
        (self._fixed if fixed else self._spoken)[key] = prompt
        return True

    def _drop(self, key: str) -> None:
        for prompts in (self._fixed, self._spoken):
            if (prompt := prompts.pop(key, None)) is not None:
                self.left_bytes += len(prompt.audio)
