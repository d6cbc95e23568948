"""What calls play: out of memory where it is ready, to be spoken where it is not, and ready the next time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.config import LightningConfig
from bridge.errors import InvalidRequest, LightningError, PromptError, Unavailable
from bridge.lightning.voice import Voice
from bridge.observe.stats import PromptStats
from bridge.prompts.book import Book, PromptSpec, Variant
from bridge.prompts.cache import SPOKEN, PromptCache
from bridge.prompts.key import key_of
from bridge.prompts.prompt import Prompt, apology, one_moment
from bridge.prompts.rendition import Rendition, ToSpeak
from bridge.prompts.shelf import Shelf
from bridge.prompts.sounds import SOUNDS, sound
from telephony_codecs.formats import PCM16_8K, AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes
from tests.support.prompt_door import LOUD, ScriptedDoor
from tests.support.voice import one_voice
from tests.support.waiting import until

CONFIG = LightningConfig()
WELCOME = PromptSpec(text="Welcome.", in_={"de": Variant(text="Willkommen.", language="de", voice="lena")})
BALANCE = PromptSpec(text="Your balance is {amount}.", variables={"amount": "number"})
PIN = PromptSpec(text="Your PIN is {pin}.", private=["pin"])
BOOK = Book({"welcome": WELCOME, "balance": BALANCE, "pin": PIN}, {"welcome": ("p.toml", 3)})


@pytest.fixture
def cache(tmp_path: Path) -> PromptCache:
    return PromptCache(tmp_path / "cache")


def key(text: str, **options: str) -> str:
    return key_of(CONFIG, text, options)  # type: ignore[arg-type]


def warmed(book: Book, cache: PromptCache | None, **options: int) -> Shelf:
    shelf = Shelf(book, cache, config=CONFIG, **options)  # type: ignore[arg-type]
    assert shelf.warm() == []
    return shelf


def missing(rendition: Rendition) -> list[ToSpeak]:
    return [part for part in rendition.parts if isinstance(part, ToSpeak)]


def texts(rendition: Rendition) -> list[str]:
    return [part.text for part in missing(rendition)]


# -- what is ready -----------------------------------------------------------------------------------------------------


def test_what_is_rendered_is_ready(cache: PromptCache) -> None:
    cache.put(key("Welcome."), LOUD, {})
    cache.put(key("Willkommen.", language="de", voice_id="lena"), LOUD[:800], {})
    shelf = warmed(BOOK, cache)
    cache.prune(())
    assert shelf.rendition("welcome").ready == Prompt(LOUD, "Welcome.")
    for language in ("de", "de-AT"):
        assert shelf.rendition("welcome", language=language).ready == Prompt(LOUD[:800], "Willkommen.")
    assert shelf.rendition("welcome", language="fr").ready == Prompt(LOUD, "Welcome.")
    assert (shelf.stats.hits, shelf.stats.misses) == (4, 0)


def test_what_is_not_is_to_be_spoken_in_its_own_voice(cache: PromptCache) -> None:
    shelf = warmed(BOOK, cache)
    assert shelf.rendition("welcome").parts == (ToSpeak("Welcome.", {}),)
    assert shelf.rendition("welcome", language="de").parts == (
        ToSpeak("Willkommen.", {"voice_id": "lena", "language": "de"}),
    )
    assert (shelf.stats.hits, shelf.stats.misses) == (0, 2)


def test_data_are_said_between_what_is_ready(cache: PromptCache) -> None:
    cache.put(key("Your balance is"), LOUD, {})
    rendition = warmed(BOOK, cache).rendition("balance", {"amount": 1234.5})
    assert rendition.parts[0] == Prompt(LOUD, "Your balance is")
    assert texts(rendition) == ["1,234.5."]
    assert rendition.text == "Your balance is 1,234.5."


def test_data_that_are_wrong_are_said_as_they_are_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    rendition = Shelf(BOOK).rendition("balance", {"amount": "Zebra"})
    assert texts(rendition)[-1] == "Zebra."
    assert "balance" in caplog.text
    assert "Zebra" not in caplog.text


def test_a_prompt_without_anything_to_say_is_a_moment_of_silence() -> None:
    rendition = Shelf(Book({"name": PromptSpec(text="{name}")})).rendition("name")
    assert rendition.ready is not None
    assert 0 < rendition.ready.ms <= 20


def test_a_prompt_that_is_not_there_is_refused() -> None:
    with pytest.raises(PromptError, match='"welcom"'):
        Shelf(BOOK).rendition("welcom")


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_sounds_are_always_there(name: str) -> None:
    assert Shelf().rendition(name) == Rendition((sound(name),))


def test_so_is_what_is_said_when_the_voice_has_failed(cache: PromptCache) -> None:
    for prompt, bundled in (("apology", apology()), ("one_moment", one_moment())):
        assert Shelf().rendition(prompt).ready == bundled
    own = Book({"apology": PromptSpec(text="Sorry about that.")})
    assert warmed(own, cache).rendition("apology").ready == apology(), (
        "while the own one would need the voice"
    )
    cache.put(key("Sorry about that."), LOUD, {})
    assert warmed(own, cache).rendition("apology").ready == Prompt(LOUD, "Sorry about that.")


def test_all_that_is_fixed_is_missing_until_it_is_rendered(cache: PromptCache) -> None:
    wanted = ["Welcome.", "Willkommen.", "Your balance is", "Your PIN is"]
    assert [piece.text for piece in warmed(BOOK, cache).missing()] == wanted
    cache.put(key("Your balance is"), LOUD, {})
    assert [piece.text for piece in warmed(BOOK, cache).missing()] == [*wanted[:2], "Your PIN is"]
    assert len(warmed(BOOK, cache).needed()) == 4


def test_what_is_rendered_and_has_no_room_is_not_missing(
    cache: PromptCache, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book({name: PromptSpec(text=f"{name}.") for name in "abc"})
    for name in "abc":
        cache.put(key(f"{name}."), bytes(400_000), {})
    shelf = warmed(book, cache, memory_mb=1)
    assert [shelf.rendition(name).ready is not None for name in "abc"] == [True, True, False]
    assert shelf.missing() == []
    assert "memory_mb" in caplog.text


def test_what_callers_data_filled_in_is_there_after_a_restart_the_newest_first(cache: PromptCache) -> None:
    for age_s, value in enumerate("6789"):
        cache.put(key(f"{value}."), bytes(300_000), {"of": SPOKEN})
        os.utime(cache.path_of(key(f"{value}.")), (10_000 - age_s, 10_000 - age_s))
    shelf = warmed(BOOK, cache, memory_mb=1)
    ready = [not texts(shelf.rendition("balance", {"amount": n}))[1:] for n in (6, 7, 8, 9)]
    assert ready == [True, True, True, False]
    assert shelf.rendition("balance", {"amount": 6}).text == "Your balance is 6.", (
        "though the file has no words"
    )


# -- recordings --------------------------------------------------------------------------------------------------------


def recorded(path: Path, format: AudioFormat = PCM16_8K) -> PromptSpec:
    path.write_bytes(wav_bytes(format, b"\x10\x20" * format.rate_hz))
    return PromptSpec(file=str(path))


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_recordings_of_any_rate_are_converted_once(cache: PromptCache, tmp_path: Path, rate_hz: int) -> None:
    book = Book({"monday": recorded(tmp_path / "monday.wav", AudioFormat(Encoding.PCM16, rate_hz))})
    ready = warmed(book, cache).rendition("monday").ready
    assert ready is not None
    assert ready.ms == pytest.approx(1000, abs=10)
    (entry,) = cache.entries()
    assert warmed(book, cache).needed() == {entry.key}
    cache.put(entry.key, LOUD, entry.about)
    assert warmed(book, cache).rendition("monday").ready == Prompt(LOUD), "out of the cache"
    assert warmed(book, None).rendition("monday").ready == ready, "and without one"


def test_a_recording_that_changes_is_converted_again(cache: PromptCache, tmp_path: Path) -> None:
    book = Book({"monday": recorded(tmp_path / "monday.wav")})
    before = warmed(book, cache).rendition("monday")
    (tmp_path / "monday.wav").write_bytes(wav_bytes(PCM16_8K, bytes(320)))
    assert warmed(book, cache).rendition("monday") != before


def test_a_recording_that_cannot_be_read_is_told_with_its_place(cache: PromptCache, tmp_path: Path) -> None:
    gone, broken = str(tmp_path / "gone.wav"), str(tmp_path / "broken.wav")
    Path(broken).write_bytes(b"no WAV")
    spec = PromptSpec(file=gone, in_={"de": Variant(file=broken, language="de")})
    shelf = Shelf(Book({"monday": spec}, {"monday": ("p.toml", 7)}), cache)
    first, second = shelf.warm()
    assert (first.source, first.line, first.key) == ("p.toml", 7, "prompts.monday.file")
    assert gone in first.reason
    assert second.key == "prompts.monday.in.de.file"
    assert broken in second.reason
    assert len(shelf.needed()) == 1, "of what can be read at all"
    with pytest.raises(PromptError, match="monday"):
        shelf.rendition("monday")


# -- what calls had spoken ---------------------------------------------------------------------------------------------


async def test_what_a_call_had_spoken_is_ready_for_the_next_and_after_a_restart(cache: PromptCache) -> None:
    shelf = warmed(BOOK, cache)
    for part in missing(shelf.rendition("balance", {"amount": 5})):
        part.on_spoken(b"\xff" * 8000 + LOUD)
    ready = shelf.rendition("balance", {"amount": 5}).ready
    assert ready is not None
    assert ready.text == "Your balance is 5."
    assert len(ready.audio) < 2 * (8000 + len(LOUD)), "and the silence at the seam is cut"
    await shelf.close()
    assert shelf.stats.kept == 2
    assert sorted(entry.about["of"] for entry in cache.entries()) == ["fixed", SPOKEN]
    assert warmed(BOOK, cache).rendition("balance", {"amount": 5}).ready == ready


async def test_what_two_calls_had_spoken_is_kept_once(cache: PromptCache) -> None:
    shelf = warmed(BOOK, cache)
    (first,), (second,) = (missing(shelf.rendition("welcome")) for _ in range(2))
    first.on_spoken(LOUD)
    second.on_spoken(LOUD[:80])
    second.on_spoken(None)
    assert shelf.rendition("welcome").ready == Prompt(LOUD, "Welcome.")
    assert shelf.stats.kept == 1
    await shelf.close()


@pytest.mark.parametrize("private", [(), ("amount",)])
async def test_what_is_private_leaves_no_trace(private: tuple[str, ...], cache: PromptCache) -> None:
    prompt, variable = ("balance", "amount") if private else ("pin", "pin")
    shelf = warmed(BOOK, cache)
    *_, secret = missing(shelf.rendition(prompt, {variable: "4711"}, private=private))
    secret.on_spoken(LOUD)
    secret.on_spoken(None)
    await shelf.close()
    assert secret.private
    assert texts(shelf.rendition(prompt, {variable: "4711"}, private=private))[-1] == secret.text
    assert not [path for path in cache.folder.glob("*") if b"4711" in path.read_bytes()]
    assert shelf.stats.kept == 0


async def test_a_full_disk_is_no_callers_business(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    stats = PromptStats()
    shelf = Shelf(BOOK, PromptCache(tmp_path / "file" / "cache", stats), config=CONFIG, stats=stats)
    shelf.warm()
    for prompt in ("welcome", "pin"):
        missing(shelf.rendition(prompt))[0].on_spoken(LOUD)
    await shelf.close()
    assert shelf.rendition("welcome").ready is not None, "memory has it"
    assert stats.write_failures == 2
    assert len([record for record in caplog.records if "cannot be" in record.getMessage()]) == 1


# -- behind calls ------------------------------------------------------------------------------------------------------


@dataclass
class Behind:
    """A shelf whose calls' voice a test holds in its hand."""

    shelf: Shelf
    voice: Voice
    cache: PromptCache


