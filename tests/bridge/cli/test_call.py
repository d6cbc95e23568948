"""``bridge call`` on loopback: a stand-in for Twilio takes the order, calls back, and somebody hears the agent."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from bridge.carriers.twilio import TwilioConfig
from bridge.config import load_config
from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.rest_stand_in import EmulatedRest
from bridge.secret import Secret
from bridge.server.serve import running
from tests.support.bridge import free_port
from tests.support.calling_rest import CallingTwilio
from tests.support.cli import Done, Invoke, next_line, started
from tests.support.in_thread import in_thread
from tests.support.public_door import PublicDoor
from tests.support.tone_words import spoken

AUTH = "an-auth-token-that-stays-secret"
TOKEN = "an-admin-token-that-stays-secret"
ACCOUNT = "AC" + "1" * 32
CALLEE, OURS = "+15550100003", "+15550100002"
HELLO = "tests.support.agents:says_hello"


@dataclass
class Line:
    """A configuration, a Lightning and a Twilio with telephones."""

    invoke: Invoke
    lightning: EmulatedLightning
    twilio: CallingTwilio
    api_url: str
    port: int
    account: str = ACCOUNT
    more: str = ""
    entrypoint: str = HELLO

    def write(self) -> Path:
        path = Path("bridge.toml")
        path.write_text(f"""
