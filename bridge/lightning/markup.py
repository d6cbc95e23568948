"""Markdown, HTML and emoji out of a text: what is for eyes goes, what is for ears stays. No I/O.

Strategy:

- Only marks go, never a word. What counts as a mark and has letters all the same: the target and title of a link
  or picture, the name of a fence's language, HTML tags with their attributes, HTML comments, footnote marks, and the
  ``x`` of a ticked box. Everything else that is a letter or digit stays, in order.
- Everything works on a line or less, and a mark without its partner goes as a pair does. So a text may be cut into
  pieces first: a bold span over two sentences, a fence or a table leaves nothing behind in any of them.
- What stood on a line of its own (a heading, an item, a row) becomes a sentence of its own.
- Repetitions are possessive or begin where a run begins, so work grows with the text and not with its square.
- Joiners of Indic and Arabic scripts are letters. They go only as part of an emoji.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from html.entities import html5
from typing import Final

#: Stands where something was taken out, until `closed` decides whether a space belongs there.
GAP: Final = "\0"
#: What no voice needs to know of: zero-width space, byte order mark, soft hyphen, word joiner.
_INVISIBLE: Final = str.maketrans(dict.fromkeys("\u200b\ufeff\u00ad\u2060"))
#: A character of a word, in any script, vowel signs and joiners included.
_W: Final = r"[^\s\0-/:-@\[-`{-\x7f\u2010-\u2027।॥。、，！？]"

# -- emoji -------------------------------------------------------------------------------------------------------------

#: Pictographs, without digits in circles, musical accidentals and the like, which are read.
_PICTURE: Final = (
    r"[\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u266c\u2670-\u2775"
    r"\u2794\u2798-\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d"
    r"\U0001f000-\U0001f0ff\U0001f10d-\U0001faff]"
)
_EMOJI: Final = re.compile(
    rf"(?:{_PICTURE}[\ufe0e\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*+)++"
)
#: Emoji as a bullet, and a keycap as an item's number.
_EMOJI_BULLET: Final = re.compile(rf"^[ \t]*+{_EMOJI.pattern}[ \t]++(?=\S)", re.MULTILINE)
_KEYCAP_NUMBER: Final = re.compile(r"^[ \t]*+([0-9])\ufe0f?\u20e3[ \t]*+", re.MULTILINE)
_KEYCAP: Final = re.compile(r"([0-9#*])\ufe0f?\u20e3")
_SELECTOR: Final = re.compile(r"[\ufe0e\ufe0f]")


def without_emoji(text: str) -> str:
    """`text` with emoji, flags and skin tones taken out; a keycap leaves its digit."""
    text = _KEYCAP_NUMBER.sub(r"\1. ", text)
    text = _KEYCAP.sub(rf"\1{GAP}", text)
    text = _EMOJI_BULLET.sub("- ", text)
    return _SELECTOR.sub("", _EMOJI.sub(GAP, text))


# -- HTML --------------------------------------------------------------------------------------------------------------

_ENTITY: Final = re.compile(r"&(?:amp;)*(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_ENTITY_TAIL: Final = re.compile(r"#?\w{1,32};")
_INLINE_TAGS: Final = (
    "a abbr audio b big break cite code del em emphasis font i img ins kbd mark phoneme prosody q s samp say-as small "
    "span speak strike strong sub sup tt u var"
)
_BLOCK_TAGS: Final = (
    "article blockquote body br center details div dl dt dd footer h1 h2 h3 h4 h5 h6 head header hr html li main nav "
    "ol p pre section summary table tbody td tfoot th thead tr ul"
)
_ATTRIBUTE: Final = r"""\s++[a-zA-Z_:][\w:.-]*+\s*+=\s*+(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>=/]++)"""


def _tag(names: str) -> re.Pattern[str]:
    listed = "|".join(sorted(names.split(), key=len, reverse=True))
    return re.compile(rf"</?(?:{listed})(?:{_ATTRIBUTE})*+\s*+/?>", re.IGNORECASE)


_INLINE_TAG, _BLOCK_TAG = _tag(_INLINE_TAGS), _tag(_BLOCK_TAGS)


def without_html(text: str) -> str:
    """`text` with entities read, and tags and comments taken out. What only looks like a tag stays."""
    text = _ENTITY.sub(_character, _without_comments(text))
    return _BLOCK_TAG.sub("\n", _INLINE_TAG.sub("", text)) if "<" in text else text


def _without_comments(text: str) -> str:
    """Without whole comments; of one that is cut in two, without its marks."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    kept.append(text[at:].replace("<!--", GAP).replace("-->", GAP))
    return GAP.join(kept)


