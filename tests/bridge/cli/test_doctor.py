"""``bridge doctor`` on loopback: a Lightning, the carrier's API and a proxy, as they should be and otherwise."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.carriers.twilio import TwilioConfig
from bridge.cli.doctor import show
from bridge.doctor.findings import Finding, Verdict
from bridge.emulators.carriers.twilio_rest import TwilioRest
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.rest_stand_in import EmulatedRest
from bridge.secret import Secret
from bridge.server.serve import running
from tests.support.bridge import free_port, make_config
from tests.support.cli import Done, Invoke, bridge
from tests.support.in_thread import in_thread
from tests.support.public_door import PublicDoor

KEY = "sk-a-key-that-stays-secret"
AUTH = "an-auth-token-that-stays-secret"
ACCOUNT = "AC" + "1" * 32
AGENT = "bridge.agents.greeter:greeter"


@dataclass
class Installation:
    """A configuration, and everything that it names."""

    invoke: Invoke
    lightning: EmulatedLightning
    api: EmulatedRest
    door: PublicDoor
    port: int
    more: str = ""
    account: str = ACCOUNT
    auth: str = AUTH
    key: str = KEY
    public_url: str = ""
    findings: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def write(self) -> None:
        Path("bridge.toml").write_text(f"""
[server]
host = "127.0.0.1"
port = {self.port}
public_url = "{self.public_url or self.door.url}"
[lightning]
base_url = "{self.lightning.url}"
api_key = "{self.key}"
[carriers.twilio]
api_url = "{self.api.url}"
account_sid = "{self.account}"
auth_token = "{self.auth}"
{self.more}
""")

    def examined(self, *arguments: object) -> Done:
        """Run it, as a machine would; what it found is in `findings`, by check."""
        self.write()
        done = self.invoke("doctor", "-c", "bridge.toml", "--json", *arguments)
        found = json.loads(done.out)
        self.findings = {f["check"]: (f["verdict"], f["detail"], f["mend"]) for f in found}
        assert done.err == ""
        assert not [secret for secret in (KEY, AUTH) if secret in done.out]
        assert done.code == int(any(f["verdict"] == "fail" for f in found))
        assert all(bool(f["mend"]) == (f["verdict"] == "fail") for f in found), (
            "a mend where there is something to mend"
        )
        return done

    @property
    def failed(self) -> set[str]:
        return {check for check, (verdict, _, _) in self.findings.items() if verdict == "fail"}


@pytest.fixture
def installation(invoke: Invoke) -> Iterator[Installation]:
    """One that is as it should be."""
    section = TwilioConfig(account_sid=ACCOUNT, auth_token=Secret(AUTH))
    with ExitStack() as stack:
        # A Lightning that knows the key, and would tell a wrong one.
        lightning = EmulatedLightning(EmulatorOptions(first_byte_ms=0, api_key=Secret(KEY)))
        stack.enter_context(in_thread(lightning))
        api = stack.enter_context(in_thread(EmulatedRest(TwilioRest(section))))
        port = free_port()
        door = stack.enter_context(in_thread(PublicDoor(f"http://127.0.0.1:{port}")))
        yield Installation(invoke, lightning, api, door, port)


def test_all_is_well(installation: Installation) -> None:
    done = installation.examined()
    assert done.code == 0
    told = {check: verdict for check, (verdict, _, _) in installation.findings.items()}
    assert told == {
        "config": "pass",
        "agent": "pass",
        "settings": "pass",
        "twilio settings": "pass",
        "open files": "pass",
        "machine": "info",
        "lightning": "pass",
        "twilio account": "pass",
        "clock": "pass",
        "bridge": "pass",
        "certificate": "skip",
        "public address": "pass",
        "websockets": "pass",
        "twilio signature": "pass",
        "twilio forgery": "pass",
    }
    assert "The stand-in's account" in installation.findings["twilio account"][1]
    assert "was started for this check" in installation.findings["bridge"][1]
    assert list(installation.lightning.stats.texts) == ["Yes."], "one word, and no more"


def test_a_bridge_that_runs_is_asked_itself(installation: Installation) -> None:
    config = make_config(
        installation.lightning.url,
        AGENT,
        server={"port": installation.port, "public_url": installation.door.url},
    )
    with in_thread(running(config, source="test")):
        installation.examined()
    assert "is running" in installation.findings["bridge"][1]
    assert installation.failed == {"twilio signature"}, "its auth token is another one"


@pytest.mark.parametrize(
    "fault, wrong",
    [
        ({"website": True}, {"public address"}),
        ({"redirect_to": "https://elsewhere.example"}, {"public address"}),
        ({"bridge_url": "http://127.0.0.1:1"}, {"public address"}),
        ({"drops_upgrades": True}, {"websockets"}),
        ({"changes_bodies": True}, {"twilio signature"}),
        ({"answers_webhooks": True}, {"twilio forgery"}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_proxy_that_does_what_it_should_not(
    installation: Installation, fault: dict[str, object], wrong: set[str]
) -> None:
    for name, value in fault.items():
        setattr(installation.door, name, value)
    assert installation.examined().code == 1
    assert installation.failed == wrong


def test_an_address_at_which_nobody_is(installation: Installation) -> None:
    installation.public_url = "http://127.0.0.1:1"
    installation.examined()
    assert installation.failed == {"public address"}
    assert "nobody listens there" in installation.findings["public address"][1]


def test_a_certificate_that_is_not_one(installation: Installation) -> None:
    """The proxy speaks no TLS at all."""
    installation.public_url = installation.door.url.replace("http:", "https:")
    installation.examined()
    assert installation.failed == {"certificate", "public address"}


def test_another_bridge_behind_the_address(installation: Installation) -> None:
    installation.door.other_bridge_for = 1000
    installation.examined()
    assert installation.failed == {"public address"}
    assert "not to this one" in installation.findings["public address"][1]


def test_several_bridges_behind_the_address(installation: Installation) -> None:
    installation.door.other_bridge_for = 3
    installation.examined()
    assert installation.failed == set()


def test_a_port_that_a_stranger_has(installation: Installation) -> None:
    with in_thread(PublicDoor(website=True)) as stranger:
        installation.port = int(stranger.url.rpartition(":")[2])
        installation.examined()
    assert installation.failed == {"bridge"}
    assert "something else answers there" in installation.findings["bridge"][1]
    assert "public address" not in installation.findings


def test_a_key_that_is_wrong(installation: Installation) -> None:
    installation.key = "sk-another"
    installation.examined()
    assert installation.failed == {"lightning"}
    assert "lightning.api_key" in installation.findings["lightning"][2]


def test_a_lightning_that_is_not_there_and_a_fallback_that_is(installation: Installation) -> None:
    installation.more = (
        f'[[lightning.fallbacks]]\nbase_url = "{installation.lightning.url}"\nvoice_id = "liam"\n'
    )
    installation.write()
    path = Path("bridge.toml")
    installation.more += "# and the first is not\n"
    text = path.read_text().replace(
        f'base_url = "{installation.lightning.url}"', 'base_url = "http://127.0.0.1:1"', 1
    )
    path.write_text(text)
    done = installation.invoke("doctor", "-c", "bridge.toml")
    assert done.code == 1
    lines = done.out.splitlines()
    assert [line for line in lines if line.startswith("fail  lightning: ") and "cannot connect" in line]
    assert [line for line in lines if line.startswith("pass  lightning.fallbacks[0]: ") and '"liam"' in line]
    assert [line for line in lines if "mend: is lightning.base_url right" in line]


def test_a_voice_that_the_account_does_not_have(installation: Installation) -> None:
    installation.more = '[[lightning.fallbacks]]\nvoice_id = "magnnus"\n'
    installation.examined()
    assert {"lightning.fallbacks[0]", "voices"} & installation.failed
    assert "magnnus" in str(installation.findings)


def test_credentials_of_the_carrier_that_are_wrong(installation: Installation) -> None:
    installation.account = "AC" + "2" * 32
    installation.examined()
    assert installation.failed == {"twilio account"}
    _, seen, mend = installation.findings["twilio account"]
    assert "HTTP 401" in seen
    assert "[carriers.twilio]" in mend


def test_an_api_that_is_not_there(installation: Installation) -> None:
    installation.api.url = "http://127.0.0.1:1"
    installation.examined()
    assert installation.failed == {"twilio account"}
    assert "carriers.twilio.api_url" in installation.findings["twilio account"][2]


def test_no_credentials_are_skipped(installation: Installation) -> None:
    installation.account = ""
    assert installation.examined().code == 0
    assert installation.findings["twilio account"][0] == "skip"


def test_more_calls_than_files(installation: Installation) -> None:
    installation.examined("--calls", 10_000_000)
    assert installation.failed <= {"open files"}


def test_an_agent_that_is_not_there(installation: Installation) -> None:
    installation.more = '[agent]\nentrypoint = "nowhere:agent"\n'
    installation.examined()
    assert installation.failed == {"agent"}
    assert installation.findings["public address"][0] == "skip"


def test_what_must_be_filled_in(invoke: Invoke) -> None:
    """As `bridge init` leaves it."""
    invoke("init")
    done = invoke("doctor", "-c", "bridge.toml")
    assert done.code == 1
    told = [line.strip() for line in done.out.splitlines()]
    assert "fail  settings: server.public_url: is missing: carriers sign it and connect to it." in told
    assert [
        line for line in told if line.startswith("mend: set carriers.twilio.auth_token; until then Twilio")
    ]
    assert [line for line in told if line.startswith("skip  lightning: ")]
    assert [line for line in told if line.startswith("skip  public address: no bridge can be started")]
    assert "SMALLEST_API_KEY" not in [line for line in told if line.startswith("pass")]


@pytest.mark.parametrize(
    "content, told", [("[server", "is not TOML"), ("[sever]\n", "did you mean `server`?")]
)
def test_a_configuration_that_is_wrong(invoke: Invoke, content: str, told: str) -> None:
    Path("bridge.toml").write_text(content)
    done = invoke("doctor", "-c", "bridge.toml")
    assert (done.code, done.err) == (1, "")
    first, mend = done.out.splitlines()
    assert first.startswith("fail  config: bridge.toml: ")
    assert told in first
    assert "bridge init" in mend


def test_as_a_process(installation: Installation, tmp_path: Path) -> None:
    installation.write()
    done = bridge("doctor", "-c", "bridge.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "pass  config: bridge.toml"
    assert "\x1b" not in done.stdout


class Terminal(io.StringIO):
    """Somebody watches."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_is_the_same_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("clock", Verdict.FAIL, "[bold]61 s\x1b[2J ahead", "set it")
    shown = {}
    for out in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stdout", out)
        show(finding)
        shown[out.isatty()] = out.getvalue()
    assert shown[False] == "fail  clock: [bold]61 s?[2J ahead\n      mend: set it\n"
    assert "\x1b[" in shown[True]
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown[True]) == shown[False]
