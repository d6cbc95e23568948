"""Prompt files: what is said, by name, in which voice. Reading them is pure but for the files themselves.

# config/prompts/clinic.toml
voice = "sophia"                       # of all prompts of this file that do not say otherwise

[prompts.welcome]
text = "Welcome to Elm Street Clinic."

[prompts.balance]
text = "Hello {name}, your balance is {amount}."
variables = { amount = "money:USD" }   # how it is said: text, digits, number, date, time, money:CODE
private = ["amount"]                   # its sound is never kept on disk

[prompts.welcome.in.hi]                # the same in another language
text = "..."
voice = "..."

[prompts.hold]
file = "hold.wav"                      # recorded; any rate; beside this file
"""

from __future__ import annotations

from collections.abc import Mapping
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


class Book(msgspec.Struct, frozen=True):
    """All prompts, by id. `places` says where each stands: file and line."""

    specs: Mapping[str, PromptSpec] = {}
    places: Mapping[str, tuple[str, int]] = {}
