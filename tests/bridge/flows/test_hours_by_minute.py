"""Business hours against a list of all minutes of the wall clock, made by going from one minute to the next."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.flows.hours import DAYS, is_open, problems
from bridge.flows.model import Hours
from tests.support.example_counts import at_most

YEAR = 2026
#: Clocks that change at midnight, by half an hour, not at all, and as most do.
ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Santiago",
    "UTC",
)
FIRST = date(YEAR - 1, 12, 30)

_minute = st.integers(0, 1439) | st.sampled_from((0, 60, 120, 150, 180, 1380, 1439))
_span = (
    st.tuples(_minute, _minute | st.just(1440))
    .filter(lambda span: span[0] != span[1])
    .map(lambda span: "{:02}:{:02}-{:02}:{:02}".format(*divmod(span[0], 60), *divmod(span[1], 60)))
)
_spans = st.lists(_span, max_size=3)
_date = st.dates(FIRST, date(YEAR, 12, 31)).map(date.isoformat)


@st.composite
def _hours(draw: st.DrawFn) -> Hours:
    """Hours with nothing wrong in them; each weekday stands in one range at most."""
    days: dict[str, list[str]] = {}
    left = list(range(7))
    while draw(st.booleans()) and left:
        begin = draw(st.sampled_from(left))
        run = [begin]
        while (run[-1] + 1) % 7 in left and (run[-1] + 1) % 7 != begin and draw(st.booleans()):
            run.append((run[-1] + 1) % 7)
        left = [day for day in left if day not in run]
        names = DAYS[begin] if len(run) == 1 else f"{DAYS[begin]}-{DAYS[run[-1]]}"
        days[names] = draw(_spans)
    closed = draw(st.lists(_date, max_size=5, unique=True))
    special = draw(st.dictionaries(_date, _spans, max_size=5))
    return Hours(
        days=days, closed=closed, special={day: of for day, of in special.items() if day not in closed}
    )


def open_minutes(hours: Hours) -> set[tuple[date, int]]:
    """Every minute of the wall clock at which it is open, in a year: each day's spans, gone through by the minute."""
    ranges = {}
    for names, spans in hours.days.items():
        first, _, last = names.partition("-")
        day = DAYS.index(first)
        while True:
            ranges[day] = spans
            if DAYS[day] == (last or first):
                break
            day = (day + 1) % 7
    found = set()
    for number in range(370):
        day_of = FIRST + timedelta(days=number)
        spans = ranges.get(day_of.weekday(), [])
        spans = [] if day_of.isoformat() in hours.closed else hours.special.get(day_of.isoformat(), spans)
        for span in spans:
            begin, end = (int(time[:2]) * 60 + int(time[3:]) for time in span.split("-"))
            minute, on = begin, day_of
            while True:
                found.add((on, minute))
                minute += 1
                if minute == end:
                    break
                if minute == 1440:
                    minute, on = 0, on + timedelta(days=1)
                    if end == 0:
                        break
    return found


@cache
def _times(zone: str) -> list[datetime]:
    """Times of a year, closer to each other around changes of the clock: every minute of three hours there."""
    start = datetime(YEAR, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=number) for number in range(365 * 24)]
    info = ZoneInfo(zone)
    changes = [
        after
        for before, after in zip(hours, hours[1:], strict=False)
        if before.astimezone(info).utcoffset() != after.astimezone(info).utcoffset()
    ]
    near = [change + timedelta(minutes=number) for change in changes for number in range(-120, 120)]
    every = [start + timedelta(minutes=number) for number in range(7, 365 * 24 * 60, 97)]
    return [*near, *every]


@settings(max_examples=at_most(15))
@given(_hours(), st.sampled_from(ZONES))
def test_it_is_open_at_every_minute_at_which_its_clock_says_so(hours: Hours, zone: str) -> None:
    assert problems(hours, zone) == []
    minutes = open_minutes(hours)
    info = ZoneInfo(zone)
    for now in _times(zone):
        local = now.astimezone(info)
        wanted = (local.date(), local.hour * 60 + local.minute) in minutes
        assert is_open(hours, zone, now) == wanted, local
