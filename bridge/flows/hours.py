"""Business hours. Pure.

Strategy:

- Hours are what a clock on the wall says: on the days on which clocks are changed they open and close as on any other.
- A span belongs to the day on which it begins, and goes on after midnight whatever the next day is: closed or special.
- `closed` is before `special`, and that before `days`.
- What cannot be read is told by `problems`, before there is a call; here it opens nothing.

Facts, from RFC 5545 3.3.5 (local time without a zone's offset) and the IANA zone database, through `zoneinfo`.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from bridge.flows.model import Hours
from bridge.nearest import meant

if TYPE_CHECKING:
    from datetime import date, datetime

#: Minutes after midnight at which it opens and closes; the second may be on the day after.
Minutes: TypeAlias = tuple[int, int]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES: Final = 24 * 60
_SPAN: Final = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


def is_open(hours: Hours, default_zone: str, now: datetime) -> bool:
    """Whether `hours` are open at `now`, which has a zone of its own."""
    zone = _zone(hours.time_zone or default_zone)
    if zone is None:
        return False
    local = now.astimezone(zone)
    today = local.date()
    minute = local.hour * 60 + local.minute
    return _covers(_spans_of(hours, today), minute) or _covers(
        _spans_of(hours, today.fromordinal(today.toordinal() - 1)), minute + _DAY_MINUTES
    )


def days_in(names: str) -> frozenset[int]:
    """The days that ``mon``, ``mon-fri``, ``sat,sun`` or ``sun-tue`` means; Monday is 0.

    Raises:
        ValueError: it means none.
    """
    return frozenset(chain.from_iterable(_days_of(part.strip().lower()) for part in names.split(",")))


def minutes_in(span: str) -> Minutes:
    """When ``09:00-17:30`` opens and closes; ``22:00-06:00`` closes on the next day, ``24:00`` is midnight.

    Raises:
        ValueError: it is no span, or says no time of day.
    """
    found = _SPAN.fullmatch(span)
    if not found:
        raise ValueError("is not like 09:00-17:30")
    from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
    begin, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if max(from_minute, to_minute) > 59 or begin >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise ValueError("is not of this day: it begins from 00:00 to 23:59 and ends from 00:00 to 24:00")
    if begin == end:
        raise ValueError("ends when it begins; write 00:00-24:00 for the whole day")
    return begin, end if end > begin else end + _DAY_MINUTES


def problems(hours: Hours, default_zone: str) -> list[tuple[str, str]]:
    """What is wrong with `hours`: key within it (``days.mon-fri[0]``, ``closed[1]``, ``time_zone``), and why."""
    return list(
        chain(
            _problems_of_zone(hours.time_zone or default_zone),
            _problems_of_days(hours.days),
            _problems_of_dates(hours),
        )
    )


def problem_of_zone(name: str) -> str:
    """Why `name` is no time zone; empty when it is one."""
    if _zone(name):
        return ""
    mend = meant(name, available_timezones()) or "write one such as Europe/Berlin or UTC"
    return f"{name!r} is no time zone; {mend}"


# -- reading -----------------------------------------------------------------------------------------------------------


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not like a name; a folder of the database
        return None


def _days_of(part: str) -> Iterator[int]:
    first, dash, last = part.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError(f"{part!r} is not like mon, mon-fri or sat,sun; days are {', '.join(DAYS)}")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return ((begin + more) % 7 for more in range((end - begin) % 7 + 1))


def _spans_of(hours: Hours, day: date) -> Iterator[Minutes]:
    """Of that date."""
    name = day.isoformat()
    if name in hours.closed:
        return iter(())
    if name in hours.special:
        return _read(hours.special[name])
    weekday = day.weekday()
    return chain.from_iterable(
        _read(spans) for days, spans in hours.days.items() if weekday in _read_days(days)
    )


@cache
def _read_days(names: str) -> frozenset[int]:
    try:
        return days_in(names)
    except ValueError:
        return frozenset()


def _read(spans: Sequence[str]) -> Iterator[Minutes]:
    for span in spans:
        try:
            yield minutes_in(span)
        except ValueError:
            continue


def _covers(spans: Iterator[Minutes], minute: int) -> bool:
    return any(begin <= minute < end for begin, end in spans)


# -- checking ----------------------------------------------------------------------------------------------------------


def _problems_of_zone(name: str) -> Iterator[tuple[str, str]]:
    if reason := problem_of_zone(name):
        yield "time_zone", reason


def _problems_of_days(days: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    named: dict[int, str] = {}
    for names, spans in days.items():
        try:
            for day in sorted(days_in(names)):
                if (other := named.setdefault(day, names)) != names:
                    yield f"days.{names}", f"{DAYS[day]} is in {other!r}, too: name each day once"
        except ValueError as error:
            yield f"days.{names}", str(error)
        yield from _problems_of_spans(f"days.{names}", spans)


def _problems_of_dates(hours: Hours) -> Iterator[tuple[str, str]]:
    for number, day in enumerate(hours.closed):
        if not _is_date(day):
            yield f"closed[{number}]", f"{day} is not in the calendar; write it as in 2026-12-25"
    for day, spans in hours.special.items():
        if not _is_date(day):
            yield f"special.{day}", f"{day} is not in the calendar; write it as in 2026-12-25"
        elif day in hours.closed:
            yield f"special.{day}", "is in `closed`, too: take it out there"
        yield from _problems_of_spans(f"special.{day}", spans)


def _problems_of_spans(key: str, spans: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, span in enumerate(spans):
        try:
            minutes_in(span)
        except ValueError as error:
            yield f"{key}[{number}]", f"{span} {error}"


def _is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if not found:
        return False
    year, month, day = map(int, found.groups())
    return year > 0 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
