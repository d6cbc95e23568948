"""``bridge say`` with text that arrives and audio that leaves: as processes, with real pipes."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import read_wav, wav_header
from tests.support.cli import PATIENCE_S, command, environment
from tests.support.lightning_thread import lightning_in_thread
from tests.support.tone_words import spoken

KEY = "sk-a-key-that-stays-secret"
FIRST, SECOND = "Good morning to you.", "How are you today?"
HEADER = wav_header(MULAW_8K)


@pytest.fixture
def lightning() -> Iterator[EmulatedLightning]:
    with lightning_in_thread() as emulator:
        yield emulator


class Say:
    """The command while it runs, with a pipe at each end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    def give(self, text: str | bytes) -> None:
        self.stdin.write(text.encode() if isinstance(text, str) else text)
        self.stdin.flush()

    def take(self, size: int) -> bytes:
        """`size` bytes of audio; less when there are no more."""
        taken = b""
        while len(taken) < size and (more := self.stdout.read(size - len(taken))):
            taken += more
        return taken

    def end(self) -> tuple[int, bytes, str]:
        """Give no more text; exit code, the rest of the audio, and what it told."""
        rest, told = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, rest, told.decode()


@contextmanager
def saying(emulator: EmulatedLightning, cwd: Path, *arguments: object) -> Iterator[Say]:
    process = subprocess.Popen(
        command("say", *arguments),
        cwd=cwd,
        env=environment(SMALLEST_API_KEY=KEY, BRIDGE_LIGHTNING__BASE_URL=emulator.url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what has not been taken yet is for `communicate`
    )
    with process:
        try:
            yield Say(process)
        finally:
            process.kill()


# -- text comes, audio goes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["sentences", "context", "flush"])
def test_a_sentence_is_heard_before_the_next_is_written(
    lightning: EmulatedLightning, tmp_path: Path, style: str
) -> None:
    with saying(lightning, tmp_path, "--stream-stdin", "-o", "-", "--text-streaming", style) as say:
        say.give(FIRST + " How")
        first = HEADER + spoken(FIRST)
        assert say.take(len(first)) == first
        say.give(SECOND.removeprefix("How"))
        code, rest, told = say.end()
    assert (code, rest) == (0, spoken(SECOND))
    labels = [line[:17].strip() for line in told.splitlines()]
    assert labels == ["wrote", "voice", "door", "first byte", "text to audio", "total", "real-time factor"]
    assert "wrote             standard output: ulaw at 8000 Hz, " in told


def test_in_a_pipeline_of_a_shell(lightning: EmulatedLightning, tmp_path: Path) -> None:
    bridge = shlex.join(command("say", "--stream-stdin", "-o", "-"))
    line = f"printf 'Gr\\303\\274\\303\\237 dich. Und tsch\\303\\274ss.' | {bridge} | tail -c +1 > heard.wav"
    env = environment(SMALLEST_API_KEY=KEY, BRIDGE_LIGHTNING__BASE_URL=lightning.url)
    subprocess.run(["sh", "-c", line], cwd=tmp_path, env=env, check=True, timeout=PATIENCE_S)  # noqa: S607
    assert [text.strip() for text in lightning.stats.texts] == ["Grüß dich.", "Und tschüss."]
    wav = read_wav(tmp_path / "heard.wav")
    assert (wav.format, wav.audio) == (MULAW_8K, spoken("Grüß dich. Und tschüss."))


def test_into_a_file_it_is_written_when_all_is_there(lightning: EmulatedLightning, tmp_path: Path) -> None:
    with saying(lightning, tmp_path, "--stream-stdin", "-o", "heard.wav") as say:
        say.give(f"{FIRST} {SECOND}")
        code, out, told = say.end()
    assert (code, told) == (0, "")
    assert out.startswith(b"wrote             heard.wav: ulaw at 8000 Hz, ")
    assert read_wav(tmp_path / "heard.wav").audio == spoken(f"{FIRST} {SECOND}")


def test_when_a_voice_fails_the_next_one_speaks(lightning: EmulatedLightning, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(
        '[lightning]\nvoice_id = "sophia"\nbase_url = "http://127.0.0.1:1"\n'
        f'[[lightning.fallbacks]]\nvoice_id = "magnus"\nbase_url = "{lightning.url}"\n'
    )
    with lightning_in_thread(EmulatorOptions(fail_after_ms=100)) as failing:
        with saying(failing, tmp_path, "--stream-stdin", "-o", "-", "-c", "my.toml") as say:
            say.give(FIRST)
            code, out, told = say.end()
        assert failing.stats.requests == 1
    assert code == 0
    assert out.endswith(spoken(FIRST.split()[-1]))
    assert [line for line in told.splitlines() if "WARNING" in line and "falls back from 1-live" in line]


# -- a whole text into a player ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, format", [("pcm", PCM16_8K), ("alaw", ALAW_8K)])
def test_a_text_comes_as_a_wav_without_an_end(
    lightning: EmulatedLightning, tmp_path: Path, name: str, format: AudioFormat
) -> None:
    with saying(lightning, tmp_path, FIRST, "-o", "-", "--format", name, "--sample-rate", 8000) as say:
        code, out, told = say.end()
    transcoder = Transcoder(MULAW_8K, format)
    assert code == 0
    assert out.startswith(wav_header(format))
    assert len(read_wav(out).audio) == len(transcoder.feed(spoken(FIRST)))
    assert f"standard output: {name} at 8000 Hz" in told
    assert list(tmp_path.iterdir()) == []


def test_its_beginning_is_there_before_its_end(tmp_path: Path) -> None:
    format = ("--format", "ulaw", "--sample-rate", 8000)
    # Silent, not cut: a connection that is cut may take with it what has not been read yet.
    options = EmulatorOptions(stall_after_ms=500)
    with lightning_in_thread(options) as failing, saying(failing, tmp_path, FIRST, "-o", "-", *format) as say:
        begun = HEADER + spoken(FIRST)[: MULAW_8K.bytes_in(500)]
        assert say.take(len(begun)) == begun
        code, rest, told = say.end()
    assert (code, rest) == (1, b"")
    assert told.startswith("bridge: ")


# -- ends --------------------------------------------------------------------------------------------------------------


def test_a_player_that_leaves_ends_it_without_a_word(lightning: EmulatedLightning, tmp_path: Path) -> None:
    with saying(lightning, tmp_path, "--stream-stdin", "-o", "-") as say:
        say.give(FIRST + " How")
        say.take(len(HEADER))
        say.stdout.close()
        # The text does not end, and after the second sentence there is nothing more to write.
        say.give(SECOND.removeprefix("How") + " And more.")
        assert say.process.wait(PATIENCE_S) == 1
        assert say.stderr.read() == b""


@pytest.mark.parametrize(
    "number, code, while_",
    [
        (signal.SIGINT, 130, "no text comes"),
        (signal.SIGINT, 130, "nobody reads"),
        (signal.SIGTERM, 143, "nobody reads"),
    ],
)
def test_a_signal_ends_it_whatever_it_waits_for(
    lightning: EmulatedLightning, tmp_path: Path, number: signal.Signals, code: int, while_: str
) -> None:
    with saying(lightning, tmp_path, "--stream-stdin", "-o", "-") as say:
        # So much that a pipe does not hold its audio; and in any case it has begun.
        say.give(FIRST + " How" if while_ == "no text comes" else f"{FIRST} {SECOND} " * 30)
        say.take(len(HEADER))
        say.process.send_signal(number)
        assert say.process.wait(PATIENCE_S) == code
        assert say.stderr.read() == b""


def test_what_is_not_utf_8_ends_it_after_what_was_spoken(
    lightning: EmulatedLightning, tmp_path: Path
) -> None:
    with saying(lightning, tmp_path, "--stream-stdin", "-o", "-") as say:
        say.give(FIRST + " How")
        assert say.take(len(HEADER)) == HEADER
        say.give(b"\xff")
        code, rest, told = say.end()
    assert (code, told) == (2, f"bridge: standard input: byte {len(FIRST) + 4} is not UTF-8\n")
    assert rest == spoken(FIRST)


def test_nothing_to_say_is_wrong_use(lightning: EmulatedLightning, tmp_path: Path) -> None:
    with saying(lightning, tmp_path, "--stream-stdin", "-o", "-") as say:
        say.give(" \n")
        assert say.end() == (2, b"", "bridge: standard input: there is nothing to say\n")
    assert lightning.stats.requests == 0


def test_no_audio_onto_a_screen(lightning: EmulatedLightning, tmp_path: Path) -> None:
    terminal, screen = pty.openpty()
    env = environment(SMALLEST_API_KEY=KEY, BRIDGE_LIGHTNING__BASE_URL=lightning.url)
    arguments = command("say", FIRST, "-o", "-")
    try:
        done = subprocess.run(
            arguments,
            cwd=tmp_path,
            env=env,
            stdout=screen,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(screen)
    assert done.returncode == 2
    assert b"bridge: standard output: --out: is a terminal" in done.stderr
    assert b"name a file" in done.stderr
    assert lightning.stats.requests == 0
