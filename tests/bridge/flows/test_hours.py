"""Business hours, against instants around midnight, the ends of weeks, and the days on which clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.flows.hours import DAYS, days_in, is_open, minutes_in, problem_of_zone, problems
from bridge.flows.model import Hours

WORK = Hours(days={"mon-thu": ["09:00-12:00", "13:00-17:30"], "fri": ["09:00-15:00"]})
NIGHT = Hours(days={"fri-sun": ["22:00-06:00"]})
DATES = Hours(
    days={"mon-sun": ["09:00-17:00"], },
    closed=["2026-12-25"],
    special={"2026-12-24": ["09:00-12:00", "22:00-02:00"], "2026-12-31": []},
)  # fmt: skip
ALWAYS = Hours(days={"mon-sun": ["00:00-24:00"]})


@pytest.mark.parametrize(
    "hours, at, is_open_then",
    [
        (WORK, "2026-03-11 08:59", False),
        (WORK, "2026-03-11 09:00", True),
        (WORK, "2026-03-11 11:59:59", True),
        (WORK, "2026-03-11 12:00", False),
        (WORK, "2026-03-11 13:00", True),
        (WORK, "2026-03-13 15:00", False),  # Friday
        (WORK, "2026-03-14 10:00", False),  # Saturday
        (NIGHT, "2026-03-13 21:59", False),
        (NIGHT, "2026-03-13 22:00", True),
        (NIGHT, "2026-03-14 05:59", True),
        (NIGHT, "2026-03-14 06:00", False),
        (NIGHT, "2026-03-16 05:59", True),  # Monday; it began on Sunday
        (NIGHT, "2026-03-13 05:59", False),  # Friday; nothing began on Thursday
        (DATES, "2026-12-23 16:00", True),
        (DATES, "2026-12-24 13:00", False),
        (DATES, "2026-12-24 23:00", True),
        (DATES, "2026-12-25 01:59", True),  # it began on the 24th
        (DATES, "2026-12-25 10:00", False),
        (DATES, "2026-12-31 10:00", False),
        (DATES, "2027-01-01 10:00", True),
        (ALWAYS, "2026-12-31 23:59:59", True),
        (ALWAYS, "2027-01-01 00:00", True),
        (Hours(days={"sun": ["22:00-24:00"]}), "2026-03-16 00:00", False),
        (Hours(), "2026-03-11 10:00", False),
    ],
)
def test_when_it_is_open(hours: Hours, at: str, is_open_then: bool) -> None:
    """In the zone of the flow, whatever zone the time comes in."""
    zone = ZoneInfo("America/New_York")
    now = datetime.fromisoformat(at).replace(tzinfo=zone)
    for same in (now, now.astimezone(UTC), now.astimezone(ZoneInfo("Asia/Kolkata"))):
        assert is_open(hours, "America/New_York", same) is is_open_then


NIGHTLY = Hours(days={"mon-sun": ["01:30-02:30"]})
CHANGES = [
    # Spring: 2:00 is followed by 3:00.
    ("Europe/Berlin", "2026-03-29T00:29Z", False),  # 01:29
    ("Europe/Berlin", "2026-03-29T00:30Z", True),  # 01:30
    ("Europe/Berlin", "2026-03-29T00:59Z", True),  # 01:59
    ("Europe/Berlin", "2026-03-29T01:00Z", False),  # 03:00
    ("America/New_York", "2026-03-08T06:59Z", True),  # 01:59
    ("America/New_York", "2026-03-08T07:00Z", False),  # 03:00
    # Autumn: what is left of the hour comes twice.
    ("Europe/Berlin", "2026-10-25T00:29Z", True),  # 02:29
    ("Europe/Berlin", "2026-10-25T00:30Z", False),  # 02:30
    ("Europe/Berlin", "2026-10-25T01:29Z", True),  # 02:29 again
    ("Europe/Berlin", "2026-10-25T01:30Z", False),
    ("America/New_York", "2026-11-01T05:30Z", True),  # 01:30
    ("America/New_York", "2026-11-01T06:29Z", False),  # 01:29 again
    ("America/New_York", "2026-11-01T06:30Z", True),  # 01:30 again
    ("America/New_York", "2026-11-01T07:30Z", False),  # 02:30
]


@pytest.mark.parametrize("zone, at, is_open_then", CHANGES)
def test_clocks_that_are_changed_are_still_the_clocks_on_the_wall(
    zone: str, at: str, is_open_then: bool
) -> None:
    assert is_open(NIGHTLY, zone, datetime.fromisoformat(at)) is is_open_then
    section = Hours(days=NIGHTLY.days, time_zone=zone)
    assert is_open(section, "Pacific/Kiritimati", datetime.fromisoformat(at)) is is_open_then


@pytest.mark.parametrize(
    "names, wanted",
    [
        ("mon", {0}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("sat,sun", {5, 6}),
        ("sun-tue", {6, 0, 1}),
        ("mon-wed, fri", {0, 1, 2, 4}),
        ("Mon-SUN", set(range(7))),
        ("wed-wed", {2}),
    ],
)
def test_names_of_days(names: str, wanted: set[int]) -> None:
    assert days_in(names) == wanted


@pytest.mark.parametrize(
    "names", ["", "monday", "mon-", "-fri", "mon-fri-sat", "mon;tue", "mon,,tue", "daily"]
)
def test_what_means_no_day(names: str) -> None:
    with pytest.raises(ValueError, match="is not like mon, mon-fri or sat,sun"):
        days_in(names)


@pytest.mark.parametrize(
    "span, wanted",
    [
        ("09:00-17:30", (540, 1050)),
        ("00:00-24:00", (0, 1440)),
        ("22:00-06:00", (1320, 1800)),
        ("23:59-00:00", (1439, 1440)),
    ],
)
def test_spans(span: str, wanted: tuple[int, int]) -> None:
    assert minutes_in(span) == wanted


#: A key and a part of what is said about it.
WRONG: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"days": {"mon-fri": ["09:00-17:00"]}}, []),
    ({"days": {"monday": ["9-5"]}}, [("days.monday", "'monday' is not like"), ("days.monday[0]", "9-5 is not like")]),
    ({"days": {"mon": ["09:00-09:00"]}}, [("days.mon[0]", "write 00:00-24:00")]),
    ({"days": {"mon": ["24:00-06:00"]}}, [("days.mon[0]", "is not of this day")]),
    ({"days": {"mon": ["08:00-12:00", "09:00-24:01"]}}, [("days.mon[1]", "is not of this day")]),
    ({"days": {"mon": ["09:60-12:00"]}}, [("days.mon[0]", "is not of this day")]),
    ({"days": {"mon-fri": [], "fri": []}}, [("days.fri", "fri is in 'mon-fri', too")]),
    ({"time_zone": "Europe/Berlni"}, [("time_zone", "did you mean Europe/Berlin?")]),
    ({"closed": ["2026-02-29", "2028-02-29"]}, [("closed[0]", "is not in the calendar")]),
    ({"special": {"2026-13-01": ["10:00-10:00"]}},
     [("special.2026-13-01", "is not in the calendar"), ("special.2026-13-01[0]", "ends when it begins")]),
    ({"special": {"2026-12-24": []}, "closed": ["2026-12-24"]}, [("special.2026-12-24", "is in `closed`, too")]),
]  # fmt: skip


@pytest.mark.parametrize("section, wanted", WRONG)
def test_what_is_wrong_is_told_by_key(section: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    found = problems(Hours(**section), "UTC")
    assert [key for key, _ in found] == [key for key, _ in wanted]
    assert [reason for (_, reason), (_, part) in zip(found, wanted, strict=True) if part not in reason] == []


@pytest.mark.parametrize(
    "name", ["", "America", "../etc/passwd", "/etc/localtime", "Nope/Where", "UTC\0", "CET+25"]
)
def test_what_is_no_zone_opens_nothing(name: str) -> None:
    assert "is no time zone" in problem_of_zone(name)
    assert not is_open(Hours(days=ALWAYS.days), name, datetime(2026, 3, 11, tzinfo=UTC))


def test_what_cannot_be_read_opens_nothing_else() -> None:
    hours = Hours(days={"someday": ["00:00-24:00"], "wed": ["99:00-99:30", "10:00-11:00"]})
    assert is_open(hours, "UTC", datetime(2026, 3, 11, 10, 30, tzinfo=UTC))
    assert not is_open(hours, "UTC", datetime(2026, 3, 11, 12, 0, tzinfo=UTC))


@given(
    st.sampled_from(DAYS),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.integers(0, 7 * 1440 - 1),
)
def test_a_span_is_open_for_its_length_once_a_week(day: str, begin: int, length: int, minute: int) -> None:
    end = begin + length
    text = f"{begin // 60:02}:{begin % 60:02}-{end % 1440 // 60:02}:{end % 60:02}"
    monday = datetime.combine(date(2026, 3, 9), datetime.min.time(), UTC)
    since = (minute - DAYS.index(day) * 1440 - begin) % (7 * 1440)
    assert is_open(Hours(days={day: [text]}), "UTC", monday + timedelta(minutes=minute)) is (since < length)
