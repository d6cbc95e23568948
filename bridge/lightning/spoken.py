"""Addresses and telephone numbers as they are spoken. No I/O.

Strategy:

- A telephone number is told by its shape: a country code, ten digits that may begin a number, the groups in which
  numbers are written. What may as well be an amount, a year, a date, a time or a part number stays as it is.
- It becomes single digits with commas between its groups, so that no voice can read it as millions. Groups are the
  writer's; ten digits without any are read 3-4-3, as the vendor advises.
- A URL loses its ``https://`` and nothing else. Marks in it become words, in the language of the call where the table
  has it, else in English.
- What comes out has none of these shapes any more.
"""

from __future__ import annotations

import re
from typing import Final

# -- the words ---------------------------------------------------------------------------------------------------------

_ENGLISH: Final = {
    ".": "dot", "/": "forward slash", "-": "dash", "_": "underscore", "@": "at", "?": "question mark", "=": "equals",
    "&": "and", "#": "hash", "%": "percent", "+": "plus", ":": "colon", "~": "tilde", "ext": "extension",
}  # fmt: skip
_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": _ENGLISH,
    "hi": {
        ".": "डॉट", "/": "स्लैश", "-": "डैश", "_": "अंडरस्कोर", "@": "ऐट", "?": "प्रश्न चिह्न", "=": "बराबर", "&": "और",
        "#": "हैश", "%": "प्रतिशत", "+": "प्लस", ":": "कोलन", "~": "टिल्ड", "ext": "एक्सटेंशन",
    },
    "de": {
        ".": "Punkt", "/": "Schrägstrich", "-": "Bindestrich", "_": "Unterstrich", "@": "at", "?": "Fragezeichen",
        "=": "gleich", "&": "und", "#": "Raute", "%": "Prozent", "+": "plus", ":": "Doppelpunkt", "~": "Tilde",
        "ext": "Durchwahl",
    },
    "es": {
        ".": "punto", "/": "barra", "-": "guion", "_": "guion bajo", "@": "arroba", "?": "signo de interrogación",
        "=": "igual", "&": "y", "#": "almohadilla", "%": "por ciento", "+": "más", ":": "dos puntos", "~": "tilde",
        "ext": "extensión",
    },
    "fr": {
        ".": "point", "/": "barre oblique", "-": "tiret", "_": "tiret bas", "@": "arobase",
        "?": "point d'interrogation", "=": "égal", "&": "et", "#": "dièse",
        "%": "pour cent", "+": "plus", ":": "deux points", "~": "tilde",
        "ext": "poste",
    },
}  # fmt: skip


def _words_of(language: str) -> dict[str, str]:
    return _WORDS.get(language, _ENGLISH)


# -- addresses ---------------------------------------------------------------------------------------------------------

#: Endings of a host that stands without ``https://``. Those of the second kind are words as well ("done.in time").
_TOP: Final = frozenset(
    (
        "com",
        "org",
        "net",
        "io",
        "ai",
        "app",
        "dev",
        "info",
        "biz",
        "gov",
        "edu",
        "uk",
        "eu",
        "fr",
        "nl",
        "ca",
        "au",
    )
)
_TOP_AND_WORD: Final = frozenset(("in", "us", "it", "de", "es"))
_URL: Final = re.compile(
    r"(?:https?|wss?|ftp)://[^\s<>\"“”]++|(?<![\w.@/-])www\.[^\s<>\"“”]++", re.IGNORECASE
)
_EMAIL: Final = re.compile(
    r"(?:mailto:)?(?<![a-zA-Z0-9.+_-])[a-zA-Z0-9][a-zA-Z0-9.+_-]*+@[a-zA-Z0-9](?:[a-zA-Z0-9-]*+\.)++[a-zA-Z]{2,24}\b"
)
_HOST: Final = re.compile(
    r"(?<![\w.@/-])[a-zA-Z0-9][a-zA-Z0-9-]*+((?:\.[a-zA-Z0-9][a-zA-Z0-9-]*+)++)(?![\w@])(/[^\s<>\"“”]*+)?"
)
_AFTER_A_URL: Final = "*_`~.,;:!?'’|\0"
#: Words of any script, vowel signs and all, or one mark.
_BITS: Final = re.compile(r"[^\s!-/:-@\[-`{-~]+|.", re.DOTALL)


def addresses(text: str, language: str) -> str:
    """`text` with URLs, hosts and e-mail addresses spelt out."""
    words = _words_of(language)

    def spoken(found: re.Match[str]) -> str:
        address, rest = _parted(found[0])
        return _spelt(re.sub(r"^\w+://|^mailto:", "", address), words) + rest

    def spoken_host(found: re.Match[str]) -> str:
        return spoken(found) if _is_host(found[1], found[2]) else found[0]

    if "@" in text:
        text = _EMAIL.sub(spoken, text)
    return _HOST.sub(spoken_host, _URL.sub(spoken, text)) if "." in text or "://" in text else text


def _is_host(labels: str, path: str | None) -> bool:
    """Whether a dotted word whose later `labels` begin with a dot each is the name of a host."""
    top = labels.rpartition(".")[2]
    return top in _TOP or (top in _TOP_AND_WORD and (path is not None or labels.count(".") > 1))


def _parted(found: str) -> tuple[str, str]:
    """An address, and the punctuation behind it, which is the sentence's."""
    address = found.rstrip(_AFTER_A_URL)
    if address.endswith((")", "]")) and "(" not in address and "[" not in address:
        address = address.rstrip(")]" + _AFTER_A_URL)
    return address.rstrip("/"), found[len(address) :]


