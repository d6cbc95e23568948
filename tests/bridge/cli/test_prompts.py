"""``bridge prompts``: what calls play, rendered, listed, checked, played and pruned."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import prompts_render
from bridge.cli.edition import nearest
from bridge.cli.prompts_render import TOLD_EVERY_S, lines
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.prompts.renderer import Progress
from telephony_codecs.wav import read_wav
from tests.support.cli import Done, Invoke
from tests.support.lightning_thread import lightning_in_thread
from tests.support.menus import write_menus

#: hello in two languages, three parts of the others, and the flow's own texts.
PIECES = 6


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_menus(tmp_path)


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedLightning]:
    """One that the environment points to."""
    with lightning_in_thread(EmulatorOptions(first_byte_ms=0, realtime_factor=0)) as emulator:
        monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", emulator.url)
        monkeypatch.setenv("SMALLEST_API_KEY", "k")
        yield emulator


def states(done: Done) -> dict[str, str]:
    """The state of each prompt, from a table."""
    rows = [line.split() for line in done.out.splitlines()[1:]]
    return {f"{row[0]} {row[1]}": row[-1] for row in rows}


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*.wav"))


# -- render ------------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_rendered_once(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    done = invoke("prompts", "render", "-c", config)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{PIECES} rendered, ")
    assert done.out.endswith(" s of audio; 0 were there already\n")
    assert len(kept(tmp_path)) == PIECES
    done = invoke("prompts", "render", "-c", config)
    assert (done.code, done.out) == (0, f"nothing to render: all {PIECES} parts of 5 prompts are there\n")


def test_some_prompts_alone_and_then_the_rest(
    invoke: Invoke, config: Path, lightning: EmulatedLightning
) -> None:
    assert invoke("prompts", "render", "hello", "desk.pin", "-c", config).out.startswith("3 rendered, ")
    done = invoke("prompts", "render", "--jobs", "1", "-c", config)
    assert done.out.startswith(f"{PIECES - 3} rendered, ")
    assert done.out.endswith("; 3 were there already\n")


def test_what_fails_is_told_by_its_prompt_and_the_rest_is_kept(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    house = tmp_path / "prompts" / "house.toml"
    house.write_text(house.read_text().replace('"maithili"', '"nobody"'))
    done = invoke("prompts", "render", "-c", config)
    assert done.code == 1
    assert f"{PIECES - 1} rendered" in done.out
    assert done.out.endswith("; 1 failed\n")
    (told,) = done.err.splitlines()
    assert told.startswith("hello: ")


def test_what_fails_for_the_same_reason_is_told_once(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    many = "".join(f'[prompts.p{n}]\ntext = "Number {n}."\nvoice = "nobody"\n' for n in range(9))
    (tmp_path / "prompts" / "many.toml").write_text(many)
    (told,) = invoke("prompts", "render", "-c", config).err.splitlines()
    assert told.partition(": ")[0] == "p0, p1, p2, p3, p4 and 4 more"


def test_what_is_wrong_with_a_recording_is_told_once(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts" / "more.toml").write_text('[prompts.gone]\nfile = "gone.wav"\n')
    done = invoke("prompts", "check", "-c", config)
    assert (done.code, done.out.count("gone.wav")) == (1, 1)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    invoke: Invoke,
    config: Path,
    lightning: EmulatedLightning,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stops(progress: Progress) -> None:
        if progress.rendered == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(prompts_render, "lines", lambda _now_s: stops)
    done = invoke("prompts", "render", "--jobs", "1", "-c", config)
    assert done.code == 130
    assert "the same command goes on from here" in done.err
    there = len(kept(tmp_path))
    assert 2 <= there < PIECES
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", lightning.url)
    monkeypatch.setenv("SMALLEST_API_KEY", "k")
    assert invoke("prompts", "render", "-c", config).out.startswith(f"{PIECES - there} rendered, ")


def test_without_a_key(invoke: Invoke, config: Path) -> None:
    done = invoke("prompts", "render", "-c", config)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"bridge: {config}: lightning.api_key: is missing: set SMALLEST_API_KEY\n"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("render", "helo"), "ID: there is no prompt 'helo'; did you mean hello?"),
        (("render", "--jobs", "5"), "--jobs: is more than lightning.concurrency, 4"),
        (("play", "helo"), "ID: there is no prompt 'helo'; did you mean hello?"),
        (("play", "balance", "--var", "amount", "-o", "x"), "--var: 'amount' is not NAME=VALUE"),
        (
            ("play", "balance", "--var", "amont=1", "-o", "x"),
            "--var: the prompt has no variable 'amont'; did",
        ),
        (("play", "balance", "--var", "amount=much", "-o", "x"), "--var: amount: money:USD wants a number"),
        (
            ("play", "hello", "--language", "fr", "-o", "x"),
            "--language: the prompt is not in 'fr': it is in de",
        ),
        (("play", "hello", "-o", "x.mp3"), "x.mp3: --out: --format wav makes a .wav file"),
        (("play", "hello", "-o", "bridge.toml/x.wav"), "bridge.toml/x.wav: cannot be written"),
    ],
)
def test_what_is_wrong_is_told_by_its_option(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, arguments: tuple[str, ...], told: str
) -> None:
    done = invoke("prompts", *arguments, "-c", config)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bridge: {told}"), done.err


def test_files_with_a_mistake_are_not_rendered(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    (tmp_path / "prompts" / "house.toml").write_text('[prompts.hello]\ntxet = "Hello."\n')
    for command in ("render", "prune"):
        done = invoke("prompts", command, "-c", config)
        assert (done.code, done.out) == (2, "")
        assert "house.toml:2: prompts.hello.txet" in done.err
    assert kept(tmp_path) == []


def test_a_disk_that_takes_nothing_is_told(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    done = invoke("prompts", "render", "-c", config)
    assert done.code == 1
    assert "prompts.cache" in done.err


def test_how_far_it_is_every_so_often(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    show = lines(lambda: now_s)
    for done in range(1, 5):
        now_s += TOLD_EVERY_S / 2
        show(Progress(4, rendered=done, seconds=done * 2.0))
    assert capsys.readouterr().err.splitlines() == ["2 of 4, 4 s of audio", "4 of 4, 8 s of audio"]


def test_a_bar_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    with prompts_render.shown(4) as show:
        show(Progress(4, cached=1, rendered=1, failed=1, seconds=9.0))
    assert "3/4" in terminal.getvalue()
    assert "9 s of audio, 1 failed" in terminal.getvalue()


# -- list and check ----------------------------------------------------------------------------------------------------


def test_what_there_is(invoke: Invoke, config: Path, lightning: EmulatedLightning) -> None:
    before = invoke("prompts", "list", "-c", config)
    assert (before.code, before.err) == (0, "")
    assert states(before) == {
        "balance en": "missing",
        "desk.menu en": "missing",
        "desk.pin en": "missing",
        "hello en": "missing",
        "hello de": "missing",
        "jingle en": "recorded",
    }
    invoke("prompts", "render", "balance", "hello", "-c", config)
    after = states(invoke("prompts", "list", "-c", config))
    assert (after["balance en"], after["hello de"], after["desk.pin en"]) == ("parts", "ready", "missing")


def test_what_there_is_as_json(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    done = invoke("prompts", "list", "--json", "-c", config)
    found: list[dict[str, Any]] = json.loads(done.out)
    (jingle,) = [state for state in found if state["id"] == "jingle"]
    assert (jingle["seconds"], jingle["state"], jingle["voice"]) == (0.5, "recorded", "")
    (german,) = [state for state in found if state["language"] == "de"]
    assert (german["id"], german["voice"], german["seconds"]) == ("hello", "maithili", None)
    assert german["file"] == str(tmp_path / "prompts" / "house.toml")


def test_prompts_in_order(invoke: Invoke, config: Path, lightning: EmulatedLightning) -> None:
    done = invoke("prompts", "check", "-c", config)
    assert (done.code, done.out) == (0, "")
    assert "4 prompts not rendered yet: balance, desk.menu, desk.pin, hello" in done.err
    assert "5 prompts in order" in done.err
    done = invoke("prompts", "check", "--rendered", "-c", config)
    assert done.code == 1
    invoke("prompts", "render", "-c", config)
    done = invoke("prompts", "check", "--rendered", "-c", config)
    assert (done.code, done.err) == (0, "5 prompts in order\n")


def test_a_mistake_has_its_line(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    house = tmp_path / "prompts" / "house.toml"
    house.write_text(house.read_text().replace("money:USD", "dollars"))
    done = invoke("prompts", "check", "-c", config)
    assert done.code == 1
    assert f"{house}:7: prompts.balance.variables.amount: " in done.out


def test_mistakes_of_flows_are_not_those_of_prompts(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    desk = tmp_path / "flows" / "desk.toml"
    desk.write_text(desk.read_text().replace('next = "ask"', 'next = "aks"'))
    assert invoke("prompts", "check", "-c", config).code == 0


# -- play --------------------------------------------------------------------------------------------------------------


def test_a_prompt_into_a_file(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    done = invoke("prompts", "play", "balance", "--var", "amount=12.5", "-o", "a.wav", "-c", config)
    assert (done.code, done.out, done.err) == (0, "", "")
    wav = read_wav((tmp_path / "a.wav").read_bytes())
    assert (str(wav.format), wav.channels) == ("mulaw 8000 Hz", 1)
    assert len(wav.audio) > 8000
    assert kept(tmp_path), "what was spoken is kept"


def test_a_variable_that_is_left_out_is_told(
    invoke: Invoke, config: Path, lightning: EmulatedLightning
) -> None:
    done = invoke("prompts", "play", "balance", "-o", "a.wav", "-c", config)
    assert (done.code, done.err) == (0, "amount is left out: give it with --var amount=...\n")


def test_a_recording_needs_no_key(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    assert invoke("prompts", "play", "jingle", "-o", "a.wav", "-c", config).code == 0
    assert len(read_wav((tmp_path / "a.wav").read_bytes()).audio) == 4000


def test_to_standard_output(
    config: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bridge.cli.main import main

    assert main(["prompts", "play", "jingle", "-o", "-", "-c", str(config)]) == 0
    assert len(read_wav(capfdbinary.readouterr().out).audio) == 4000


def test_not_onto_a_terminal(invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = invoke("prompts", "play", "jingle", "-o", "-", "-c", config)
    assert done.code == 2
    assert "standard output: --out: is a terminal" in done.err


def install(folder: Path, name: str, script: str) -> None:
    """A program that is found first."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.mark.usefixtures("nothing_installed")
