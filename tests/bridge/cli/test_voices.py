"""``bridge voices``: against the emulated Lightning, over a real socket."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.account import show_table
from bridge.config import Secret
from bridge.emulators.lightning import EmulatedLightning
from tests.support.cli import Invoke, bridge
from tests.support.lightning_thread import lightning_in_thread

KEY = "sk-a-key-that-stays-secret"
WAV = b"RIFF\0\0\0\0WAVEfmt "
NO_DELETION = (
    "Clones cannot be deleted from here: Lightning has taken that out of its API. Its console can.\n"
)


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedLightning]:
    """One that the environment points to."""
    with lightning_in_thread() as emulator:
        monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", emulator.url)
        monkeypatch.setenv("SMALLEST_API_KEY", KEY)
        yield emulator


def listed(out: str) -> list[str]:
    """The first column, without its heading."""
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_a_table_to_read(invoke: Invoke, lightning: EmulatedLightning) -> None:
    done = invoke("voices", "list")
    assert (done.code, done.err) == (0, "")
    heading, *lines = done.out.splitlines()
    assert heading.split() == ["VOICE", "NAME", "LANGUAGES", "ACCENT", "GENDER", "AGE", "GOOD", "FOR"]
    magnus = next(line for line in lines if line.startswith("magnus "))
    for column, value in (("NAME", "Magnus"), ("LANGUAGES", "english"), ("GENDER", "male")):
        assert magnus[heading.index(column) :].startswith(value), "columns are aligned"


def test_json_to_pipe(invoke: Invoke, lightning: EmulatedLightning) -> None:
    done = invoke("voices", "list", "--json")
    assert (done.code, done.err) == (0, "")
    magnus = next(voice for voice in json.loads(done.out) if voice["id"] == "magnus")
    assert (magnus["name"], magnus["languages"], magnus["gender"]) == ("Magnus", ["english"], "male")


@pytest.mark.parametrize(
    "arguments, some, none",
    [
        ((), "magnus", "meher"),
        (("--model", "lightning_v3.1_pro"), "meher", "magnus"),
        (("--model", "lightning-v3.1-pro"), "meher", "magnus"),
        (("--language", "hi"), "maithili", "magnus"),
        (("--language", "Hindi"), "maithili", "magnus"),
        (("--gender", "Female"), "sophia", "magnus"),
        (("--language", "hi", "--gender", "male"), "devansh", "maithili"),
    ],
)
def test_a_selection(
    invoke: Invoke, lightning: EmulatedLightning, arguments: tuple[str, ...], some: str, none: str
) -> None:
    done = invoke("voices", "list", *arguments)
    assert done.code == 0
    assert some in listed(done.out)
    assert none not in listed(done.out)


def test_the_model_of_the_configuration(invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path) -> None:
    pro = '[lightning]\nmodel = "lightning_v3.1_pro"\nvoice_id = "meher"\n'
    (tmp_path / "my.toml").write_text(pro)
    assert "meher" in listed(invoke("voices", "list", "-c", "my.toml").out)
    assert listed(invoke("voices", "search", "meher", "-c", "my.toml").out) == ["meher"]


def test_all_words_of_a_search_must_match(invoke: Invoke, lightning: EmulatedLightning) -> None:
    assert listed(invoke("voices", "search", "HINDI", "female").out) == ["maithili"]
    assert listed(invoke("voices", "search", "magn").out) == ["magnus"]
    done = invoke("voices", "search", "magnus", "female")
    assert (done.code, done.out, done.err) == (0, "", "No such voice.\n")
    found: list[dict[str, Any]] = json.loads(invoke("voices", "search", "magnus", "--json").out)
    assert [voice["id"] for voice in found] == ["magnus"]
    assert json.loads(invoke("voices", "search", "magnus", "female", "--json").out) == []


def test_a_clone_is_made_and_listed(invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path) -> None:
    assert invoke("voices", "clones").err == "No cloned voices.\n"
    (tmp_path / "me.dat").write_bytes(WAV)
    options = (
        "--language",
        "en",
        "--accent",
        "general",
        "--description",
        "mine",
        "--tags",
        "a",
        "--tags",
        "b",
    )
    done = invoke("voices", "clone", "My Voice", "me.dat", "--model", "lightning_v3.1", *options)
    assert (done.code, done.err) == (0, "")
    voice_id = done.out.strip()
    for command in (("clones",), ("list", "--cloned")):
        done = invoke("voices", *command)
        assert (done.code, done.err) == (0, NO_DELETION)
        assert listed(done.out) == [voice_id]
        (clone,) = json.loads(invoke("voices", *command, "--json").out)
        assert (clone["id"], clone["name"], clone["tags"]) == (voice_id, "My Voice", ["a", "b"])


def test_a_clone_as_json(invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path) -> None:
    (tmp_path / "me.wav").write_bytes(WAV)
    done = invoke("voices", "clone", "Me", "me.wav", "--json")
    assert json.loads(done.out)["name"] == "Me"


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (("clone", "Me", "none.wav"), 2, "none.wav: cannot be read: No such file or directory"),
        (("clone", "Me", "."), 2, ".: cannot be read: Is a directory"),
        (("clone", "Me", "me.txt"), 1, "file: me.txt is neither WAV, MP3, WebM nor MP4 (code local_check)"),
        (("clone", " ", "me.txt"), 1, "name: is blank (code local_check)"),
        (("clone", "Me", "big.wav"), 1, "file: big.wav has 5.0 MB; at most 5 MB are taken. Some 10 s"),
        (("clone", "Me", "me.wav", "--language", "tlh"), 1, "Unsupported language (code 400)"),
        (("list", "--cloned", "--language", "hi"), 2, "--cloned: goes without --model"),
        (("list", "--model", "lightning_v9"), 1, "Invalid model"),
        (("list", "-c", "none.toml"), 2, "none.toml: cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_told(
    invoke: Invoke,
    lightning: EmulatedLightning,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    (tmp_path / "me.txt").write_text("me")
    (tmp_path / "me.wav").write_bytes(WAV)
    (tmp_path / "big.wav").write_bytes(WAV + bytes(5 << 20))
    done = invoke("voices", *arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"bridge: {told}")


def test_a_missing_key_is_wrong_use(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "me.wav").write_bytes(WAV)
    for arguments in (("list",), ("search", "a"), ("clones",), ("clone", "Me", "me.wav")):
        done = invoke("voices", *arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err == "bridge: lightning.api_key: is missing: set SMALLEST_API_KEY\n"


def test_a_wrong_key_is_told_and_not_shown(invoke: Invoke, lightning: EmulatedLightning) -> None:
    lightning.options.api_key = Secret("another")
    done = invoke("voices", "list")
    assert (done.code, done.err) == (1, "bridge: Invalid or missing API key (code UNAUTHORIZED)\n")


def test_as_a_process_of_its_own(lightning: EmulatedLightning, tmp_path: Path) -> None:
    arguments = ("voices", "list", "--json")
    done = bridge(*arguments, cwd=tmp_path, SMALLEST_API_KEY=KEY, BRIDGE_LIGHTNING__BASE_URL=lightning.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "magnus" in {voice["id"] for voice in json.loads(done.stdout)}


def test_a_terminal_is_shown_a_table_and_cannot_be_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout", terminal)
    show_table(("VOICE", "NAME"), [("a", "[red]x[/red]"), ("b", "\x1b[31my\n")])
    assert "[red]x[/red]" in terminal.getvalue(), "no markup"
    assert "?[31my?" in terminal.getvalue(), "no escapes"