[server]
host = "127.0.0.1"
port = {self.port}
public_url = "http://127.0.0.1:{self.port}"
{self.more}
[lightning]
base_url = "{self.lightning.url}"
api_key = "k"
[carriers.twilio]
api_url = "{self.api_url}"
account_sid = "{self.account}"
auth_token = "{AUTH}"
[agent]
entrypoint = "{self.entrypoint}"
""")
        return path

    def call(self, *arguments: object, to: str = CALLEE, from_: str = OURS, via: str = "twilio") -> Done:
        self.write()
        done = self.invoke("call", "--via", via, "--to", to, "--from", from_, "-c", "bridge.toml", *arguments)
        assert not [secret for secret in (AUTH, TOKEN) if secret in done.out + done.err]
        return done

    @contextmanager
    def bridge(self) -> Iterator[None]:
        """One that runs on this machine."""
        with in_thread(running(load_config(self.write(), {}), source="test")):
            yield


@pytest.fixture
def line(invoke: Invoke) -> Iterator[Line]:
    section = TwilioConfig(account_sid=ACCOUNT, auth_token=Secret(AUTH))
    with ExitStack() as stack:
        lightning = stack.enter_context(in_thread(EmulatedLightning(EmulatorOptions(first_byte_ms=0))))
        twilio = CallingTwilio(section)
        api = stack.enter_context(in_thread(EmulatedRest(twilio)))
        yield Line(invoke, lightning, twilio, api.url, free_port())


def heard_hello(report: CallReport) -> bool:
    return report.ok and spoken("Hello from the bridge.", "magnus") in report.heard


def test_somebody_hears_the_agent(line: Line) -> None:
    done = line.call()
    assert done.code == 0, done.err
    report = line.twilio.next_report()
    assert heard_hello(report)
    (order,) = line.twilio.granted
    asked = parse_qs(order.body.decode())
    assert (asked["To"], asked["From"]) == ([CALLEE], [OURS])
    assert f"call {report.call_sid}: ringing" in done.err
    head, *told = done.out.splitlines()
    assert head.split() == ["MS", "WHAT"]
    assert "agent says: “Hello from the bridge.”" in told[0]
    assert told[-1].endswith("call ended by the agent")


def test_another_agent(line: Line) -> None:
    line.entrypoint = "tests.support.agents:says_long"
    assert line.call("--agent", HELLO).code == 0
    assert heard_hello(line.twilio.next_report())


def test_a_bridge_that_runs_here_places_it(line: Line) -> None:
    with line.bridge():
        done = line.call()
        report = line.twilio.next_report()
    assert (done.code, done.err) == (0, "")
    assert done.out == f"call {report.call_sid} is placed by the bridge at http://127.0.0.1:{line.port}\n"
    assert heard_hello(report)


def test_a_bridge_that_runs_here_and_wants_its_token(line: Line) -> None:
    line.more = f'admin_token = "{TOKEN}"'
    with line.bridge():
        assert line.call().code == 0
        assert heard_hello(line.twilio.next_report())
        line.more = 'admin_token = "another"'
        done = line.call()
    assert (done.code, done.out) == (2, "")
    assert (
        f"server.admin_token: is not that of the bridge that runs at http://127.0.0.1:{line.port}" in done.err
    )
    assert len(line.twilio.granted) == 1


def test_a_bridge_that_runs_here_and_is_refused_by_the_carrier(line: Line) -> None:
    line.account = "AC" + "2" * 32
    with line.bridge():
        done = line.call()
    assert (done.code, done.out) == (1, "")
    assert "did not place the call: twilio: cannot place the call: " in done.err
    assert "HTTP 401" in done.err


def test_the_port_is_a_strangers(line: Line) -> None:
    with in_thread(PublicDoor(website=True)) as stranger:
        line.port = int(stranger.url.rpartition(":")[2])
        done = line.call()
    assert (done.code, done.out) == (2, "")
    assert f"server.port: cannot listen on 127.0.0.1:{line.port}" in done.err
    assert line.twilio.granted == []


def test_the_carrier_refuses(line: Line) -> None:
    line.account = "AC" + "2" * 32
    done = line.call()
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("bridge: twilio: cannot place the call: ")
    assert "HTTP 401" in done.err


def test_credentials_for_it_are_missing(line: Line) -> None:
    line.account = ""
    done = line.call()
    assert (done.code, done.out) == (1, "")
    assert "carriers.twilio.account_sid" in done.err


def test_nobody_answers(line: Line) -> None:
    line.twilio.callee = None
    done = line.call("--answered-within-s", 0.01)
    assert (done.code, done.out) == (1, "")
    assert "was not answered within 0.01 s" in done.err


@pytest.mark.parametrize(
    "via, to, from_, arguments, code, told",
    [
        ("twillio", CALLEE, OURS, (), 2, "--via: 'twillio' is no carrier: did you mean twilio?"),
        ("telnyx", CALLEE, OURS, (), 2, "carriers.telnyx.public_key: is missing"),
        (
            "twilio",
            "0171 1234567",
            OURS,
            (),
            2,
            "--to: '0171 1234567' is no number: write + and the country code",
        ),
        ("twilio", CALLEE, "anonymous", (), 2, "--from: 'anonymous' is no number"),
        (
            "twilio",
            CALLEE,
            OURS,
            ("--agent", "nowhere:agent"),
            2,
            "--agent: agent.entrypoint: cannot import nowhere",
        ),
        ("twilio", CALLEE, OURS, ("--agent", "nowhere"), 2, "--agent: agent.entrypoint: "),
        ("genesys", CALLEE, OURS, (), 1, "genesys: calls cannot be placed through it"),
    ],
)
def test_what_cannot_be(
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    via: str,
    to: str,
    from_: str,
    arguments: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    monkeypatch.setenv("BRIDGE_CARRIERS__GENESYS__API_KEY", "k")
    monkeypatch.setenv("BRIDGE_CARRIERS__GENESYS__CLIENT_SECRET", "c2VjcmV0")
    done = line.call(*arguments, via=via, to=to, from_=from_)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert line.twilio.granted == []


def test_ctrl_c_hangs_up(line: Line, tmp_path: Path) -> None:
    line.write()
    arguments = ("--via", "twilio", "--to", CALLEE, "--from", OURS, "-c", "bridge.toml")
    agent = ("--agent", "tests.support.agents:tells_and_waits")
    with started("call", *arguments, *agent, cwd=tmp_path) as process:
        assert next_line(process) == "the agent is on the line\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert "call ended by the agent" in out
    assert "Traceback" not in err
    assert line.twilio.next_report().outcome is Outcome.BRIDGE_CLOSED
