"""``bridge setup``: what is printed, and what is done at a stand-in for the carrier's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from bridge.carriers.registry import carrier_types
from bridge.carriers.telnyx import SIMULATED_KEY
from bridge.carriers.twilio import TwilioConfig
from bridge.carriers.urls import stream_urls
from bridge.cli.installation import checked_number
from bridge.emulators.carriers.twilio_rest import TwilioRest
from bridge.emulators.rest_stand_in import EmulatedRest
from bridge.errors import ConfigError
from bridge.secret import Secret
from tests.support.cli import Invoke
from tests.support.in_thread import in_thread

NUMBER = "+15550100002"
ANSWER = "https://voice.example.com/carriers/twilio/answer"
AUTH = "an-auth-token-that-stays-secret"
ACCOUNT = "AC" + "1" * 32


def configure(api_url: str = "http://127.0.0.1:1", account: str = ACCOUNT, auth: str = AUTH) -> None:
    Path("bridge.toml").write_text(f"""
[server]
public_url = "https://voice.example.com/"
[carriers.twilio]
api_url = "{api_url}"
account_sid = "{account}"
auth_token = "{auth}"
""")


@pytest.fixture
def api() -> Iterator[EmulatedRest]:
    """Twilio's, with the configuration that fits it."""
    stand_in = TwilioRest(
        TwilioConfig(account_sid=ACCOUNT, auth_token=Secret(AUTH)), {NUMBER: "PN" + "0" * 32}
    )
    with in_thread(EmulatedRest(stand_in)) as served:
        configure(served.url)
        yield served


def test_it_prints_the_exact_settings(invoke: Invoke) -> None:
    configure()
    done = invoke("setup", "twilio", "--number", "+1 (555) 010-0002", "-c", "bridge.toml")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].endswith("> +15550100002 > Voice Configuration > A call comes in")
    assert lines[1] == f"    Webhook, {ANSWER}, HTTP POST"


def test_another_public_url(invoke: Invoke) -> None:
    configure()
    done = invoke(
        "setup", "twilio", "-n", NUMBER, "-c", "bridge.toml", "--public-url", "https://other.example/path"
    )
    assert "https://other.example/path/carriers/twilio/answer" in done.out
    assert "voice.example.com" not in done.out


def test_it_makes_them(invoke: Invoke, api: EmulatedRest) -> None:
    done = invoke("setup", "twilio", "--number", NUMBER, "-c", "bridge.toml", "--apply")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{NUMBER}: a call that comes in is answered by {ANSWER}\n"
    assert parse_qs(api.stand_in.granted[-1].body.decode()) == {"VoiceUrl": [ANSWER], "VoiceMethod": ["POST"]}


@pytest.mark.parametrize(
    "number, account, told",
    [
        ("+15550100009", ACCOUNT, "+15550100009 is not one of the account's numbers"),
        (NUMBER, "AC" + "2" * 32, "HTTP 401"),
    ],
)
def test_what_the_carrier_refuses(
    invoke: Invoke, api: EmulatedRest, number: str, account: str, told: str
) -> None:
    configure(api.url, account)
    done = invoke("setup", "twilio", "--number", number, "-c", "bridge.toml", "--apply")
    assert (done.code, done.out) == (1, "")
    assert told in done.err
    assert AUTH not in done.err


def test_an_api_that_is_not_there(invoke: Invoke) -> None:
    configure()
    done = invoke("setup", "twilio", "--number", NUMBER, "-c", "bridge.toml", "--apply")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("bridge: twilio: cannot find the number: ")


def test_what_cannot_be_made_is_printed(invoke: Invoke) -> None:
    configure(account="")
    done = invoke("setup", "twilio", "--number", NUMBER, "-c", "bridge.toml", "--apply")
    assert done.code == 1
    assert "carriers.twilio.account_sid" in done.err
    assert "By hand" in done.err
    assert ANSWER in done.out