@pytest.fixture
async def behind(
    cache: PromptCache, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Behind, ScriptedDoor]]:
    """What is rendered behind calls goes through the scripted door, with the units of the calls' voice."""
    calls = ScriptedDoor(CONFIG)
    door = ScriptedDoor(CONFIG, units=calls.units)
    monkeypatch.setattr("bridge.prompts.narrator.open_door", lambda *_: door)
    voice = one_voice(calls, CONFIG)
    shelf = Shelf(BOOK, cache, config=CONFIG, voice=voice)
    yield Behind(shelf, voice, cache), door
    await shelf.close()


def interrupt(shelf: Shelf, prompt: str = "welcome") -> None:
    for part in missing(shelf.rendition(prompt)):
        part.on_spoken(None)


async def test_what_was_interrupted_is_rendered_once_for_the_next_call(
    behind: tuple[Behind, ScriptedDoor],
) -> None:
    stage, door = behind
    door.open.clear()
    for _ in range(3):
        interrupt(stage.shelf)
    await until(lambda: door.texts == ["Welcome."])
    interrupt(stage.shelf)
    door.open.set()
    await until(lambda: stage.shelf.rendition("welcome").ready is not None)
    assert stage.cache.get(key("Welcome.")) == LOUD
    interrupt(stage.shelf)
    interrupt(stage.shelf, "pin")
    await until(lambda: len(door.texts) == 2)
    assert door.texts == ["Welcome.", "Your PIN is"]
    assert door.units.in_use <= 1


