"""A caller's data as they are said: digits, numbers, dates, times and money in the caller's language.

Strategy:

- Data come as an API or a telephone gives them: ISO 8601, a decimal point. What may mean two things (``1,234``,
  ``03/04/2026``) is refused; whoever calls says it as it is then. ``1,234.50`` can only mean one.
- They go out as Babel writes them in the language, with Latin digits and names instead of signs: a voice reads
  "12.50 US dollars" the same way everywhere, and ``$12.50`` as it likes.
- Nothing is rounded that is not money, and no date or time is moved to another zone.
- Babel, and what it knows of a language, are read from disk where they are first needed: ahead, by `prepare`. A bridge
  without variables does without them.

Facts, from CLDR (by way of Babel): a money amount has as many decimals as its currency (yen none, dinars three);
formats use narrow and no-break spaces, which are plain blanks to a voice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from babel import Locale

#: More than anybody has to say, and less than what `decimal` would round.
_DECIMAL: Final = re.compile(r"([+-]?)([0-9]{1,15})(?:\.([0-9]{0,12}))?")
_MAX_DIGITS: Final = 64
_CODE: Final = "write its ISO 4217 code, as in money:USD"
#: Thousands, lakhs and crores.
_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}")
#: The plus of a telephone number is one of them: nobody says it.
_BETWEEN_DIGITS: Final = re.compile(r"[\s.()/+-]+")
_MINUS: Final = {
    "de": "minus", "en": "minus", "es": "menos", "fr": "moins", "hi": "माइनस", "it": "meno", "nl": "min",
    "pl": "minus", "pt": "menos", "ru": "минус", "sv": "minus",
}  # fmt: skip


def check_kind(kind: str) -> None:
    """Refuse what is no kind of variable.

    Raises:
        ValueError: says what there is.
    """
    name, _, code = kind.partition(":")
    if name == "money":
        if not _is_currency(code):
            right = f"did you mean money:{code.upper()}?" if _is_currency(code.upper()) else _CODE
            raise ValueError(f"{_shown(kind)} names no currency; {right}")
    elif kind not in _FORMS:
        kinds = f"{', '.join(_FORMS)} and money:CODE"
        meant = f"did you mean {kind.lower()}? There" if kind.lower() in _FORMS else "there"
        raise ValueError(f"{_shown(kind)} is no kind of variable; {meant} are {kinds}")


def say(value: object, kind: str, language: str) -> str:
    """`value` as it is said.

    Args:
        value: text, or a number. Dates and times are text: ISO 8601.
        kind: ``text``, ``digits``, ``number``, ``date``, ``time`` or ``money:CODE``.
        language: of the prompt; one that Babel does not know is read as English.

    Raises:
        ValueError: it is not what the kind wants, and what that is. It does not quote the value.
    """
    check_kind(kind)
    name, _, code = kind.partition(":")
    said = _money(value, code, language) if name == "money" else _FORMS[name](value, language)
    return " ".join(said.split())


def spoken(
    values: Mapping[str, object], kinds: Mapping[str, str], language: str
) -> tuple[dict[str, str], list[str]]:
    """`values` as they are said, and what is wrong with them: a wrong one is said as it is, as text.

    A call must not die of a caller's data, so nothing is raised; whoever calls this logs what is wrong. It names
    variables and kinds, never a value.

    Args:
        kinds: of some variables; all others are ``text``.
    """
    said, wrong = {}, []
    for name, value in values.items():
        try:
            said[name] = say(value, kinds.get(name, "text"), language)
        except ValueError as error:
            said[name] = say(value, "text", language)
            wrong.append(f"{name}: {error}")
    return said, wrong


def prepare(language: str) -> None:
    """Read what there is to know of `language` from disk: at start, not while a caller waits."""
    for value, kind in (("1", "number"), ("1", "money:USD"), ("2026-12-24", "date"), ("14:05", "time")):
        say(value, kind, language)


def _shown(kind: str) -> str:
    return f'"{kind if len(kind) <= 40 else kind[:40] + "..."}"'


@lru_cache(maxsize=128)
def _locale(language: str) -> Locale:
    from babel import Locale, UnknownLocaleError

    for code in (language, re.split("[-_]", language)[0]):
        try:
            return Locale.parse(code.replace("-", "_"))
        except (ValueError, UnknownLocaleError):
            continue
    return Locale.parse("en")


@lru_cache(maxsize=128)
def _is_currency(code: str) -> bool:
    from babel.numbers import list_currencies

    return code in list_currencies()


# -- each kind ---------------------------------------------------------------------------------------------------------


def _text(value: object, _language: str) -> str:
    """As it is; what JSON has for it, for what is no text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and abs(value) < 1e15:
        return _plain_float(value + 0.0)  # of a negative zero, too
    if value is None:
        return ""
    return _words_of(value)


