"""``bridge flows try``: a menu without a phone, from a script, a pipe and a terminal; what is wrong with an option."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import read_wav
from tests.support.cli import Done, Invoke
from tests.support.lightning_thread import lightning_in_thread
from tests.support.menus import write_menus, write_recording

MENU = "For your balance, press one. For a person, press two."


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_menus(tmp_path)


def said(done: Done) -> list[str]:
    """What the caller heard, in order."""
    return [line.partition(": ")[2] for line in done.out.splitlines() if line.startswith("  bridge: ")]


def steps(done: Done) -> list[str]:
    return [line.strip("[]") for line in done.out.splitlines() if line.startswith("[")]


def test_a_script_plays_it(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"balance": 7.5}')
    done = invoke(
        "flows", "try", "desk", "-c", config, "--silent", "--keys", "1 1234", "--answer", "ask=a.json"
    )
    assert done.code == 0
    assert steps(done) == ["menu", "pin", "ask", "tell"]
    assert said(done) == [MENU, "Your PIN.", "Your balance is 7.50 US dollars. Goodbye."]
    assert "caller: 1\n" in done.out
    assert "caller: ••••\n" in done.out
    assert "1234" not in done.out + done.err
    wav = read_wav((tmp_path / "flow.wav").read_bytes())
    assert str(wav.format) == "mulaw 8000 Hz"
    assert done.out.splitlines()[-1] == f"the flow hung up, after {len(wav.audio) / 8000:.1f} s"
    assert done.err == f"wrote flow.wav: {len(wav.audio) / 8000:.1f} s of what the caller heard\n"


@pytest.mark.parametrize(
    "options, end",
    [
        (("--now", "2026-11-23T10:00"), "the caller is transferred to +15550100009"),
        (("--now", "2026-11-23T16:59:30"), "the caller is transferred to +15550100009"),
        (("--now", "2026-11-23T16:59:59"), "the flow hung up"),  # the menu takes longer than a second
        (("--now", "2026-11-23T08:30+00:00"), "the caller is transferred to +15550100009"),
        (("--now", "2026-11-23T08:30"), "the flow hung up"),
        (("--now", "2026-11-22T10:00"), "the flow hung up"),
        (("--now", "2026-11-23T10:00", "--transfers-fail"), "the flow hung up"),
    ],
)
def test_business_hours_and_transfers(
    invoke: Invoke, config: Path, options: tuple[str, ...], end: str
) -> None:
    done = invoke("flows", "try", "desk", "-c", config, "--silent", "--keys", "2", *options)
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith(f"{end}, after ")


@pytest.mark.parametrize(
    "options, reached, told",
    [
        (("--answer", "ask=404"), ["menu", "pin", "ask", "bye"], "(answered 404)"),
        (("--answer", "ask=500"), ["menu", "pin", "ask"], "(answered 500)"),
        (("--answer", "ask=500", "--answer", "ask=404"), ["menu", "pin", "ask"], "(answered 500)"),
        ((), ["menu", "pin", "ask"], "(it failed, and the step has no otherwise)"),
    ],
)
def test_webhooks_that_answer_otherwise_or_not(
    invoke: Invoke, config: Path, options: tuple[str, ...], reached: list[str], told: str
) -> None:
    done = invoke("flows", "try", "desk", "-c", config, "--silent", "--keys", "1 1234", *options)
    assert (done.code, steps(done)) == (0, reached)
    assert "(POST http://127.0.0.1:9/balance)" in done.out
    assert told in done.out


@pytest.mark.parametrize(
    "more, left", [((), "a message is taken"), (("--message", "me.wav"), "the caller leaves me.wav")]
)
def test_a_message(invoke: Invoke, config: Path, tmp_path: Path, more: tuple[str, ...], left: str) -> None:
    write_recording(tmp_path / "me.wav")
    done = invoke("flows", "try", "desk", "-c", config, "--silent", "--keys", "3 #", *more)
    assert done.code == 0
    assert left in done.out
    assert steps(done) == ["menu", "mail", "bye"]


def test_variables_at_the_beginning(invoke: Invoke, config: Path) -> None:
    more = ("--set", "amount=3", "--set", "language=en")
    done = invoke("flows", "try", "desk", "-c", config, "--silent", "--keys", "4", *more)
    assert said(done) == [MENU, "Your balance is 3 US dollars. Goodbye."]


def test_variables_that_only_a_menu_or_a_count_gives(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "counting.toml").write_text(
        """
        start = "count"
        [steps.count]
        do = "set"
        add = { calls = 1 }
        next = "ask"
        [steps.ask]
        do = "menu"
        text = "You chose {choice} before, in call {calls}."
        choices = { 1 = "ask" }
        into = "choice"
        tries = 1
        """
    )
    options = ("--silent", "--keys", "", "--set", "choice=7", "--set", "calls=2")
    done = invoke("flows", "try", "counting.toml", *options)
    assert said(done)[0] == "You chose 7 before, in call 3.", done.err


def test_the_file_of_a_flow_without_a_configuration(
    invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_FLOWS__WEBHOOK_HOSTS", '["http://127.0.0.1:9"]')
    done = invoke("flows", "try", "flows/desk.toml", "--silent", "--keys", "")
    assert (done.code, said(done)) == (0, [MENU])
    assert done.out.splitlines()[-1].startswith("the caller hung up")


def test_what_is_missing_is_spoken_and_kept(
    invoke: Invoke, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("flows", "try", "desk", "-c", config, "--keys", "")
    with lightning_in_thread() as lightning:
        monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", lightning.url)
        monkeypatch.setenv("SMALLEST_API_KEY", "k")
        assert invoke(*command).code == 0
    first = sound_of(tmp_path / "flow.wav")
    assert first
    assert list((tmp_path / "cache").glob("*.wav"))
    assert invoke(*command).code == 0, "nobody is there any more, and nobody is needed"
    assert sound_of(tmp_path / "flow.wav") == first


def sound_of(wav: Path) -> bytes:
    """Without the silence: how long nobody speaks is a matter of time."""
    return read_wav(wav).audio.replace(MULAW_8K.silent_sample, b"")


def test_without_a_key_there_is_silence_and_it_is_told(invoke: Invoke, config: Path) -> None:
    done = invoke("flows", "try", "desk", "-c", config, "--keys", "")
    assert done.code == 0
    assert "lightning.api_key: is missing: set SMALLEST_API_KEY" in done.err
    assert "silence" in done.err


def test_a_voice_that_cannot_be_had_is_exit_code_1(
    invoke: Invoke, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lightning_in_thread() as lightning:
        monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", lightning.url)
        monkeypatch.setenv("BRIDGE_LIGHTNING__VOICE_ID", "nobody")
        monkeypatch.setenv("SMALLEST_API_KEY", "k")
        done = invoke("flows", "try", "desk", "-c", config, "--keys", "")
    assert done.code == 1
    assert "(not heard: " in done.out
    assert (tmp_path / "flow.wav").exists()


@contextmanager
def typed(monkeypatch: pytest.MonkeyPatch, lines: bytes) -> Iterator[None]:
    """Within it, standard input is a pipe with `lines`."""
    read, write = os.pipe()
    os.write(write, lines)
    os.close(write)
    with os.fdopen(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield


def test_a_pipe_types_a_line_at_a_time(invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with typed(monkeypatch, b"\n2\n"):
        done = invoke("flows", "try", "desk", "-c", config, "--silent", "--now", "2026-11-22T10:00")
    assert done.code == 0
    assert said(done) == [MENU, MENU, "Hello and welcome."]
    assert "caller: (nothing)" in done.out


def test_a_pipe_with_what_is_no_key(
    invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with typed(monkeypatch, b"-\none\n"):
        done = invoke("flows", "try", "desk", "-c", config, "--silent")
    assert done.code == 2
    assert "bridge: standard input: line 2: 'o' is no key" in done.err
    assert (tmp_path / "flow.wav").exists(), "what was heard until then"


def test_nobody_types_where_there_is_no_standard_input(
    invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    done = invoke("flows", "try", "desk", "-c", config, "--silent")
    assert done.out.splitlines()[-1].startswith("the caller hung up")


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Within it, standard input is a terminal: whoever types, and the terminal."""
    master, slave = pty.openpty()
    with os.fdopen(slave, closefd=False) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield master, slave
    os.close(master)
    os.close(slave)


