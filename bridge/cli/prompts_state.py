"""What there is of each prompt: for ``bridge prompts list`` and ``check``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from bridge.cli.edition import Files
from bridge.errors import PromptError
from bridge.prompts.key import Keys
from bridge.prompts.prompt import load_prompt
from bridge.prompts.spec import Variant
from bridge.prompts.template import cut, variables_in
from telephony_codecs.formats import MULAW_8K

READY: Final = "ready"
MISSING: Final = "missing"
RECORDED: Final = "recorded"
PARTS: Final = "parts"


class PromptState(msgspec.Struct, frozen=True):
    """A prompt in one of its languages.

    Attributes:
        seconds: of what is there; None when nothing is.
        state: one of the words above.
    """

    id: str
    language: str
    voice: str
    seconds: float | None
    state: str
    text: str
    file: str
    line: int


def states_of(files: Files) -> Iterator[PromptState]:
    """All prompts in all languages, in the order of their ids. Reads what is kept of them."""
    keys = files.keys()
    speaks = files.config.lightning
    for prompt, spec in sorted(files.book.specs.items()):
        source, line = files.book.places.get(prompt, ("", 0))
        for variant in spec.variants():
            seconds, state = _recorded(variant) if variant.file else _rendered(variant, keys, files)
            yield PromptState(
                prompt,
                variant.language or speaks.language,
                "" if variant.file else variant.voice or speaks.voice_id,
                seconds,
                state,
                variant.text,
                source,
                line,
            )


def _recorded(variant: Variant) -> tuple[float | None, str]:
    try:
        return round(load_prompt(variant.file).ms / 1000, 2), RECORDED
    except PromptError:
        return None, MISSING


def _rendered(variant: Variant, keys: Keys, files: Files) -> tuple[float | None, str]:
    pieces = cut(variant, {})
    kept = [files.cache.get(keys.of(piece.text, piece.options)) for piece in pieces]
    found = [audio for audio in kept if audio is not None]
    seconds = round(sum(map(len, found)) / MULAW_8K.bytes_in(1000), 2) if found else None
    if len(found) < len(kept):
        return seconds, MISSING
    return seconds, PARTS if variables_in(variant.text) else READY
