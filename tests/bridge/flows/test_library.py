"""Editions: read and checked together, exchanged for new calls only, and let go of by the last call."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.config import Config, FlowsConfig, PromptsConfig
from bridge.flows.library import Library, is_fatal, read_edition
from bridge.flows.model import Flow
from bridge.observe.stats import BridgeStats
from bridge.problems import FilesRefused, Problem
from bridge.prompts.book import Book
from bridge.prompts.cache import DAY_S, SPOKEN, PromptCache
from bridge.prompts.shelf import Shelf
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import wav_bytes

PROMPTS = '[prompts.hello]\ntext = "Hello."\n'
FLOW = 'start = "hello"\n[steps.hello]\ndo = "say"\nprompt = "hello"\nnext = "bye"\n[steps.bye]\ndo = "hang_up"\n'


class ToldWhenClosed(Shelf):
    """A shelf that says when it is let go of."""

    closed = False

    async def close(self) -> None:
        self.closed = True
        await super().close()


class Shelving(Library):
    """A library of such shelves."""

    def _shelve(self, book: Book) -> Shelf:
        return ToldWhenClosed(book)


class Files:
    """A folder with prompts and a flow, and a library that reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stats = folder, BridgeStats()
        for name in ("prompts", "flows"):
            (folder / name).mkdir()
        self.prompts, self.flow = folder / "prompts" / "p.toml", folder / "flows" / "main.toml"
        self.prompts.write_text(PROMPTS)
        self.flow.write_text(FLOW)
        self.config = Config(
            prompts=PromptsConfig(folder=str(folder / "prompts"), cache=str(folder / "cache")),
            flows=FlowsConfig(folder=str(folder / "flows")),
        )

    def library(self) -> Library:
        return Library(self.config, "bridge.toml", stats=self.stats)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_an_edition_is_all_files_together(files: Files) -> None:
    edition, problems = read_edition(files.config)
    assert problems == []
    assert (list(edition.flows), list(edition.shelf.book.specs)) == (["main"], ["hello"])


@pytest.mark.parametrize("section", ["prompts", "flows"])
def test_a_folder_that_is_named_must_be_there(files: Files, section: str) -> None:
    gone = files.folder / section
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    _, problems = read_edition(files.config, "bridge.toml")
    assert Problem("bridge.toml", 0, f"{section}.folder", f"there is no folder {gone}") in problems


def test_nothing_named_is_nothing_wrong() -> None:
    edition, problems = read_edition(Config())
    assert (edition.flows, edition.shelf.book.specs, problems) == ({}, {}, [])


def test_what_is_wrong_is_told_of_all_files_in_one_go(files: Files) -> None:
    files.prompts.write_text(PROMPTS + '[prompts.bad]\ntext = "Hello {name"\n')
    files.flow.write_text(FLOW.replace('"bye"', '"by"'))

    def wanted(flows: object) -> list[Problem]:
        return [Problem("bridge.toml", 0, "agent.options.flow", "is another")]

    _, problems = read_edition(files.config, wanted=wanted)
    assert {Path(problem.source).name for problem in problems} == {"p.toml", "main.toml", "bridge.toml"}
    assert is_fatal(problems)


# -- at start ----------------------------------------------------------------------------------------------------------


async def test_bad_files_are_refused_whole(files: Files) -> None:
    files.flow.write_text(FLOW.replace('"bye"', '"by"'))
    library = files.library()
    with pytest.raises(FilesRefused) as refused:
        library.load()
    assert str(refused.value).startswith(f"{files.flow}:5: steps.hello.next: ")
    assert library.edition.flows == {} and library.edition.shelf.book.specs == {}
    await library.close()


