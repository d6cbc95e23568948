"""What a prompt is, as types. Read from files by `bridge.prompts.book`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.config_tree import Section

Speed = Annotated[float, Meta(ge=0.5, le=2.0)]


class Variant(Section, frozen=True, kw_only=True):
    """A prompt in one language: `text`, or `file`, and in which voice."""

    text: str = ""
    #: A WAV, beside the prompt file.
    file: str = ""
    voice: str = ""
    language: str = ""
    speed: Speed | None = None
    #: Ids of pronunciation dictionaries of the account.
    pronunciation_dicts: list[str] = []


class PromptSpec(Variant, frozen=True, kw_only=True):
    """``[prompts.ID]``."""

    #: How a variable is said: ``text`` (the default), ``digits``, ``number``, ``date``, ``time``, ``money:CODE``.
    variables: dict[str, str] = {}
    #: Variables whose sound is never kept on disk.
    private: list[str] = []
    #: The same in other languages, by code.
    in_: dict[str, Variant] = msgspec.field(default_factory=dict, name="in")

    def variants(self) -> Iterator[Variant]:
        """Itself, then what it is in other languages."""
        yield self
        yield from self.in_.values()

    def in_language(self, language: str) -> Variant:
        """What it is in `language`, or in the language that this is a kind of (``en`` for ``en-GB``); else itself."""
        for code in (language, language.partition("-")[0]):
            if code in self.in_:
                return self.in_[code]
            if code == self.language:
                return self
        return self


class Book(msgspec.Struct, frozen=True):
    """All prompts, by id. `places` says where each stands: file and line."""

    specs: Mapping[str, PromptSpec] = {}
    places: Mapping[str, tuple[str, int]] = {}