def test_by_the_first_player_there_is(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    install(tmp_path, "paplay", "exit 1")
    install(tmp_path, "aplay", f'echo "$1" > {tmp_path}/played; while read -r x; do :; done < "$2"')
    assert invoke("prompts", "play", "jingle", "-c", config).code == 0
    assert (tmp_path / "played").read_text() == "-q\n"


@pytest.mark.usefixtures("nothing_installed")
def test_a_player_that_says_no(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    install(tmp_path, "afplay", "exit 3")
    done = invoke("prompts", "play", "jingle", "-c", config)
    assert (done.code, done.err) == (
        1,
        "bridge: afplay could not play it (exit code 3): write it with -o\n",
    )


@pytest.mark.usefixtures("nothing_installed")
def test_no_player(invoke: Invoke, config: Path) -> None:
    done = invoke("prompts", "play", "jingle", "-c", config)
    assert done.code == 2
    assert "--out: is needed: none of ffplay, aplay, afplay, paplay is installed" in done.err


# -- prune -------------------------------------------------------------------------------------------------------------


def test_what_no_prompt_needs_is_removed(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    invoke("prompts", "render", "-c", config)
    house = tmp_path / "prompts" / "house.toml"
    house.write_text(house.read_text().replace("Guten Tag.", "Moin."))
    done = invoke("prompts", "prune", "--dry-run", "-c", config)
    assert done.code == 0
    assert "Guten Tag." in done.out
    assert done.err.startswith(f"1 file would be removed from {tmp_path}/cache: ")
    assert len(kept(tmp_path)) == PIECES
    done = invoke("prompts", "prune", "-c", config)
    assert done.err.startswith(f"1 file removed from {tmp_path}/cache: ")
    assert len(kept(tmp_path)) == PIECES - 1
    assert invoke("prompts", "prune", "-c", config).err.startswith("0 files removed")


def test_what_callers_said_is_kept_by_its_age(
    invoke: Invoke, config: Path, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    invoke("prompts", "play", "balance", "--var", "amount=12.5", "-o", "a.wav", "-c", config)
    invoke("prompts", "render", "-c", config)
    everything = PIECES + 2  # with the amount, and the recording as it is played
    assert len(kept(tmp_path)) == everything
    invoke("prompts", "prune", "-c", config)
    assert len(kept(tmp_path)) == everything
    for path in kept(tmp_path):
        os.utime(path, (0, 0))
    done = invoke("prompts", "prune", "-c", config)
    assert "spoken" in done.out
    assert "12.50" not in done.out, "the words of callers are not kept"
    assert len(kept(tmp_path)) == everything - 1


@pytest.mark.parametrize(
    "name, known, told",
    [
        ("Welcom", ["welcome", "bye"], "did you mean welcome?"),
        ("x", ["b", "a"], "there is a, b"),
        ("x", [], "there are none"),
        ("zzz", [f"p{i:02}" for i in range(12)], f"there is {', '.join(f'p{i:02}' for i in range(10))}, ..."),
    ],
)
def test_what_may_be_meant(name: str, known: list[str], told: str) -> None:
    assert nearest(name, known) == told
