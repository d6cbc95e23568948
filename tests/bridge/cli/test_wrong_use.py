"""``bridge serve`` and ``bridge emulate`` given what cannot work: one line, and before anything has begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Invoke

ANSWER = "http://127.0.0.1:1/carriers/twilio/answer"


@pytest.mark.parametrize(
    "arguments, env, told",
    [
        (("emulate", "caller", ANSWER), {}, "carriers.twilio.auth_token: is missing"),
        (("emulate", "caller", ANSWER, "--auth-token", "t", "--speak", "none.wav"), {}, "none.wav"),
        (("emulate", "caller", ANSWER, "--auth-token", "t", "--speak", "text.wav"), {}, "not a WAV"),
        (("emulate", "caller", ANSWER, "--auth-token", "t", "--digits", "x"), {}, "keys of a telephone"),
        (("emulate", "caller", ANSWER, "--auth-token", "t", "-o", "text.wav/a"), {}, "cannot be written"),
        (("serve",), {}, "server.public_url: is missing"),
        (("serve", "-c", "none.toml"), {}, "none.toml: cannot be read: No such file or directory"),
        (("serve", "-c", "text.wav"), {}, "text.wav: is not TOML"),
        (
            ("serve",),
            {"BRIDGE_SERVER__PORT": "x"},
            "BRIDGE_SERVER__PORT: server.port: must be a whole number",
        ),
        (("serve",), {"BRIDGE_SERVER__PUBLIC_URL": "http://voice.example.com"}, "must be https://"),
        (("serve",), {"BRIDGE_AGENT__ENTRYPOINT": "nowhere:agent"}, "agent.entrypoint: cannot import"),
        (
            ("serve",),
            {"BRIDGE_AGENT__OPTIONS__GREETINGS": "x"},
            "agent.options.greetings: is not a setting",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    env: dict[str, str],
    told: str,
) -> None:
    (tmp_path / "text.wav").write_text("this is no recording")
    complete = {
        "SMALLEST_API_KEY": "k",
        "BRIDGE_SERVER__PUBLIC_URL": "https://voice.example.com",
        "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": "t",
    }
    for name, text in (complete | env if env else {}).items():
        monkeypatch.setenv(name, text)
    done = invoke(*arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = [line for line in done.err.splitlines() if " INFO " not in line]
    assert line.startswith("bridge: ")
    assert told in line


def test_nobody_answers_there(invoke: Invoke) -> None:
    done = invoke("emulate", "caller", ANSWER, "--auth-token", "t")
    assert (done.code, done.err) == (1, "")
    assert "unreachable" in done.out


def test_a_recording_of_a_call_that_never_was_is_not_left_behind(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("emulate", "caller", ANSWER, "--auth-token", "t", "--digits", "x", "-o", "call.wav")
    assert done.code == 2
    assert not (tmp_path / "call.wav").exists()