def _character(entity: re.Match[str]) -> str:
    name, follows = entity[1], entity.string[entity.end() :][:34]
    if not name.startswith("#") and f"{name};" not in html5:
        return entity[0]
    read = html.unescape(f"&{name};")
    if read == "<" and follows[:1].isalpha() or read == "&" and _ENTITY_TAIL.match(follows):
        return f"{read} "  # what was written out is not to become a tag or an entity now
    return " " if read.isspace() else read


# -- links -------------------------------------------------------------------------------------------------------------

_TARGET: Final = (
    r"""\(\s*+<?[^\s()<>]*+(?:\([^\s()]*+\)[^\s()<>]*+)*+>?(?:\s++(?:"[^"]*+"|'[^']*+'))?\s*+\)"""
)
_PICTURE_LINK: Final = re.compile(rf"!\[([^\[\]]*+)\]{_TARGET}")
_LINK: Final = re.compile(rf"\[([^\[\]]*+)\]{_TARGET}")
_LINK_TAIL: Final = re.compile(rf"\]{_TARGET}")
_REFERENCE: Final = re.compile(r"!?\[([^\[\]]++)\]\[[^\[\]]*+\]")
_DEFINITION: Final = re.compile(r"^[ \t]*+\[[^\[\]\n^][^\[\]\n]*+\]:[ \t]*+<?https?://.*+$", re.MULTILINE)
_FOOTNOTE: Final = re.compile(r"\[\^[^\[\]\s]++\]:?")
_AUTOLINK: Final = re.compile(r"<((?:https?://|mailto:)[^\s<>]++|[^\s<>@]++@[^\s<>@]++)>")


def without_links(text: str) -> str:
    """`text` with links and pictures made their words."""
    if "<" in text:
        text = _AUTOLINK.sub(r"\1", text)
    if "]" not in text:
        return text
    text = _FOOTNOTE.sub(GAP, _DEFINITION.sub("", text))
    text = _LINK.sub(r"\1", _PICTURE_LINK.sub(r"\1", text))  # in this order: a picture may be a link's words
    return _LINK_TAIL.sub("", _REFERENCE.sub(r"\1", text))


# -- lines -------------------------------------------------------------------------------------------------------------

_FENCE: Final = re.compile(r"[ \t]*+(?:```++|~~~++)[ \t]*+[\w+#.-]*+[ \t]*+")
_QUOTE: Final = re.compile(r"[ \t]*+(?:>[ \t]?+)++")
_HEADING: Final = re.compile(r"[ \t]*+#{1,6}+[ \t]++")
_BULLET: Final = re.compile(r"[ \t]*+(?:[-*•‣⁃◦●○·–—]|\+(?![ \t]*+[0-9]))[ \t]++(?:\[[ xX]\][ \t]++)?+")
_NUMBER: Final = re.compile(r"[ \t]*+\(?([0-9]{1,3})[.)][ \t]++(?=\S)")
#: A line of nothing but these is a rule, the line under a heading, or under a table's head.
_RULES: Final = frozenset("-*_=|:+ \t")
_TRAILING_MARKS: Final = " \t*_`~#" + GAP
_ENDS: Final = tuple('.!?…:;,।॥。！？：；，、؟،۔"”’»)]')


def by_lines(text: str) -> str:
    """`text` with what marks whole lines taken out, and their text made sentences."""
    return "\n".join(line for old in text.split("\n") for line in _spoken_line(old))


def _spoken_line(line: str) -> Iterator[str]:
    """What is left of a line; nothing when all of it is a mark."""
    if _FENCE.fullmatch(line) or _is_rule(line):
        return
    line = _QUOTE.sub("", line, count=1) if _QUOTE.match(line) else line
    if heading := _HEADING.match(line):
        yield _sentence(line[heading.end() :].rstrip(" \t#"))
    elif bullet := _BULLET.match(line):
        yield _sentence(line[bullet.end() :])
    elif number := _NUMBER.match(line):
        yield _sentence(f"{number[1]}. {line[number.end() :]}")
    elif "|" in line:
        yield _row(line)
    else:
        yield line


def _is_rule(line: str) -> bool:
    marks = line.replace(" ", "").replace("\t", "")
    return len(marks) >= 3 and _RULES.issuperset(marks) and not marks.startswith((":", "+"))


