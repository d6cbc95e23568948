"""README's way to a real number: each of its commands, in its order, with stand-ins for Lightning and Twilio."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path
from urllib.parse import parse_qs

from bridge.carriers.twilio import TwilioConfig
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.rest_stand_in import EmulatedRest
from bridge.secret import Secret
from tests.support.bridge import free_port
from tests.support.calling_rest import CallingTwilio
from tests.support.cli import ROOT, bridge, next_line, started
from tests.support.in_thread import in_thread

ACCOUNT, AUTH = "AC" + "1" * 32, "an-auth-token-for-tests"


def commands() -> dict[str, list[str]]:
    """The arguments of each ``bridge`` command of the section, by its first word, in order."""
    readme = (ROOT / "README.md").read_text("utf-8")
    section = re.search(r"^## Five minutes to a real number\n(.*?)(?=^## )", readme, re.DOTALL | re.MULTILINE)
    assert section
    blocks = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", section[1], re.DOTALL | re.MULTILINE))
    lines = [shlex.split(line, comments=True) for line in re.findall(r"^ *bridge (.*)", blocks, re.MULTILINE)]
    return {words[0]: words for words in lines}


def test_each_command_in_its_order(tmp_path: Path) -> None:
    twilio = CallingTwilio(TwilioConfig(account_sid=ACCOUNT, auth_token=Secret(AUTH)))
    port, told = free_port(), commands()
    lightning = EmulatedLightning(EmulatorOptions(first_byte_ms=0))
    with in_thread(lightning), in_thread(EmulatedRest(twilio)) as api:
        env = {
            "SMALLEST_API_KEY": "k",
            "BRIDGE_LIGHTNING__BASE_URL": lightning.url,
            "BRIDGE_SERVER__HOST": "127.0.0.1",
            "BRIDGE_SERVER__PORT": str(port),
            "BRIDGE_SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
            "BRIDGE_CARRIERS__TWILIO__ACCOUNT_SID": ACCOUNT,
            "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": AUTH,
            "BRIDGE_CARRIERS__TWILIO__API_URL": api.url,
            "BRIDGE_AGENT__ENTRYPOINT": "tests.support.agents:says_hello",
        }
        assert list(told) == ["init", "doctor", "setup", "serve", "call"]
        for name in ("init", "doctor", "setup"):
            done = bridge(*told[name], cwd=tmp_path, stdin=b"", **env)
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
        form = parse_qs(twilio.granted[-1].body.decode())
        assert form["VoiceUrl"] == [f"http://127.0.0.1:{port}/carriers/twilio/answer"]
        with started(*told["serve"], cwd=tmp_path, **env) as process:
            assert "listening" in next_line(process)
            done = bridge(*told["call"], cwd=tmp_path, stdin=b"", **env)
            assert (done.returncode, done.stderr) == (0, "")
            assert twilio.next_report().ok
            process.send_signal(signal.SIGTERM)
            process.communicate()
