"""The cache on disk: what it gives back is what was put in, or nothing; and a bad disk is nobody's end."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from bridge.observe.stats import PromptStats
from bridge.prompts.cache import DAY_S, SPOKEN, STALE_TEMP_S, PromptCache, default_folder
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import read_wav, wav_bytes

KEY, OTHER = "a1" * 32, "b2" * 32
AUDIO = bytes(range(256)) * 20
ABOUT = {"of": "fixed", "text": "Grüße, “hello”."}


@pytest.fixture
def cache(tmp_path: Path) -> PromptCache:
    """Holds `AUDIO` under `KEY`."""
    cache = PromptCache(tmp_path / "cache", PromptStats())
    assert cache.put(KEY, AUDIO, ABOUT)
    return cache


def test_what_is_put_in_comes_out_and_says_what_it_is(cache: PromptCache) -> None:
    assert cache.get(KEY) == AUDIO
    assert cache.get(OTHER) is None
    (entry,) = cache.entries()
    assert (entry.key, entry.about, entry.path) == (KEY, ABOUT, cache.path_of(KEY))
    assert entry.size_bytes == cache.path_of(KEY).stat().st_size
    assert [path.name for path in cache.folder.iterdir()] == [f"{KEY}.wav"], "and nothing else is there"
    assert cache.stats == PromptStats()


@pytest.mark.parametrize("audio", [b"", b"\x01", AUDIO + b"\x01"], ids=["none", "a sample", "odd"])
def test_a_file_is_a_wav_for_everybody(cache: PromptCache, audio: bytes) -> None:
    cache.put(KEY, audio, ABOUT)
    wav = read_wav(cache.path_of(KEY))
    assert (wav.format, wav.channels, wav.audio) == (MULAW_8K, 1, audio)
    assert cache.get(KEY) == audio
    size = int.from_bytes(cache.path_of(KEY).read_bytes()[4:8], "little")
    assert size + 8 == cache.path_of(KEY).stat().st_size


def test_nobody_else_may_read_what_callers_were_told(cache: PromptCache) -> None:
    assert cache.folder.stat().st_mode & 0o077 == 0
    assert cache.path_of(KEY).stat().st_mode & 0o077 == 0


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:11],
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: flipped(data, -1),
        lambda data: flipped(data, 0),
        lambda data: data.replace(b"hello", b"hallo"),
        lambda data: bytes(len(data)),
        lambda data: wav_bytes(MULAW_8K, AUDIO),
        lambda data: b"#!/bin/sh\n" * 100,
        lambda data: data.replace(b'"version":1', b'"version":[').replace(b"data", b"dada"),
    ],
    ids=[
        "empty",
        "no header",
        "no audio",
        "a byte short",
        "half",
        "a bit of audio",
        "no RIFF",
        "says otherwise",
        "zeros",
        "a WAV of somebody else",
        "no WAV",
        "no JSON",
    ],
)  # fmt: skip
def test_what_cannot_be_believed_is_removed_and_made_again(
    cache: PromptCache, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = cache.path_of(KEY)
    path.write_bytes(spoil(path.read_bytes()))
    assert cache.get(KEY) is None
    assert not path.exists()
    assert cache.stats.corrupt == 1
    assert "corrupt" in caplog.text
    assert cache.put(KEY, AUDIO, ABOUT)
    assert cache.get(KEY) == AUDIO


def test_a_file_under_another_name_is_not_believed(cache: PromptCache) -> None:
    os.rename(cache.path_of(KEY), cache.path_of(OTHER))
    assert cache.get(OTHER) is None
    assert cache.stats.corrupt == 1
    assert list(cache.entries()) == []


def test_a_file_of_another_version_is_passed_over_and_replaced(
    cache: PromptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.prompts.cache.FORMAT_VERSION", 99)
    assert cache.get(KEY) is None
    assert list(cache.entries()) == []
    assert cache.path_of(KEY).exists(), "it may be of use to that version"
    assert cache.stats.corrupt == 0
    assert cache.put(KEY, AUDIO, ABOUT)
    assert cache.get(KEY) == AUDIO


# -- a disk that says no -----------------------------------------------------------------------------------------------


@contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("room_bytes", [0, 1000])
def test_a_full_disk_is_told_once_and_leaves_nothing_behind(
    cache: PromptCache, room_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    with full_disk(room_bytes):
        assert not cache.put(OTHER, AUDIO, ABOUT)
        assert not cache.put(KEY, AUDIO[:-1], ABOUT)
    assert cache.write_error
    assert [path.name for path in cache.folder.iterdir()] == [f"{KEY}.wav"]
    assert cache.get(KEY) == AUDIO, "what was there is still there"
    assert cache.stats.write_failures == 2
    (warning,) = warnings_in(caplog)
    assert str(cache.folder) in warning
    assert cache.write_error in warning
    assert cache.put(OTHER, AUDIO, ABOUT), "and the disk is asked again, since it may have room later"
    assert cache.write_error == ""


def test_a_place_that_is_no_folder_can_be_asked_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    cache = PromptCache(tmp_path / "file" / "cache", PromptStats())
    assert cache.get(KEY) is None
    assert not cache.put(KEY, AUDIO, ABOUT)
    assert list(cache.entries()) == []
    assert not cache.remove(KEY)
    assert cache.prune(set()).removed == 0
    assert cache.stats.write_failures == 1
    assert len(warnings_in(caplog)) == 1


def test_a_folder_in_a_files_place_is_no_audio(cache: PromptCache) -> None:
    cache.path_of(OTHER).mkdir()
    assert cache.get(OTHER) is None
    assert not cache.put(OTHER, AUDIO, ABOUT)
    assert (cache.stats.read_failures, cache.stats.write_failures) == (1, 1)
    assert [entry.key for entry in cache.entries()] == [KEY]
    assert cache.prune({KEY}).removed == 0


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path / "none")
    assert (cache.get(KEY), list(cache.entries()), cache.prune(()).removed) == (None, [], 0)
    assert not (tmp_path / "none").exists(), "nobody has written yet"
    assert cache.stats == PromptStats()


# -- what nobody needs -------------------------------------------------------------------------------------------------

NOW_S = 2_000_000_000.0


def written(cache: PromptCache, letter: str, of: str, age_s: float) -> str:
    """The key of a new file of that age."""
    key = letter * 64
    cache.put(key, AUDIO, {"of": of})
    os.utime(cache.path_of(key), (NOW_S - age_s, NOW_S - age_s))
    return key


def test_what_is_needed_stays_and_so_do_young_values_of_callers(cache: PromptCache) -> None:
    needed = written(cache, "1", "fixed", 900 * DAY_S)
    unneeded = written(cache, "2", "fixed", 1)
    old = written(cache, "3", SPOKEN, 31 * DAY_S)
    young = written(cache, "4", SPOKEN, 29 * DAY_S)
    old_and_needed = written(cache, "5", SPOKEN, 31 * DAY_S)
    freed_bytes = sum(cache.path_of(key).stat().st_size for key in (unneeded, old))
    told = [entry.key for entry in cache.unneeded({needed, old_and_needed, KEY}, now_s=NOW_S)]
    assert told == [unneeded, old], "nothing is done yet"
    pruned = cache.prune({needed, old_and_needed, KEY}, now_s=NOW_S)
    assert {entry.key for entry in cache.entries()} == {needed, young, old_and_needed, KEY}
    assert (pruned.removed, pruned.freed_bytes) == (2, freed_bytes)
    cache.prune({KEY}, older_than_days=1, now_s=NOW_S)
    assert [entry.key for entry in cache.entries()] == [KEY]


def test_litter_goes_and_what_is_not_ours_stays(cache: PromptCache) -> None:
    now_s = cache.path_of(KEY).stat().st_mtime
    litter = [f".{KEY}.abc.tmp", f"{KEY}.lock"]
    not_ours = ["song.wav", "notes.tmp", f"{KEY}.wav.bak", "README", ".hidden.lock", f"{'c' * 64}.wav"]
    for name in litter + not_ours:
        (cache.folder / name).write_bytes(wav_bytes(MULAW_8K, AUDIO))
    cache.path_of(OTHER).touch()
    cache.prune({KEY}, now_s=now_s)
    left = {path.name for path in cache.folder.iterdir()}
    assert left == {f"{KEY}.wav", f".{KEY}.abc.tmp", *not_ours}, "somebody may be writing that file right now"
    cache.prune({KEY}, now_s=now_s + STALE_TEMP_S + 60)
    assert {path.name for path in cache.folder.iterdir()} == {f"{KEY}.wav", *not_ours}


def test_what_another_version_wrote_is_unneeded_too(
    cache: PromptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.prompts.cache.FORMAT_VERSION", 0)
    cache.put(OTHER, AUDIO, ABOUT)
    monkeypatch.undo()
    assert [entry.key for entry in cache.entries()] == [KEY]
    assert [entry.key for entry in cache.unneeded({KEY})] == [OTHER]
    assert cache.prune({KEY}).removed == 1


def test_only_old_values_of_callers_expire(cache: PromptCache) -> None:
    fixed, young = written(cache, "1", "fixed", 900 * DAY_S), written(cache, "4", SPOKEN, 29 * DAY_S)
    written(cache, "3", SPOKEN, 31 * DAY_S)
    cache.expire(now_s=NOW_S)
    assert {entry.key for entry in cache.entries()} == {fixed, young, KEY}


async def test_a_lock_that_is_held_is_no_litter(cache: PromptCache) -> None:
    async with cache.lock(KEY) as held:
        cache.prune(())
        assert held == "ours"
        assert (cache.folder / f"{KEY}.lock").exists()


@pytest.mark.parametrize(
    "environment, folder",
    [
        ({"XDG_CACHE_HOME": "/var/tmp/x"}, "/var/tmp/x/bridge/prompts"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/somebody"}, "/somebody/.cache/bridge/prompts"),
        ({"XDG_CACHE_HOME": "", "HOME": "/somebody"}, "/somebody/.cache/bridge/prompts"),
    ],
)
def test_the_default_folder_is_where_caches_are(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_folder() == Path(folder)


def test_a_header_may_be_long(cache: PromptCache) -> None:
    about = {"of": "fixed", "text": "ü" * 8000}
    cache.put(KEY, AUDIO, about)
    assert cache.get(KEY) == AUDIO
    (entry,) = cache.entries()
    assert msgspec.json.encode(entry.about) == msgspec.json.encode(about)