class Cues(io.StringIO):
    """What is shown; types at the terminal when it is time."""

    def __init__(self, cues: list[tuple[str, bytes]], fd: int) -> None:
        super().__init__()
        self._cues, self._fd = cues, fd

    def write(self, text: str) -> int:
        if self._cues and self._cues[0][0] in text:
            os.write(self._fd, self._cues.pop(0)[1])
        return super().write(text)


def test_a_terminal_gives_keys_as_they_are_pressed(
    invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with terminal(monkeypatch) as (master, slave):
        before = termios.tcgetattr(slave)
        shown = Cues([(MENU, b"3"), ("a message is taken", b"\n"), ("Hello", b"\n")], master)
        monkeypatch.setattr("sys.stdout", shown)
        done = invoke("flows", "try", "desk", "-c", config, "--silent", "--pace", "20")
        assert termios.tcgetattr(slave) == before
    assert done.code == 0
    assert "Ctrl-D: hang up" in done.err
    assert "caller: 3\n" in shown.getvalue()
    assert "the flow hung up, after" in shown.getvalue()


def test_ctrl_c_gives_the_terminal_back_and_keeps_what_was_heard(
    invoke: Invoke, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with terminal(monkeypatch) as (master, slave):
        before = termios.tcgetattr(slave)

        class Stops(Cues):
            def write(self, text: str) -> int:
                if text.startswith("  caller: "):
                    signal.raise_signal(signal.SIGINT)
                return super().write(text)

        monkeypatch.setattr("sys.stdout", Stops([(MENU, b"\n")], master))
        done = invoke("flows", "try", "desk", "-c", config, "--silent")
        assert termios.tcgetattr(slave) == before
    assert done.code == 130
    assert "wrote flow.wav" in done.err
    assert read_wav((tmp_path / "flow.wav").read_bytes()).audio


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("dask",), "FLOW: there is no flow 'dask'; did you mean desk?"),
        (("flows/none.toml",), "flows/none.toml: FLOW: there is no such file"),
        (("desk", "--keys", "1 x"), "--keys: 'x' is no key"),
        (("desk", "--set", "amount"), "--set: 'amount' is not NAME=VALUE"),
        (("desk", "--set", "amont=1"), "--set: the flow has no variable 'amont'; did you mean amount?"),
        (("desk", "--set", "amount=much"), "--set: amount: 'much' is not a number"),
        (("desk", "--set", "open=perhaps"), "--set: open: 'perhaps' is not true or false"),
        (("desk", "--now", "tomorrow"), "--now: 'tomorrow' is no time: write 2026-12-25T10:00"),
        (("desk", "--answer", "404"), "--answer: '404' is not NAME=VALUE"),
        (("desk", "--answer", "tell=404"), "--answer: the flow has no webhook step 'tell'; there is ask"),
        (("desk", "--answer", "ask=42"), "--answer: 42 is no HTTP status"),
        (("desk", "--answer", "ask=none.json"), "none.json: --answer: cannot be read: No such file"),
        (("desk", "--answer", "ask=bridge.toml"), "bridge.toml: --answer: is not JSON"),
        (("desk", "--message", "none.wav"), "--message: none.wav: cannot be read"),
        (("desk", "--message", "bridge.toml"), "--message: bridge.toml: "),
        (("desk", "-o", "bridge.toml/x"), "bridge.toml/x: cannot be written"),
    ],
)
def test_what_is_wrong_is_told_by_its_option(
    invoke: Invoke, config: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = invoke("flows", "try", *arguments, "-c", config, "--silent")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bridge: {told}"), done.err


def test_a_flow_that_would_be_refused_is_not_tried(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    menu = tmp_path / "flows" / "desk.toml"
    menu.write_text(menu.read_text().replace('next = "ask"', 'next = "aks"'))
    done = invoke("flows", "try", "desk", "-c", config, "--silent", "--keys", "")
    assert (done.code, done.out) == (2, "")
    assert "desk.toml:" in done.err
    assert "steps.pin.next" in done.err
    assert not (tmp_path / "flow.wav").exists()


def test_answers_may_be_any_json(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(["no object"]))
    done = invoke(
        "flows", "try", "desk", "-c", config, "--silent", "--keys", "1 1234", "--answer", "ask=a.json"
    )
    assert done.code == 0
    assert said(done)[-1] == "Your balance is Goodbye."