async def test_calls_have_the_units_first(behind: tuple[Behind, ScriptedDoor]) -> None:
    stage, door = behind
    (units,) = stage.voice.accounts
    unit = await units.acquire(0)
    interrupt(stage.shelf)
    waiting = asyncio.create_task(units.acquire(10))
    await until(lambda: units.waiting == 1)
    unit.release()
    unit = await waiting
    assert door.texts == []
    unit.release()
    await until(lambda: stage.shelf.rendition("welcome").ready is not None)


@pytest.mark.parametrize("error, asked", [(InvalidRequest("text: no"), 1), (Unavailable("gone"), 4)])
async def test_what_fails_behind_calls_is_asked_for_again_if_that_may_help(
    behind: tuple[Behind, ScriptedDoor],
    error: LightningError,
    asked: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.prompts.narrator.TRIES", 3 if asked == 1 else 1)
    stage, door = behind
    door.script.extend([error] * 3)
    for _ in range(5):
        interrupt(stage.shelf)
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert len(door.texts) == asked


async def test_closing_ends_what_goes_on(behind: tuple[Behind, ScriptedDoor]) -> None:
    stage, door = behind
    door.open.clear()
    interrupt(stage.shelf)
    await until(lambda: len(door.texts) == 1)
    await stage.shelf.close()
    assert door.units.in_use == 0
    interrupt(stage.shelf, "pin")
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await stage.shelf.close()


async def test_without_a_voice_nothing_is_rendered_behind_anybody(cache: PromptCache) -> None:
    interrupt(warmed(BOOK, cache))
    assert asyncio.all_tasks() == {asyncio.current_task()}