def _words_of(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # an integer of thousands of digits
        return ""


def _digits(value: object, language: str) -> str:
    """One by one; letters too, since what is read so is a number of an account or a booking as well."""
    bare = _BETWEEN_DIGITS.sub("", _text(value, language))
    if not bare or len(bare) > _MAX_DIGITS or not bare.isalnum():
        raise ValueError(
            f"digits wants 1 to {_MAX_DIGITS} digits or letters; blanks and dashes are passed over"
        )
    return ", ".join(bare)


def _decimal(value: object, kind: str) -> Decimal:
    text = _plain_float(value) if isinstance(value, float) else _words_of(value).strip()
    text = _ungrouped(text)
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{kind} wants a number of at most 15 digits, as in -3 or 12.50")
    return Decimal(text)


def _ungrouped(text: str) -> str:
    """Without the commas of thousands, where they cannot be a decimal one: there are more, or a point follows."""
    whole, point, decimals = text.partition(".")
    if _GROUPED.fullmatch(whole) and (point or whole.count(",") > 1):
        return whole.replace(",", "") + point + decimals
    return text


def _plain_float(value: float) -> str:
    """To twelve digits: of 0.1 + 0.2 as well, nobody means the rest."""
    return format(Decimal(f"{value:.12g}"), "f") if isfinite(value) else ""


def _signed(amount: Decimal, said: str, language: str) -> str:
    """`said` is the amount without its sign; a voice would pass over a dash."""
    return f"{_MINUS.get(_locale(language).language, '-')} {said}".replace("- ", "-") if amount < 0 else said


def _without_gaps(said: str) -> str:
    """Thousands that a language parts with blanks are one number all the same."""
    return re.sub(r"(?<=[0-9])[\s’'](?=[0-9]{3})", "", said)


def _number(value: object, language: str) -> str:
    from babel.numbers import format_decimal

    number = _decimal(value, "number")
    said = format_decimal(abs(number).normalize(), locale=_locale(language), decimal_quantization=False)
    return _signed(number, _without_gaps(said), language)


def _money(value: object, code: str, language: str) -> str:
    from babel.numbers import format_currency, get_currency_precision

    amount = _decimal(_without_sign(value, code), f"money:{code}")
    amount = amount.quantize(Decimal(1).scaleb(-get_currency_precision(code)))
    whole = amount.to_integral_value()
    if amount == whole:  # "1 US dollar", where its cents would make it "1.00 US dollars"
        amount, pattern = whole, _locale(language).decimal_formats[None].pattern.partition(".")[0]
    else:
        pattern = None
    said = format_currency(
        abs(amount), code, pattern, _locale(language), currency_digits=pattern is None, format_type="name"
    )
    return _signed(amount, _without_gaps(said), language)


def _without_sign(value: object, code: str) -> object:
    """``$12.50`` and ``12.50 USD`` without what only says again which money it is."""
    from babel.numbers import get_currency_symbol

    if not isinstance(value, str):
        return value
    amount = value.strip()
    for sign in (code, get_currency_symbol(code, "en")):
        if amount != (bare := amount.removeprefix(sign).removesuffix(sign)):
            return bare
        if amount.startswith(f"-{sign}"):
            return f"-{amount[1 + len(sign) :]}"
    return amount


def _moment(value: object) -> str:
    """ISO text of a date or time, whatever it came as."""
    return (
        value.isoformat()
        if isinstance(value, (date, time))
        else value.strip()
        if isinstance(value, str)
        else ""
    )


def _date(value: object, language: str) -> str:
    from babel.dates import format_date

    try:
        day = datetime.fromisoformat(_moment(value)).date()
    except ValueError:
        raise ValueError("date wants an ISO date, with or without a time, as in 2026-12-24") from None
    return format_date(day, "long", locale=_locale(language))


_ONE_DIGIT_HOUR: Final = re.compile(r"^(?=[0-9]:)")


def _time(value: object, language: str) -> str:
    from babel.dates import format_time

    moment = _ONE_DIGIT_HOUR.sub("0", _moment(value))
    try:
        if ":" not in moment:
            raise ValueError
        when = datetime.fromisoformat(moment).time() if moment[4:5] == "-" else time.fromisoformat(moment)
    except ValueError:
        raise ValueError("time wants HH:MM, HH:MM:SS or an ISO date with a time, as in 14:05") from None
    return format_time(when, "short", locale=_locale(language))


_FORMS: Final[dict[str, Callable[[object, str], str]]] = {
    "text": _text,
    "digits": _digits,
    "number": _number,
    "date": _date,
    "time": _time,
}
