"""The prompts that calls play: in memory where they are ready, spoken by the call's voice where they are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge.prompts.book import Book
from bridge.prompts.rendition import Rendition


class Shelf:
    """All prompts of an edition. An empty one knows only the sounds that are always there."""

    def __init__(self, book: Book | None = None) -> None:
        self.book = book or Book()

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
            prompt: its id, or the name of a sound that is always there.
            variables: what fills it in; one that is missing is left out.
            language: which of its languages; the prompt's own where it has no such.
            private: of `variables`, whose sound is never kept on disk, besides those of the prompt itself.

        Raises:
            PromptError: there is no such prompt.
        """
        raise NotImplementedError