def _spelt(address: str, words: dict[str, str]) -> str:
    return " ".join(words.get(bit, bit) for bit in _BITS.findall(address) if bit in words or _is_word(bit))


def _is_word(bit: str) -> bool:
    return bit[0].isalnum() or not bit.isascii()


# -- telephone numbers -------------------------------------------------------------------------------------------------

_S: Final = r"[ \u00a0.\u2010\u2011-]"
_BETWEEN: Final = r"[ \u00a0.()\u2010\u2011-]{0,2}"
#: What a number is introduced by where its shape alone says too little.
_CUE: Final = re.compile(
    r"\b(?:call|dial|phone|telephone|tel|fax|mobile|reach|ring|text)\b[^0-9]{0,24}\Z", re.IGNORECASE
)
_SHAPES: Final = {
    "country": rf"\+{_S}?(?:1(?:{_BETWEEN}[0-9]){{10}}|91(?:{_BETWEEN}[0-9]){{10}}|[2-9](?:{_BETWEEN}[0-9]){{7,14}})",
    "plain": r"[2-9][0-9]{9}|0[1-9][0-9]{9}|1[2-9][0-9]{9}|91[6-9][0-9]{9}",
    "american": rf"(?:1{_S})?(?:\([2-9][0-9]{{2}}\){_S}?|[2-9][0-9]{{2}}{_S})[0-9]{{3}}{_S}[0-9]{{4}}",
    "indian": rf"(?:0|(?:00)?91{_S})?[6-9](?:[0-9]{{4}}{_S}[0-9]{{5}}|[0-9]{{3}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}"
    rf"|[0-9]{{2}}{_S}[0-9]{{4}}{_S}[0-9]{{3}})",
    "landline": rf"(?:0[0-9]{{1,4}}{_S}|\(0[0-9]{{1,4}}\){_S}?)(?:[0-9]{{6,8}}|[0-9]{{3,4}}{_S}[0-9]{{3,4}})",
    "toll_free": rf"1[38]00{_S}?[0-9]{{2,3}}{_S}?[0-9]{{3,4}}",
    "local": r"[2-9][0-9]{2}-[0-9]{4}",
}
_EXTENSION: Final = rf"(?:{_S}?,?{_S}?(?:extension|ext\.?|x){_S}?(?P<extension>[0-9]{{1,6}}))?"
_PHONE: Final = re.compile(
    rf"(?<![\w./#@=&+-])(?<![0-9][,:])(?:{'|'.join(f'(?P<{name}>{shape})' for name, shape in _SHAPES.items())})"
    rf"(?![0-9])(?!\)?{_S}?[0-9]{{3}})(?![.,:/-][0-9]){_EXTENSION}(?![\w%])",
    re.IGNORECASE,
)
_MONEY_BEFORE: Final = re.compile(r"(?:[$€£¥₹]|\b(?:rs|inr|usd|eur|gbp)\.?)\s?\Z", re.IGNORECASE)
_UNIT_AFTER: Final = re.compile(
    r"\s?(?:%|°|[$€£¥₹]|(?:rupees?|dollars?|euros?|pounds?|cents?|usd|inr|eur|gbp|crores?|lakhs?|millions?|bytes?)\b|रुपये|रुपए)",
    re.IGNORECASE,
)
#: Codes of one and two digits; every other country's has three.
_SHORT_CODES: Final = re.compile(
    r"[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]",
)
#: How many digits -> in which groups they are read.
_GROUPED: Final = {6: (3, 3), 7: (3, 4), 8: (4, 4), 9: (3, 3, 3), 10: (3, 4, 3)}


def phone_numbers(text: str, language: str) -> str:
    """`text` with telephone numbers as single digits in groups."""
    words = _words_of(language)

    def spoken(found: re.Match[str]) -> str:
        start, end = found.span()
        before = text[max(start - 40, 0) : start]
        if _MONEY_BEFORE.search(before) or _UNIT_AFTER.match(text, end):
            return found[0]
        if found["local"] and not _CUE.search(before):
            return found[0]
        return _read(found, words)

    return _PHONE.sub(spoken, text)


def _read(found: re.Match[str], words: dict[str, str]) -> str:
    shape = next(name for name in _SHAPES if found[name])
    written = re.findall(r"[0-9]+", found[shape])
    if shape == "country":
        written = _with_code_apart(written)
    elif shape == "plain":
        written = [written[0][:-10], written[0][-10:]]
    groups = [group for part in written for group in _breaths(part)]
    plus = f"{words['+']} " if shape == "country" else ""
    extension = found["extension"]
    tail = f", {words['ext']} {' '.join(extension)}" if extension else ""
    return plus + ", ".join(" ".join(group) for group in groups) + tail


def _with_code_apart(written: list[str]) -> list[str]:
    first, *others = written
    short = _SHORT_CODES.match(first)
    code = first[: short.end() if short else 3]
    return [code, first[len(code) :], *others]


def _breaths(digits: str) -> list[str]:
    """`digits` as they are said: up to five in one breath."""
    if len(digits) <= 5:
        return [digits] if digits else []
    groups, at = [], 0
    for size in _GROUPED.get(len(digits), (4,) * len(digits)):
        groups.append(digits[at : at + size])
        at += size
    return [group for group in groups if group]
