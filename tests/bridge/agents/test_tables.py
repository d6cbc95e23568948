"""The tools of config/agents/booking.toml: what is written down, and what never is."""

from __future__ import annotations

import importlib.util
import sqlite3
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from bridge.call import Call
from bridge.tools import ToolFailed, tool_of
from tests.support.call import build_call
from tests.support.source import ROOT


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("BOOKINGS_SQLITE", str(tmp_path / "bookings.sqlite"))
    spec = importlib.util.spec_from_file_location("tables", ROOT / "config" / "agents" / "tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def call() -> Call:
    return build_call().call


def written(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "bookings.sqlite")) as db:
        return db.execute("SELECT day, time, guest, phone, people FROM bookings").fetchall()


def test_a_booking_is_written_once_however_often_it_is_asked_for(
    tables: ModuleType, call: Call, tmp_path: Path
) -> None:
    told = [tables.book_table("tomorrow", "19:30", 3, name, call) for name in ("Marta", " marta ")]
    tomorrow = date_in(1)
    assert told[0].startswith(
        f"booked: {tomorrow:%A}, {tomorrow.day} {tomorrow:%B}, at 19:30, 3 people, Marta"
    )
    assert written(tmp_path) == [(tomorrow.isoformat(), "19:30", "marta", call.from_number, 3)]


def test_who_calls_again_with_more_people_has_them_all(
    tables: ModuleType, call: Call, tmp_path: Path
) -> None:
    for people in (2, 4):
        assert f"{people} people" in tables.book_table("tomorrow", "19:30", people, "Marta", call)
    assert [people for *_, people in written(tmp_path)] == [4]


def test_what_is_over_today_is_not_offered_and_not_booked(
    tables: ModuleType, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "now", lambda: datetime(2026, 11, 20, 19, 30))  # a Friday
    assert tables.free_times("today", 2) == ["20:00", "20:30", "21:00"]
    assert tables.free_times("friday", 2) == list(tables.TIMES)
    with pytest.raises(ToolFailed, match="that time is over"):
        tables.book_table("today", "19:30", 2, "Marta", call)
    assert written(tmp_path) == []


async def test_a_name_has_a_letter(tables: ModuleType, call: Call, tmp_path: Path) -> None:
    book = tool_of(tables.book_table, {Call: call})
    with pytest.raises(msgspec.ValidationError):
        await book.run({"day": "friday", "time": "20:00", "people": 2, "name": "  "})


def date_in(days: int) -> date:
    return datetime.now().astimezone().date() + timedelta(days=days)


def test_what_a_caller_says_is_no_sql(tables: ModuleType, call: Call, tmp_path: Path) -> None:
    name = "Robert'); DROP TABLE bookings;--"
    tables.book_table("tomorrow", "18:00", 1, name, call)
    assert [guest for _, _, guest, _, _ in written(tmp_path)] == [name.casefold()]


def test_a_time_is_free_until_all_tables_are_taken(tables: ModuleType, call: Call) -> None:
    for number in range(tables.TABLES):
        assert "20:00" in tables.free_times("friday", 2)
        tables.book_table("friday", "20:00", 2, f"Guest {number}", call)
    assert "20:00" not in tables.free_times("friday", 2)
    assert "20:30" in tables.free_times("friday", 2)
    with pytest.raises(ToolFailed, match="taken by now"):
        tables.book_table("friday", "20:00", 2, "Late", call)
    assert tables.book_table("friday", "20:00", 2, "Guest 0", call).startswith("booked")


@pytest.mark.parametrize("time", ["20:15", "8 pm", ""])
def test_only_the_times_that_there_are(tables: ModuleType, call: Call, time: str) -> None:
    with pytest.raises(ToolFailed, match=r"tables are from one of 18:00"):
        tables.book_table("friday", time, 2, "Marta", call)


@pytest.mark.parametrize("day", ["today", "tomorrow", "monday", "thursday", "sunday"])
def test_a_day_is_the_next_of_its_name(tables: ModuleType, day: str) -> None:
    on = tables.date_of(day)
    ahead = (on - date_in(0)).days
    if day in ("today", "tomorrow"):
        assert ahead == (day == "tomorrow")
    else:
        assert 1 <= ahead <= 7
        assert f"{on:%A}".lower() == day


async def test_a_model_is_told_of_them_and_never_of_the_call(
    tables: ModuleType, call: Call, tmp_path: Path
) -> None:
    book = tool_of(tables.book_table, {Call: call})
    assert set(book.parameters["properties"]) == {"day", "time", "people", "name"}
    assert book.description.startswith("Write a booking down.")
    told = await book.run({"day": "friday", "time": "20:00", "people": "2", "name": "Marta"})
    assert str(told).startswith("booked: Friday")
    assert len(written(tmp_path)) == 1
