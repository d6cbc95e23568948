"""From a prompt and a caller's data to the pieces that are spoken. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bridge.lightning.entries import VoiceOptions
from bridge.prompts.spec import PromptSpec, Variant


@dataclass(frozen=True, slots=True)
class Piece:
    """What is synthesised as one.

    Attributes:
        text: what is said; never only punctuation.
        options: in which voice: what the prompt says of it and nothing else.
        private: its sound is not kept on disk.
        fixed: the same for every caller, so that it is rendered ahead.
    """

    text: str
    options: VoiceOptions
    private: bool = False
    fixed: bool = True


def variables_in(text: str) -> list[str]:
    """The names of the variables of `text`, each once, in order. Braces that are none are passed over."""
    raise NotImplementedError


def faults_in(text: str) -> list[str]:
    """What is wrong with the braces of `text`, and how to mend it."""
    raise NotImplementedError


def cut(variant: Variant, values: Mapping[str, str], private: Collection[str] = ()) -> list[Piece]:
    """`variant` as pieces, in order; none when nothing is left to say, or when it is a recording.

    Args:
        values: of its variables, as they are said (`bridge.prompts.spoken_forms.spoken`); one that is missing is
            left out.
        private: names of those whose sound is never kept on disk.
    """
    raise NotImplementedError


def fixed_pieces(spec: PromptSpec) -> list[Piece]:
    """All that is the same for every caller, in every language: what is rendered ahead. Each once."""
    raise NotImplementedError
