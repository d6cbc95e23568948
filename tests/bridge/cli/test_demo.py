"""``bridge demo``: the call as a whole, and everything that can keep it from happening."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bridge.cli import demo as module
from bridge.emulators.speech_engine import ToneEngine
from telephony_codecs.formats import PCM16_8K
from telephony_codecs.wav import read_wav, wav_bytes
from tests.support.cli import PATIENCE_S, Invoke, bridge, started

#: What is loud, and no voice.
TONES = ToneEngine().speak("these are only tones", voice_id="a", language="en", speed=1.0).pcm


def loudness(track: bytes, from_s: float, to_s: float) -> float:
    samples = np.frombuffer(track, "<i2")[int(from_s * 8000) : int(to_s * 8000)]
    return float(np.abs(samples.astype(np.float64)).mean())


def test_the_whole_demo_from_any_folder_with_anything_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "bridge.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "telephony_codecs.py").write_text("raise SystemExit('nor this one')")
    done = bridge(
        *("demo", "--out", "here/call"),
        cwd=tmp_path,
        SMALLEST_API_KEY="the-operators-own",
        BRIDGE_SERVER__PORT="not for the demo",
        HTTP_PROXY="http://127.0.0.1:1",
        ALL_PROXY="http://127.0.0.1:1",
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    told = " ".join(done.stdout.split())
    for what in (
        "dials",
        "hears the bridge",
        "begins to speak",
        "barge-in by speech",
        "has said it",
        "Goodbye!”",
    ):
        assert what in told
    assert re.search(r"first audio \d+ ms \(Lightning \d+ ms, bridge [\d.]+ ms\)", told)
    assert re.search(r"speech onset to clear \d+ ms", told)
    assert re.search(r"heard of the greeting \d\.\d\d s of \d+\.\d\d s made", told)
    heard = re.search(r"heard text “(.+?)”", told)
    assert heard is not None
    assert module.GREETING.startswith(heard[1])
    assert len(heard[1]) < len(module.GREETING) / 2
    assert "Listen: here/call/call.wav" in told
    assert "Look: here/call/call.svg" in told
    call = read_wav(tmp_path / "here" / "call" / "call.wav")
    assert (call.channels, call.format) == (2, PCM16_8K)
    began = re.search(r"(\d+) caller begins to speak", told)
    assert began is not None
    speaks_s = int(began[1]) / 1000
    assert loudness(call.channel(1), 0.5, speaks_s) > 500 > loudness(call.channel(0), 0, speaks_s - 0.1)
    assert loudness(call.channel(0), speaks_s, speaks_s + 1) > 500
    assert loudness(call.channel(1), speaks_s + 1, speaks_s + 2) == 0, (
        "the bridge is silent while the caller speaks"
    )
    picture = ElementTree.parse(tmp_path / "here" / "call" / "call.svg").getroot()
    assert f"“{heard[1]}”" in {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}


def test_without_an_interruption_the_demo_has_failed(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The call is told and written all the same."""
    monkeypatch.setattr(module, "GREETING", "Hello, this is a greeting of three seconds or so.")
    monkeypatch.setattr(module, "PATIENCE_MS", 1000.0)
    monkeypatch.setattr(module, "GOODBYE_AFTER_S", 0.5)
    (tmp_path / "tones.wav").write_bytes(wav_bytes(PCM16_8K, TONES))
    done = invoke("demo", "--caller", "tones.wav")
    assert done.code == 1
    assert done.err == (
        "bridge: the greeting was not interrupted: no speech was recognised in what the caller said\n"
    )
    assert "begins to speak" in done.out
    assert "the caller has heard: “Hello" in done.out
    assert "Tuesday" not in done.out, "a recording is not answered as if its words were known"
    assert (tmp_path / "demo" / "call.wav").stat().st_size > 10_000
    assert (tmp_path / "demo" / "call.svg").stat().st_size > 1_000


@pytest.mark.parametrize(
    "content, told",
    [
        (None, "caller.wav: --caller: cannot be read: No such file or directory"),
        (b"", "caller.wav: --caller: the WAV ends before its audio begins"),
        (b"ID3 some MP3", "caller.wav: --caller: not a WAV: it does not begin with RIFF and WAVE"),
        (wav_bytes(PCM16_8K, b""), "caller.wav: --caller: nothing in it is as loud as -45 dBFS"),
        (wav_bytes(PCM16_8K, bytes(16000)), "caller.wav: --caller: nothing in it is as loud as -45 dBFS"),
    ],
    ids=["missing", "empty", "mp3", "no audio", "silence"],
)
def test_a_recording_that_cannot_be_said(
    invoke: Invoke, tmp_path: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "caller.wav").write_bytes(content)
    done = invoke("demo", "--caller", "caller.wav")
    assert (done.code, done.out, done.err) == (2, "", f"bridge: {told}\n")
    assert not (tmp_path / "demo").exists()


def test_without_the_offline_voice_it_says_how_to_get_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    done = invoke("demo")
    assert (done.code, done.out) == (2, "")
    assert "pip install '.[demo]'" in done.err
    assert "--caller" in done.err


def test_a_folder_that_cannot_be_written(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = invoke("demo", "--out", "file")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("bridge: file/call.wav: cannot be written: ")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for the child process in /proc")
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_nothing_behind(tmp_path: Path, number: int, code: int) -> None:
    with started("demo", cwd=tmp_path) as process:
        until_it_has_a_child(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out, err) == (code, "", "")
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)  # its group has nobody left in it
    assert list((tmp_path / "demo").iterdir()) == []


def until_it_has_a_child(process: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline_s = time.monotonic() + PATIENCE_S
    while not children.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)  # a process of its own cannot be awaited otherwise
