"""Messages that callers leave: their names, what is in them, and disks that take none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bridge.flows.messages import Messages, name_of
from bridge.observe.stats import BridgeStats
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import read_wav

AT = datetime(2026, 11, 25, 1, 30, 5, 67_000, tzinfo=UTC)
SOUND = b"\x31" * 1600


@pytest.mark.parametrize(
    "call_id, name",
    [
        ("CA12", "20261125T013005.067Z-CA12-message.wav"),
        ("../../etc/passwd", "20261125T013005.067Z-_etc_passwd-message.wav"),
        ("a b\0c\nd", "20261125T013005.067Z-a_b_c_d-message.wav"),
        ("x" * 500, f"20261125T013005.067Z-{'x' * 80}-message.wav"),
        ("", "20261125T013005.067Z--message.wav"),
    ],
)
def test_names_are_safe_whatever_a_carrier_calls_its_calls(call_id: str, name: str) -> None:
    assert name_of(call_id, "message", AT) == name


def test_names_sort_by_time_wherever_the_clock_is() -> None:
    east = AT.astimezone(timezone(timedelta(hours=9)))
    assert name_of("a", "b", east) == name_of("a", "b", AT)
    assert name_of("z", "b", AT) < name_of("a", "b", AT + timedelta(milliseconds=1))


async def test_a_message_is_a_wav_and_there_is_no_half_of_it(tmp_path: Path) -> None:
    stats = BridgeStats()
    path = await Messages(tmp_path / "new" / "folder", stats).keep(SOUND, call_id="CA1", step="m", at=AT)
    wav = read_wav(path)
    assert (wav.format, wav.audio) == (MULAW_8K, SOUND)
    assert names_in(tmp_path / "new" / "folder") == [name_of("CA1", "m", AT)]
    assert (stats.messages_kept, stats.messages_lost) == (1, 0)


async def test_a_message_may_take_the_place_of_another(tmp_path: Path) -> None:
    messages = Messages(tmp_path, BridgeStats())
    first = await messages.keep(SOUND, call_id="CA1", step="m", at=AT)
    later = AT + timedelta(seconds=9)
    second = await messages.keep(SOUND * 2, call_id="CA1", step="m", at=later, instead_of=first)
    assert names_in(tmp_path) == [name_of("CA1", "m", later)]
    again = await messages.keep(SOUND, call_id="CA1", step="m", at=later, instead_of=second)
    assert (again, names_in(tmp_path)) == (second, [name_of("CA1", "m", later)])


async def test_a_disk_that_says_no_is_one_warning_and_one_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "recordings").write_text("in the way")
    stats = BridgeStats()
    kept = await Messages(tmp_path / "recordings", stats).keep(SOUND, call_id="CA1", step="m", at=AT)
    assert kept == ""
    assert (stats.messages_kept, stats.messages_lost) == (0, 1)
    assert [(r.levelname, "CA1" in r.message) for r in caplog.records] == [("WARNING", True)]


async def test_what_could_not_be_put_in_place_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / name_of("CA1", "m", AT)).mkdir()
    assert await Messages(tmp_path, BridgeStats()).keep(SOUND, call_id="CA1", step="m", at=AT) == ""
    assert names_in(tmp_path) == [name_of("CA1", "m", AT)]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
