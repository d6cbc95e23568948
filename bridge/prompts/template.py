"""From a prompt and a caller's data to the pieces that are spoken. Pure.

Strategy:

- A prompt is cut at blanks only, and a word with a variable in it is spoken whole: ``{name}'s`` is one breath, and so
  is ``${amount}``. Words without one, side by side, are a fixed piece, which is the same for every caller.
- Punctuation goes with what stands before it. So a fixed piece keeps the comma that makes it sound unfinished, and
  no piece is nothing but marks.
- Variables side by side are one piece, as a first and a last name are; a mark between them parts them.
- A variable without a value takes its word with it, and leaves the fixed pieces what they are: those are rendered.
- A value is data, not text: it cannot bring variables, tags or control characters with it, and has a greatest length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bridge.lightning.entries import VoiceOptions
from bridge.lightning.markup import closed, visible, without_html
from bridge.lightning.pieces import is_spoken
from bridge.prompts.spec import PromptSpec, Variant

#: Of one value. Nobody listens to a longer one, and somebody pays for it.
MAX_VALUE_CHARS: Final = 200


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


def cut(variant: Variant, values: Mapping[str, str], private: Collection[str] = ()) -> list[Piece]:
    """`variant` as pieces, in order; none when nothing is left to say, or when it is a recording.

    Args:
        values: of its variables, as they are said (`bridge.prompts.spoken_forms.spoken`); one that is missing is
            left out.
        private: names of those whose sound is never kept on disk.
    """
    options = _options(variant)
    clean = {name: cleaned(value) for name, value in values.items()}
    pieces = []
    for words in _groups(variant.text):
        names = variables_in(" ".join(words))
        text = " ".join(filled for word in words if (filled := _filled(word, clean)))
        if is_spoken(text):
            pieces.append(Piece(text, options, not set(names).isdisjoint(private), fixed=not names))
    return pieces


def fixed_pieces(spec: PromptSpec) -> list[Piece]:
    """All that is the same for every caller, in every language: what is rendered ahead. Each once."""
    pieces: list[Piece] = []
    for variant in spec.variants():
        pieces += [piece for piece in cut(variant, {}) if piece not in pieces]
    return pieces


def _options(variant: Variant) -> VoiceOptions:
    options = VoiceOptions()
    if variant.voice:
        options["voice_id"] = variant.voice
    if variant.language:
        options["language"] = variant.language
    if variant.speed is not None:
        options["speed"] = variant.speed
    if variant.pronunciation_dicts:
        options["pronunciation_dicts"] = list(variant.pronunciation_dicts)
    return options


# -- variables ---------------------------------------------------------------------------------------------------------

_NAME: Final = "[a-z][a-z0-9_]{0,63}"
#: A variable, or two braces that stand for one.
BRACES: Final = re.compile(r"\{\{|\}\}|\{(" + _NAME + r")\}")
_ANY_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def variables_in(text: str) -> list[str]:
    """The names of the variables of `text`, each once, in order. Braces that are none are passed over."""
    return list(dict.fromkeys(found[1] for found in BRACES.finditer(text) if found[1]))


def all_variables(spec: PromptSpec) -> list[str]:
    """The names of the variables of a prompt, in all its languages, each once, in order."""
    return list(dict.fromkeys(name for variant in spec.variants() for name in variables_in(variant.text)))


def faults_in(text: str) -> list[str]:
    """What is wrong with the braces of `text`, and how to mend it."""
    return [fault for found in _ANY_BRACES.finditer(text) if (fault := _fault(found[0], found[1]))]


def _fault(braces: str, name: str | None) -> str:
    if braces in ("{{", "}}"):
        return ""
    if name is None:
        partner = "a } that closes it" if braces == "{" else "a { that opens it"
        return f"has a {braces} without {partner}; one that is meant as such is written {braces * 2}"
    if re.fullmatch(_NAME, name):
        return ""
    shown = braces if len(braces) <= 40 else f"{braces[:40]}...}}"
    right = re.sub("[^a-z0-9_]+", "_", name.strip().lower()).strip("_")
    meant = f"; did you mean {{{right}}}?" if re.fullmatch(_NAME, right) else ""
    return f"has {shown}, which is no variable: its name is a-z, 0-9 and _, and begins with a letter{meant}"


def _filled(words: str, values: Mapping[str, str]) -> str:
    """`words` with values for variables; nothing when it has variables and none of them has a value."""
    names = variables_in(words)
    if names and not any(values.get(name) for name in names):
        return ""
    return BRACES.sub(lambda found: values.get(found[1], "") if found[1] else found[0][0], words)


# -- words -------------------------------------------------------------------------------------------------------------

#: A mark at which a word ends though no blank follows.
_BREAK: Final = re.compile(r"(?<=[—–…、。，！？।])(?=[^\W_]|\{)")


def _groups(text: str) -> list[list[str]]:
    """The words of `text`, those together that are spoken as one."""
    groups: list[list[str]] = []
    for word in _words(text):
        if groups and _go_together(groups[-1][-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _words(text: str) -> list[str]:
    """The words of `text`, each with the marks that stand alone after it. A variable holds no blank."""
    words: list[str] = []
    for word in _split(text):
        if words and (not is_spoken(word) or not is_spoken(words[-1])):
            words[-1] = f"{words[-1]} {word}"
        else:
            words.append(word)
    return words


def _split(text: str) -> Iterator[str]:
    for word in text.split():
        yield from _BREAK.split(word) if variables_in(word) else [word]


def _go_together(word: str, following: str) -> bool:
    if bool(variables_in(word)) != bool(variables_in(following)):
        return False
    return not variables_in(word) or word.endswith("}") or word[-1].isalnum()


# -- values ------------------------------------------------------------------------------------------------------------

#: Controls, halves of characters, and what no font has.
_UNSPEAKABLE: Final = frozenset({"Cc", "Cs", "Co", "Cn"})
_DIRECTIONS: Final = dict.fromkeys(
    map(ord, "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)
_TAG_SIGNS: Final = str.maketrans("<>", "  ")


def cleaned(value: str) -> str:
    """`value` as it may be spoken: one line, without tags, controls and what is not seen, and not too long."""
    value = value[: 20 * MAX_VALUE_CHARS].translate(_DIRECTIONS)
    value = "".join(" " if unicodedata.category(sign) in _UNSPEAKABLE else sign for sign in value)
    value = closed(without_html(visible(value))).translate(_TAG_SIGNS)
    value = " ".join(value.split())
    if len(value) <= MAX_VALUE_CHARS:
        return value
    whole_words, _, _ = value[: MAX_VALUE_CHARS + 1].rpartition(" ")
    return whole_words or value[:MAX_VALUE_CHARS]