async def test_a_recording_that_cannot_be_read_is_as_bad(files: Files) -> None:
    (files.folder / "prompts" / "hold.wav").write_bytes(b"RIFF" + bytes(40))
    files.prompts.write_text(PROMPTS + '[prompts.hold]\nfile = "hold.wav"\n')
    library = files.library()
    with pytest.raises(FilesRefused, match=r"p\.toml:\d: prompts\.hold\.file: .*hold\.wav"):
        library.load()
    await library.close()


async def test_what_is_recorded_is_ready_and_what_is_not_rendered_is_told(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (files.folder / "prompts" / "hold.wav").write_bytes(wav_bytes(MULAW_8K, b"\x31" * 800))
    files.prompts.write_text(PROMPTS + '[prompts.hold]\nfile = "hold.wav"\n')
    library = files.library()
    library.load()
    ready = library.edition.shelf.rendition("hold").ready
    assert ready is not None and ready.audio == b"\x31" * 800
    assert [line for line in caplog.messages if "rendered" in line] == [
        "1 pieces of prompts are not rendered yet: bridge prompts render"
    ]
    await library.close()


# -- later -------------------------------------------------------------------------------------------------------------


async def test_a_good_edition_is_for_new_calls_and_the_last_old_one_lets_the_old_go(files: Files) -> None:
    library = Shelving(files.config, stats=files.stats)
    library.load()
    first, second = library.lend(), library.lend()
    files.prompts.write_text(PROMPTS.replace("Hello.", "Good day."))

    assert await library.reload() == []
    third = library.lend()
    assert first is second and (first.number, third.number) == (1, 2)
    assert [e.shelf.book.specs["hello"].text for e in (first, third)] == ["Hello.", "Good day."]
    assert files.stats.reloads == {"taken": 1}

    library.give_back(first)
    assert not shelf_closed(first.shelf)
    library.give_back(second)
    await library.close()
    assert shelf_closed(first.shelf)


async def test_an_edition_that_no_call_has_goes_at_once(files: Files) -> None:
    library = Shelving(files.config, stats=files.stats)
    library.load()
    old = library.edition
    await library.reload()
    assert shelf_closed(old.shelf) and not shelf_closed(library.edition.shelf)
    library.give_back(library.lend())
    assert not shelf_closed(library.edition.shelf), "it is in force"
    await library.close()


def shelf_closed(shelf: Shelf) -> bool:
    assert isinstance(shelf, ToldWhenClosed)
    return shelf.closed


async def test_a_bad_edition_is_told_and_counted_and_the_old_one_stays(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    library = files.library()
    library.load()
    before = library.edition
    files.flow.write_text(FLOW.replace('"bye"', '"by"'))
    problems = await library.reload()
    assert is_fatal(problems) and library.edition is before
    assert files.stats.reloads == {"refused": 1}
    assert f"{files.flow}:5: steps.hello.next: " in caplog.text
    files.flow.write_text(FLOW)
    assert not is_fatal(await library.reload())
    assert library.edition.number == 2
    await library.close()


async def test_what_the_configuration_wants_must_still_be_there(files: Files) -> None:
    def wanted(flows: Mapping[str, Flow]) -> list[Problem]:
        return [] if "main" in flows else [Problem("bridge.toml", 0, "agent.options.flow", "is gone")]

    library = Library(files.config, stats=files.stats, wanted=wanted)
    library.load()
    files.flow.rename(files.flow.with_name("other.toml"))
    assert "agent.options.flow" in [problem.key for problem in await library.reload()]
    assert list(library.edition.flows) == ["main"]
    await library.close()


def test_what_was_spoken_for_callers_long_ago_is_gone_from_disk(files: Files) -> None:
    cache = PromptCache(files.folder / "cache")
    for letter, age_days in (("a", 31), ("b", 29)):
        cache.put(letter * 64, b"\x80" * 80, {"of": SPOKEN})
        written_s = time.time() - age_days * DAY_S
        os.utime(cache.path_of(letter * 64), (written_s, written_s))
    files.library().load()
    assert [entry.key for entry in cache.entries()] == ["b" * 64]
