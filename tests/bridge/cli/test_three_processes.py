"""Everything as an operator would run it: a Lightning, a bridge and a caller, each a process of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.emulators.speech_engine import ToneEngine
from telephony_codecs.formats import MULAW_8K, PCM16_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import read_wav, wav_bytes
from tests.support.bridge import free_port
from tests.support.cli import bridge, next_line, started

AUTH = "an-auth-token-for-tests"
GREETING = "Hello from three processes."


def through_the_line(pcm: bytes) -> bytes:
    """`pcm` as both ends of a telephone line have it."""
    transcoder = Transcoder(PCM16_8K, MULAW_8K)
    return mulaw_decode(transcoder.feed(pcm) + transcoder.flush())


def tone(text: str) -> bytes:
    return ToneEngine().speak(text, voice_id="magnus", language="en", speed=1.0).pcm


@contextmanager
def serving(tmp_path: Path, lightning_url: str, **env: str) -> Iterator[tuple[int, str]]:
    """A bridge on a free port; yields the port and the webhook's address, as it printed them."""
    port = free_port()
    (tmp_path / "bridge.toml").write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {port}\npublic_url = "http://127.0.0.1:{port}/"\n'
        f'[agent.options]\ngreeting = "{GREETING}"\ngoodbye_after_s = 0.5\n'
    )
    variables = {
        "SMALLEST_API_KEY": "k",
        "BRIDGE_LIGHTNING__BASE_URL": lightning_url,
        "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": AUTH,
        **env,
    }
    with started("serve", "--config", "bridge.toml", cwd=tmp_path, **variables) as process:
        assert next_line(process) == f"bridge: listening on 127.0.0.1:{port}\n"
        webhook = re.fullmatch(r"bridge: twilio calls POST (\S+)\n", next_line(process))
        assert webhook is not None
        yield port, webhook[1]
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate()
        assert process.returncode == 0
        assert "Traceback" not in logged
        assert not [secret for secret in (AUTH,) if secret in logged]


@contextmanager
def lightning(tmp_path: Path, *options: object) -> Iterator[str]:
    arguments = ("--port", 0, "--engine", "tones", "--first-byte-ms", 0, "--realtime-factor", 0)
    with started("emulate", "lightning", *arguments, *options, cwd=tmp_path) as process:
        address = re.search(r"http://127.0.0.1:\d+", next_line(process))
        assert address is not None
        yield address[0]


def test_a_call(tmp_path: Path) -> None:
    said = tone("what the caller says")
    (tmp_path / "caller.wav").write_bytes(wav_bytes(PCM16_8K, said))
    with lightning(tmp_path) as url, serving(tmp_path, url, BRIDGE_BARGE_IN__MODE="off") as (port, webhook):
        assert webhook == f"http://127.0.0.1:{port}/carriers/twilio/answer"
        done = bridge(
            *(
                "emulate",
                "caller",
                webhook,
                "--speak",
                "caller.wav",
                "--speak-after-s",
                0.2,
                "--out",
                "calls/call.wav",
            ),
            cwd=tmp_path,
            BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN=AUTH,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "bridge closed" in done.stdout
    assert "calls/call.wav" in done.stdout
    call = read_wav(tmp_path / "calls" / "call.wav")
    assert (call.channels, call.format) == (2, PCM16_8K)
    assert through_the_line(said) in call.channel(0), "the caller is on the left"
    assert through_the_line(tone(GREETING)) in call.channel(1), "the bridge is on the right, bit by bit"


def test_a_caller_with_the_wrong_token_is_told_why(tmp_path: Path) -> None:
    with lightning(tmp_path) as url, serving(tmp_path, url) as (_, webhook):
        done = bridge("emulate", "caller", webhook, "--auth-token", "another", "-o", "call.wav", cwd=tmp_path)
    assert done.returncode == 1
    assert "webhook refused" in done.stdout
    assert "403" in done.stdout
    assert AUTH not in done.stdout + done.stderr


def test_a_voice_that_nobody_knows(tmp_path: Path) -> None:
    """Refused like the real one does, unless it was told not to be strict."""
    for options, code in (((), 1), (("--any-voice",), 0)):
        with lightning(tmp_path, *options) as url:
            done = bridge(
                *("say", "Hello.", "--voice", "custom_voice_7"),
                cwd=tmp_path,
                SMALLEST_API_KEY="k",
                BRIDGE_LIGHTNING__BASE_URL=url,
            )
            assert done.returncode == code, done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with lightning(tmp_path) as url:
        port = url.rpartition(":")[2]
        done = bridge("emulate", "lightning", "--port", port, "--engine", "tones", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bridge: --port: cannot listen on 127.0.0.1:{port}: ")