@pytest.mark.parametrize(
    "arguments, env, told",
    [
        (("twillio",), {}, "CARRIER: 'twillio' is no carrier: did you mean twilio?"),
        (("pigeon",), {}, "'pigeon' is no carrier: there are asterisk, "),
        (
            ("twilio", "--apply"),
            {"BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": ""},
            "environment: carriers.twilio.auth_token: is missing: without it no call can be told from a forgery. "
            "Set it in the file or as BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN.",
        ),
        (("twilio",), {"BRIDGE_SERVER__PUBLIC_URL": ""}, "as BRIDGE_SERVER__PUBLIC_URL."),
        (
            ("twilio", "--public-url", "voice.example.com"),
            {},
            "server.public_url: must be http:// or https://",
        ),
        (
            ("twilio", "--number", "5550100002"),
            {},
            "--number: '5550100002' is no number: write + and the country",
        ),
    ],
)
def test_wrong_use(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    env: dict[str, str],
    told: str,
) -> None:
    complete = {
        "BRIDGE_SERVER__PUBLIC_URL": "https://voice.example.com",
        "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": AUTH,
    }
    for name, text in (complete | env).items():
        monkeypatch.setenv(name, text)
    number = () if "--number" in arguments else ("--number", NUMBER)
    done = invoke("setup", *arguments, *number)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


@pytest.mark.parametrize("name", [name for name in carrier_types() if name != "twilio"])
def test_a_carrier_without_a_section_says_what_it_needs(invoke: Invoke, name: str) -> None:
    """Settings need no secrets, so they are shown before there are any; to make them does."""
    arguments = ("setup", name, "--number", NUMBER, "--public-url", "https://voice.example.com")
    shown = invoke(*arguments)
    assert (shown.code, "voice.example.com" in shown.out) == (0, True)
    assert f"not served yet: environment: carriers.{name}." in shown.err
    done = invoke(*arguments, "--apply")
    assert (done.code, done.out) == (2, "")
    assert f"carriers.{name}" in done.err
    assert "is missing: " in done.err


@pytest.mark.parametrize("name", list(carrier_types()))
def test_every_carrier_says_how_it_is_set_up(name: str) -> None:
    carrier = carrier_types()[name](carrier_types()[name].section())
    settings = carrier.settings(NUMBER, stream_urls("https://voice.example.com", name))
    assert settings
    assert [s for s in settings if "voice.example.com" in s.value], "some of it leads here"
    assert all(s.where and s.value for s in settings)


@pytest.mark.parametrize(
    "text, number",
    [
        ("+15550100002", "+15550100002"),
        ("+1 (555) 010-0002", "+15550100002"),
        ("+49.30.1234567", "+49301234567"),
        (" sip:desk@pbx.example.com;transport=tls ", "sip:desk@pbx.example.com;transport=tls"),
        ("sips:desk@pbx.example.com", "sips:desk@pbx.example.com"),
        ("100", "100"),
    ],
)
def test_what_is_a_number(text: str, number: str) -> None:
    assert checked_number(text, "--to") == number


@pytest.mark.parametrize(
    "text",
    ["", "+", "+0123456789", "5550100002", "+1555", "+1555010000212345", "sip:", "sip:a b@c", 'sip:"@x', "desk",
     "+1555010000２", "+15550100002\n\n+1"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="^--to: .* is no number"):
        checked_number(text, "--to")


def test_a_package_that_is_missing_is_not_told_as_a_setting(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is set, and cannot be used: to set it again would mend nothing."""
    why = "its package is not installed: install the extra `telnyx`."
    monkeypatch.setattr(carrier_types()["telnyx"], "missing", lambda _carrier: [("public_key", why)])
    monkeypatch.setenv("BRIDGE_CARRIERS__TELNYX__PUBLIC_KEY", SIMULATED_KEY)
    arguments = (
        "setup",
        "telnyx",
        "--number",
        NUMBER,
        "--public-url",
        "https://voice.example.com",
        "--apply",
    )
    done = invoke(*arguments)
    assert done.code == 2
    assert done.err == f"bridge: environment: carriers.telnyx.public_key: cannot be used: {why}\n"
