"""Text prepared for the telephone (``speech.normalise``): no markdown, no emoji, numbers and addresses as spoken.

Strategy:

- No word is dropped. What goes is listed in `bridge.lightning.markup`; what is spelt out, in `bridge.lightning.spoken`.
- A text with nothing of it comes back as it was, to the last space. Normalising twice is normalising once.
- It may be given a whole text, or the pieces of one as they are released; nothing is remembered from one piece to the
  next. Whole is better: a mark may then be told from a sign by its neighbours.
- What comes back may be empty (a rule, a fence, an emoji): then there is nothing to say. It may also be longer than
  what went in (a telephone number is three times as long when it is spelt), so cut it into pieces afterwards.
"""

from __future__ import annotations

import re
from typing import Final

from bridge.lightning.markup import AFTER_ADDRESSES, BEFORE_ADDRESSES, MARKS, closed, visible
from bridge.lightning.spoken import addresses, phone_numbers

#: Marks within marks within marks; deeper is nobody's text.
_ROUNDS: Final = 6
_NO_MARKS: Final = str.maketrans(dict.fromkeys(MARKS, " "))

_SHOUTS: Final = re.compile(r"[!?‼⁇⁈⁉]{2,}+|[‼⁇⁈⁉]")
_WIDE_SHOUTS: Final = re.compile(r"[！？]{2,}+")
_DOTS: Final = re.compile(r"\.{4,}+|…{2,}+")
_COMMAS: Final = re.compile(r",{2,}+")


def normalise(text: str, language: str) -> str:
    """`text` as it should be spoken on the telephone.

    Args:
        text: whole, or a piece of it; of any length.
        language: code of the call's language: it chooses the words for the marks of an address. ``auto`` is English.

    Returns:
        Text that is the same when normalised again; `text` itself when there is nothing to do.
    """
    before = text
    for _ in range(_ROUNDS):
        after = _once(before, language)
        if after == before:
            return after
        before = after
    return _once(before.translate(_NO_MARKS), language)


def _once(text: str, language: str) -> str:
    spoken = visible(text)
    for step in BEFORE_ADDRESSES:
        spoken = step(spoken)
    spoken = phone_numbers(addresses(spoken, language), language)
    for step in AFTER_ADDRESSES:
        spoken = step(spoken)
    spoken = closed(_calmed(spoken))
    return text if spoken == text else spoken


def _calmed(text: str) -> str:
    """`text` without repeated punctuation, which voices shout or stumble over."""
    text = _SHOUTS.sub(_one_mark, text)
    text = _WIDE_SHOUTS.sub(lambda marks: "？" if "？" in marks[0] else "！", text)
    return _COMMAS.sub(",", _DOTS.sub("...", text))


def _one_mark(marks: re.Match[str]) -> str:
    return "?" if any(mark in "?⁇⁈⁉" for mark in marks[0]) else "!"
