"""Text from outside, without what a parser or a terminal would obey. It imports nothing of ours: all may have it.

Strategy: what is taken out has no letter in it in any script. The joiners of Indic scripts and of emoji stay.
"""

from __future__ import annotations

import re
from typing import Final

# XML cannot hold these at all, and ElementTree lets them through; or a terminal would obey them.
_NOT_PLAIN: Final = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: White space aside, also what breaks lines, or turns their direction around.
_NOT_IN_A_LINE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]+"
)

#: What somebody else says in an error is no longer than this.
MAX_MESSAGE_CHARS: Final = 300


def plain(text: str, max_chars: int | None = None, *, instead: str = "") -> str:
    """`text` without control characters, but for white space, and lone surrogates, cut to `max_chars`."""
    return _NOT_PLAIN.sub(instead, text)[:max_chars]


def one_line(text: str) -> str:
    """`text` as one line, with one blank wherever it has control characters or white space."""
    return " ".join(_NOT_IN_A_LINE.sub(" ", text).split())


def short(text: str) -> str:
    """`text` as one line, cut to `MAX_MESSAGE_CHARS`."""
    line = one_line(text)
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"
