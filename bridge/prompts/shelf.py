"""The prompts that calls play: in memory where they are ready, spoken by the call's voice where they are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge.config import LightningConfig
from bridge.lightning.voice import Voice
from bridge.observe.stats import PromptStats
from bridge.problems import Problem
from bridge.prompts.book import Book
from bridge.prompts.cache import PromptCache
from bridge.prompts.key import Normaliser
from bridge.prompts.rendition import Rendition
from bridge.prompts.template import Piece


class Shelf:
    """All prompts of an edition. An empty one knows only the sounds that are always there.

    Args:
        cache: where audio is kept between processes; None keeps it in memory alone.
        config: who speaks: its first entry.
        memory_mb: room for audio.
        normalise: what is done to text before it is spoken (`bridge.lightning.voice.normaliser`).
        voice: the calls' voice, behind which what was interrupted is rendered in the background; None renders nothing.
    """

    def __init__(
        self,
        book: Book | None = None,
        cache: PromptCache | None = None,
        *,
        config: LightningConfig | None = None,
        stats: PromptStats | None = None,
        memory_mb: int = 256,
        normalise: Normaliser | None = None,
        voice: Voice | None = None,
    ) -> None:
        self.book = book or Book()

    def warm(self) -> list[Problem]:
        """Read into memory what is kept: fixed pieces, recordings, then what callers' data filled in, newest first.

        Takes time: call it in a thread, before the shelf is used.

        Returns:
            What is wrong with recordings, which nothing else can stand in for.
        """
        raise NotImplementedError

    def missing(self) -> list[Piece]:
        """The fixed pieces that are not in memory: what is to be rendered."""
        raise NotImplementedError

    def needed(self) -> set[str]:
        """Keys of all fixed pieces and recordings: what `PromptCache.prune` must keep."""
        raise NotImplementedError

    async def close(self) -> None:
        """End what goes on in the background. What calls have had spoken is still written."""

    def rendition(
        self,
        prompt: str,
        variables: Mapping[str, object] | None = None,
        *,
        language: str = "",
        private: Collection[str] = (),
    ) -> Rendition:
        """What to play for a prompt, in time for a caller: nothing is read from disk or the network.

        Args:
            prompt: its id, or the name of a sound that is always there, or ``apology`` or ``one_moment``.
            variables: what fills it in; one that is missing is left out.
            language: which of its languages; the prompt's own where it has no such.
            private: of `variables`, whose sound is never kept, besides those of the prompt itself.

        Raises:
            PromptError: there is no such prompt.
        """
        raise NotImplementedError