def _row(line: str) -> str:
    """A row of a table: its cells, with commas between them."""
    bare = line.strip()
    if not (bare.startswith("|") or bare.endswith("|") or " | " in bare):
        return line
    cells = ", ".join(cell.strip() for cell in bare.split("|") if cell.strip())
    return _sentence(cells) if bare.startswith("|") or bare.endswith("|") else cells


def _sentence(text: str) -> str:
    """`text` with a full stop of its script, if it has no mark at its end."""
    bare = text.rstrip(_TRAILING_MARKS)
    if not bare or bare.endswith(_ENDS) or not any(map(str.isalnum, bare)):
        return text
    return text.rstrip(" \t" + GAP) + _full_stop(bare[-1])


def _full_stop(last: str) -> str:
    if "\u0900" <= last <= "\u09ff" or "\u0a00" <= last <= "\u0a7f" or "\u0b00" <= last <= "\u0b7f":
        return "।"
    return "。" if "\u3040" <= last <= "\u30ff" or "\u4e00" <= last <= "\u9fff" else "."


# -- within a line -----------------------------------------------------------------------------------------------------

_ESCAPE: Final = re.compile(r"\\([*_`~#|\[\]()<>!.+{}-])")
#: Kept: two stars between digits, one between letters or digits, one that stands alone, and those of a code that is
#: dialled. They are arithmetic, or a key of the telephone.
_STARS: Final = re.compile(r"(?<!\*)(\*++)([0-9]{1,20}+(?:\*[0-9]{1,20}+){0,4}+#)?")
#: Around a star that stands alone; the empty string is the end of the text.
_BEFORE_A_KEY: Final = ("", *" \t\n(\"'“‘")
_AFTER_A_KEY: Final = ("", *" \t\n.,;:!?)\"'”’")
_LINES_UNDER: Final = re.compile(rf"(?<!_)(?:(?<!{_W})_++|_++(?!{_W}))")
_STRIKE: Final = re.compile(r"~~++")
_APOSTROPHE: Final = re.compile(r"(?<=[^\W\d_])`(?=[^\W\d_])")


def without_escapes(text: str) -> str:
    """`text` without the backslashes that keep marks from being marks."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def without_emphasis(text: str) -> str:
    """`text` without the marks of bold, italic, struck and code, paired or not."""
    if "*" in text:
        text = _STARS.sub(_kept_stars, text)
    if "_" in text:
        text = _LINES_UNDER.sub("", text)
    if "`" in text:
        text = _APOSTROPHE.sub("'", text).replace("`", "")
    return _STRIKE.sub("", text)


def _kept_stars(stars: re.Match[str]) -> str:
    marks, code = stars[1], stars[2]
    before, after = stars.string[stars.start() - 1 : stars.start()], stars.string[stars.end(1) :][:1]
    inside_word = before.isalnum() and after.isalnum()
    if len(marks) == 1:
        alone = before in _BEFORE_A_KEY and after in _AFTER_A_KEY
        return stars[0] if code or inside_word or alone else ""
    if inside_word and after.isdigit():
        return (marks if before.isdigit() else " ") + (code or "")
    return code or ""


# -- all of it ---------------------------------------------------------------------------------------------------------

_GAPS: Final = re.compile(r"(?<![ \t\0])[ \t]*+\0[ \t\0]*+")


def closed(text: str) -> str:
    """`text` with every gap made one space, or none at a line's end and before a mark."""

    def space(gap: re.Match[str]) -> str:
        before, after = text[gap.start() - 1 : gap.start()], text[gap.end() : gap.end() + 1]
        return "" if before in ("", "\n", "(") or after in ("", "\n") or after in ".,!?;:)।。，！？" else " "

    return _GAPS.sub(space, text) if GAP in text else text


#: What leads to speech, in the order in which it must be done; `addresses` stands between.
BEFORE_ADDRESSES: Final[tuple[Callable[[str], str], ...]] = (without_html, without_escapes, without_links)
AFTER_ADDRESSES: Final[tuple[Callable[[str], str], ...]] = (without_emoji, by_lines, without_emphasis)
#: Every character that a mark is made of.
MARKS: Final = "*_`~#|<>[]\\&\0"


def visible(text: str) -> str:
    """`text` without characters that are neither seen nor heard."""
    return text.translate(_INVISIBLE)
