"""The restaurant's tables: what config/agents/booking.toml gives its model to call.

A function's signature is what the model is told of it, and its docstring says when to use it. Both run in threads, so
they may block. What a caller says reaches the database as a parameter, never as SQL.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta

from bridge.call import Call
from bridge.tools import ToolFailed

TABLES = 6
TIMES = ("18:00", "18:30", "19:00", "19:30", "20:00", "20:30", "21:00")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

CREATE = """
    CREATE TABLE IF NOT EXISTS bookings (
        day TEXT, time TEXT, guest TEXT, phone TEXT, people INTEGER, call TEXT, UNIQUE (day, time, guest, phone)
    )"""
TAKEN = "SELECT count(*) FROM bookings WHERE day = ? AND time = ?"
KNOWN = "SELECT 1 FROM bookings WHERE day = ? AND time = ? AND guest = ? AND phone = ?"
WRITE = """
    INSERT INTO bookings (day, time, guest, phone, people, call) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET people = excluded.people, call = excluded.call"""

# Models are bad at dates: they are asked for the day as the caller has said it, and the calendar is ours.
Day = Annotated[
    Literal[
        "today", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ],
    "as the caller says it; a weekday is the next one",
]
Time = Annotated[str, "24 hours, as in 19:30"]
Name = Annotated[str, Meta(pattern=r"\S", max_length=80)]
People = Annotated[int, Meta(ge=1, le=8)]


def free_times(day: Day, people: People) -> list[str]:
    """When there is a table. Use it before you promise one."""
    on = date_of(day)
    with bookings() as db:
        return [time for time in TIMES if not is_past(on, time) and taken(db, on, time) < TABLES]


def book_table(day: Day, time: Time, people: People, name: Name, call: Call) -> str:
    """Write a booking down. Asked twice for the same, it is written once, for as many as were said last."""
    if time not in TIMES:
        raise ToolFailed(f"tables are from one of {', '.join(TIMES)}")
    on, guest = date_of(day), name.strip()
    if is_past(on, time):
        raise ToolFailed("that time is over; look for another with free_times")
    known = (on.isoformat(), time, guest.casefold(), call.from_number)
    with bookings() as db:
        db.execute("BEGIN IMMEDIATE")  # nobody else takes the last table between the look and the booking
        if not db.execute(KNOWN, known).fetchone() and taken(db, on, time) >= TABLES:
            raise ToolFailed("that time is taken by now")
        db.execute(WRITE, (*known, people, call.id))
        db.execute("COMMIT")
    return f"booked: {on:%A}, {on.day} {on:%B}, at {time}, {people} people, {guest}"


def now() -> datetime:
    """By the restaurant's clock, which is this machine's: TZ says otherwise."""
    return datetime.now().astimezone()


def is_past(on: date, time: str) -> bool:
    return f"{on} {time}" <= f"{now():%Y-%m-%d %H:%M}"


def date_of(day: str) -> date:
    today = now().date()
    if day in ("today", "tomorrow"):
        return today + timedelta(days=day == "tomorrow")
    ahead = (WEEKDAYS.index(day) - today.weekday()) % 7
    return today + timedelta(days=ahead or 7)


def taken(db: sqlite3.Connection, on: date, time: str) -> int:
    return int(db.execute(TAKEN, (on.isoformat(), time)).fetchone()[0])


@contextmanager
def bookings() -> Iterator[sqlite3.Connection]:
    path = os.environ.get("BOOKINGS_SQLITE", "bookings.sqlite")
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as db:
        db.execute(CREATE)
        yield db
