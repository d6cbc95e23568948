"""The first things anybody tries: help, a wrong word, the version; and how commands end."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

import bridge as package
from bridge.cli import main as cli
from bridge.errors import BridgeError, ConfigError
from tests.support.cli import Invoke, bridge, command, environment, started

COMMANDS = (
    "demo", "say", "init", "setup", "doctor", "serve", "call", "turns",
    "flows", "flows check", "flows draw", "flows try", "flows reload",
    "prompts", "prompts render", "prompts list", "prompts check", "prompts play", "prompts prune",
    "voices", "voices list", "voices search", "voices clone", "voices clones",
    "dictionaries", "dictionaries list", "dictionaries add", "dictionaries edit", "dictionaries remove",
    "emulate", "emulate lightning", "emulate pulse", "emulate llm", "emulate caller",
)  # fmt: skip

#: What one must learn from the help of each command, besides its options.
TOLD = {
    "demo": ("no account, no key, no network", "stereo WAV", "caller left, bridge right", "Exit code 1"),
    "say": (
        "SMALLEST_API_KEY",
        '"-" to read it from standard input',
        "time to the first byte",
        "any length",
        "| bridge say --stream-stdin -o - |",
    ),
    "init": ("commented bridge.toml", "what must be filled in"),
    "setup": ("exact settings", "as places and values", "REST API", "the exit code is 1"),
    "doctor": ("leads here", "a signed request comes through", "one is started", "Exit code 1"),
    "call": ("server.admin_token", "Ctrl-C hangs up", "a SIP address", "Exit code 1"),
    "turns": ("One line a turn", "last 200", "the medians", "server.admin_token"),
    "serve": ("until SIGTERM or Ctrl-C", "503", "server.drain_timeout_s", "BRIDGE_SECTION__KEY"),
    "flows": ("check", "draw", "try", "reload"),
    "flows check": ("file, line and key", "never reached", "no key and no network", "Exit code 1"),
    "flows draw": ("mermaid for a document",),
    "flows try": (
        "each key counts as you press it",
        "Webhooks are really asked",
        "told, and not done",
        "hangs up",
    ),
    "flows reload": ("new ones get the new files", "the old ones stay", "SIGHUP", "exit code is 1"),
    "prompts": ("render", "list", "check", "play", "prune"),
    "prompts render": ("goes on after a Ctrl-C", "SMALLEST_API_KEY", "FLOW.STEP", "Exit code 1"),
    "prompts list": ("recorded (a file of yours)", "spoken on the call"),
    "prompts check": ("no key and no network", "for a deploy", "Exit code 1"),
    "prompts play": ("as a caller hears it", "ffplay, aplay, afplay", '"-" is standard output'),
    "prompts prune": ("no prompt needs any more", "another configuration"),
    "voices": ("list", "search", "clone", "clones"),
    "voices list": ("SMALLEST_API_KEY", "a code such as hi", "A voice speaks with its own model only"),
    "voices search": ("All of the words must be found",),
    "voices clone": ("up to 5 MB", "cannot be deleted from here", "(410)", "that you have the right to"),
    "voices clones": ("(410)",),
    "dictionaries": ("list", "add", "edit", "remove"),
    "dictionaries list": ("of your account",),
    "dictionaries add": ("WORD=PRONUNCIATION", "not IPA", "word,pronunciation in a .csv"),
    "dictionaries edit": ("The others stay",),
    "dictionaries remove": ("for good",),
    "emulate": ("lightning", "pulse", "llm", "caller", "Stand-ins"),
    "emulate llm": ("OpenAI-compatible", "until Ctrl-C", "offline", "[[rule]]", "it echoes"),
    "emulate lightning": ("BRIDGE_LIGHTNING__BASE_URL=http://127.0.0.1:9001", "until Ctrl-C", "offline"),
    "emulate pulse": (
        "BRIDGE_PULSE__BASE_URL=http://127.0.0.1:9003",
        "its n-th line is heard",
        "far better at that",
    ),
    "emulate caller": ("signed webhook", "/carriers/twilio/answer", "caller left, bridge right"),
}
OPTIONS = {
    "demo": ("--caller", "--out -o"),
    "say": ("--out -o", "--stream-stdin", "--door", "--voice", "--model", "--language", "--speed", "--sample-rate",
            "--format", "--text-streaming", "--normalise", "--pronunciation-dict", "--config -c"),
    "init": ("--force", "DIRECTORY"),
    "setup": ("CARRIER", "--number -n", "--config -c", "--public-url", "--apply"),
    "doctor": ("--config -c", "--calls", "--within-s", "--json"),
    "serve": ("--config -c", "--log-level"),
    "call": ("--via", "--to", "--from", "--agent", "--answered-within-s", "--config -c"),
    "flows": (),
    "flows check": ("FLOW", "--json", "--config -c"),
    "turns": ("CALL", "--url", "--json", "--config -c"),
    "flows draw": ("FLOW", "--format", "--config -c"),
    "flows try": ("FLOW", "--out -o", "--keys", "--set", "--from", "--to", "--now", "--answer", "--message",
                  "--transfers-fail", "--silent", "--pace", "--config -c"),
    "flows reload": ("--config -c",),
    "prompts": (),
    "prompts render": ("IDS", "--jobs", "--config -c"),
    "prompts list": ("--json", "--config -c"),
    "prompts check": ("--rendered", "--config -c"),
    "prompts play": ("ID", "--var", "--language", "--out -o", "--config -c"),
    "prompts prune": ("--older-than", "--dry-run", "--config -c"),
    "voices": (),
    "voices list": ("--model", "--language", "--gender", "--cloned", "--json", "--config -c"),
    "voices search": ("WORDS", "--model", "--json", "--config -c"),
    "voices clone": ("NAME", "FILE", "--language", "--model", "--description", "--accent", "--tags", "--json"),
    "voices clones": ("--json", "--config -c"),
    "dictionaries": (),
    "dictionaries list": ("--json", "--config -c"),
    "dictionaries add": ("--file", "--json", "--config -c"),
    "dictionaries edit": ("ID", "--remove", "--json", "--config -c"),
    "dictionaries remove": ("ID", "--yes", "--json", "--config -c"),
    "emulate": (),
    "emulate lightning": ("--port", "--host", "--engine", "--first-byte-ms", "--jitter-ms", "--chunk-ms",
                          "--realtime-factor", "--concurrency", "--any-voice", "--v2-retired",
                          "--close-after-complete", "--cancel-keeps-audio", "--old-messages", "--fail-after-ms",
                          "--stall-after-ms", "--error-after-ms", "--garble-after-ms", "--faulty-requests",
                          "--answer-pcm", "--odd-chunks", "--wav-header"),
    "emulate llm": ("--rules", "--port", "--host", "--model", "--first-token-ms", "--token-ms", "--fault",
                    "--fault-after", "--faulty-requests", "--retry-after-s"),
    "emulate pulse": ("--port", "--host", "--recogniser", "--script", "--partial-ms", "--final-ms",
                      "--partial-every-ms", "--concurrency", "--refuse", "--handshake-ms", "--close-at-once", "--hang",
                      "--ignore-finalize", "--garbage", "--flood", "--drop-after-ms", "--error-after-ms",
                      "--faulty-sockets"),
    "emulate caller": ("--carrier", "--config -c", "--speak", "--speak-after-s", "--digits", "--in-band",
                       "--hang-up-after-s", "--auth-token", "--account-sid", "--public-url", "--out -o"),
}  # fmt: skip


def plain(text: str) -> str:
    """Without the frame and the line breaks that depend on the window."""
    return " ".join(text.translate({ord(c): " " for c in "│╭╮╰╯─"}).split())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_first_screen(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = invoke(*arguments)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) <= 24, "it fits a terminal"
    told = plain(done.out)
    order = [
        told.index(f" {name} ")
        for name in (
            "demo",
            "say",
            "init",
            "setup",
            "doctor",
            "serve",
            "call Have",
            "flows",
            "prompts What",
            "voices",
            "emulate",
        )
    ]
    assert order == sorted(order), "in the order in which one needs them"
    assert "stops the moment the caller talks" in told
    assert "Start with bridge demo" in told
    assert "Exit codes: 0 done, 1 failed, 2 wrong use, 130 Ctrl-C." in told


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(invoke: Invoke, name: str) -> None:
    done = invoke(*name.split(), "--help")
    assert (done.code, done.err) == (0, "")
    told = plain(done.out)
    assert told.startswith(f"Usage: bridge {name}")
    assert [phrase for phrase in (*TOLD[name], *OPTIONS[name]) if phrase not in told] == []
    assert "--no-" not in told
    assert "--empty-" not in told
    assert "default: False" not in told
    assert 'default: ""' not in told


def test_version(invoke: Invoke) -> None:
    done = invoke("--version")
    assert (done.code, done.out.strip()) == (0, f"bridge {package.__version__}")


@pytest.mark.parametrize(
    "arguments, hint",
    [
        (["nope"], "Available commands: demo, say, init, setup, doctor, serve, call, rehearse"),
        (["demmo"], "demo"),
        (["emulate", "nobody"], "lightning"),
        (["demo", "--colour", "red"], "Unknown option: --colour"),
        (["say", "hello", "--vioce", "sophia"], "Did you mean --voice?"),
        (["say"], "TEXT"),
        (["say", "hello", "--speed", "3"], "--speed"),
        (["say", "hello", "--speed", "fast"], "--speed"),
        (["say", "hello", "--sample-rate", "11025"], "--sample-rate"),
        (["say", "hello", "--format", "mulaw"], "ulaw"),
        (["say", "hello", "-c", "-"], "-c"),
        (["say", "hello", "--door", "back"], "v3.1-sse"),
        (["say", "hello", "--text-streaming", "tokens"], "sentences"),
        (["say", "hello", "and", "more"], "more"),
        (["serve", "--log-level", "loud"], "--log-level"),
        (["setup"], "CARRIER"),
        (["setup", "twilio"], "--number"),
        (["doctor", "--calls", "0"], "--calls"),
        (["doctor", "--within-s", "0"], "--within-s"),
        (["call", "--via", "twilio", "--from", "+15550100001"], "--to"),
        (["call", "--to", "+15550100001", "--from", "+15550100001"], "--via"),
        (["flows", "draw"], "FLOW"),
        (["flows", "draw", "clinic", "--format", "png"], "--format"),
        (["flows", "try", "clinic", "--pace", "0"], "--pace"),
        (["prompts", "play"], "ID"),
        (["prompts", "render", "--jobs", "0"], "--jobs"),
        (["prompts", "prune", "--older-than", "-1"], "--older-than"),
        (["emulate", "lightning", "--port", "70000"], "--port"),
        (["emulate", "lightning", "--engine", "choir"], "--engine"),
        (["emulate", "lightning", "--jitter-ms", "-1"], "--jitter-ms"),
        (["emulate", "lightning", "--error-after-ms", "-1"], "--error-after-ms"),
        (["emulate", "lightning", "--faulty-requests", "-1"], "--faulty-requests"),
        (["emulate", "pulse", "--recogniser", "oracle"], "--recogniser"),
        (["emulate", "pulse", "--refuse", "200"], "--refuse"),
        (["emulate", "pulse", "--script", "nowhere.txt"], "--script"),
        (["emulate", "caller"], "URL"),
        (["emulate", "caller", "http://h/answer", "--carrier", "pigeon"], "--carrier"),
        (["emulate", "caller", "http://h/answer", "--hang-up-after-s", "0"], "--hang-up-after-s"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2_and_a_hint(invoke: Invoke, arguments: list[str], hint: str) -> None:
    done = invoke(*arguments)
    assert (done.code, done.out) == (2, "")
    assert hint in plain(done.err)


@pytest.mark.parametrize(
    "raised, code, told",
    [
        (BridgeError("it broke"), 1, "bridge: it broke\n"),
        (ConfigError("is wrong", key="a.b", source="f.toml"), 2, "bridge: f.toml: a.b: is wrong\n"),
        (ConfigError("two\nlines"), 2, "bridge: two lines\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_how_a_command_ends(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, told: str
) -> None:
    def ends(_arguments: list[str]) -> int:
        raise raised

    monkeypatch.setattr(cli, "_run", ends)
    done = invoke("demo")
    assert (done.code, done.out, done.err) == (code, "", told)


# -- as a process ------------------------------------------------------------------------------------------------------


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--help"), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before it has printed anything, as `| true` may
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1)


def test_python_m_bridge_is_bridge(tmp_path: Path) -> None:
    done = bridge("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"bridge {package.__version__}\n", "")
    assert bridge("nope", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_without_a_traceback(tmp_path: Path, number: int, code: int) -> None:
    with started("emulate", "lightning", "--port", "0", "--engine", "tones", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait() == code
        assert process.stderr.read() == ""
