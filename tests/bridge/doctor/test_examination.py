"""What the doctor finds wrong with a carrier's settings, which is not to be looked for anywhere else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bridge.carriers.rest import Plan
from bridge.carriers.telnyx import SIMULATED_KEY, Telnyx, TelnyxConfig
from bridge.doctor.examination import Examination
from bridge.doctor.findings import Finding, Verdict
from bridge.doctor.web import Web
from bridge.errors import Unsupported
from bridge.secret import Secret
from tests.support.bridge import make_config


async def found(public_url: str, key: str, check: str = "telnyx settings") -> Finding:
    """What is found of Telnyx's settings."""
    config = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever")
    carriers = replace(config.carriers, telnyx=TelnyxConfig(public_key=Secret(key)))
    config = replace(config, carriers=carriers, server=replace(config.server, public_url=public_url))
    async with Web(1.0) as web:
        findings = Examination(config, "test", web).findings()
        while (finding := await anext(findings)).check != check:
            pass
    return finding


@pytest.mark.parametrize(
    ("public_url", "key", "verdict"),
    [
        ("https://bridge.example.com", SIMULATED_KEY, Verdict.FAIL),
        ("http://127.0.0.1:8080", SIMULATED_KEY, Verdict.PASS),
        ("http://localhost:8080", SIMULATED_KEY, Verdict.PASS),
        ("https://bridge.example.com", "A" * 43 + "=", Verdict.PASS),
    ],
)
async def test_a_key_that_everybody_has_is_for_trials_on_this_machine(
    public_url: str, key: str, verdict: Verdict
) -> None:
    finding = await found(public_url, key)
    assert finding.verdict is verdict
    assert SIMULATED_KEY not in finding.detail
    if verdict is Verdict.FAIL:
        assert finding.mend == "set your own carriers.telnyx.public_key"


def unusable(_carrier: Telnyx) -> list[tuple[str, str]]:
    return [("public_key", "a package is not installed: install the extra `telnyx`.")]


def unreadable(carrier: Telnyx) -> Plan[str]:
    raise Unsupported("the key cannot be read", carrier=carrier.name)
    yield


async def test_a_setting_that_is_there_is_not_told_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Telnyx, "missing", unusable)
    finding = await found("http://127.0.0.1:8080", SIMULATED_KEY)
    assert finding.detail.startswith("public_key cannot be used: a package is not installed")
    assert finding.mend == "do so; until then Telnyx is not served"
    finding = await found("http://127.0.0.1:8080", "")
    assert finding.detail.startswith("public_key is missing: ")
    assert finding.mend.startswith("set carriers.telnyx.public_key; ")


async def test_what_is_wrong_here_is_not_looked_for_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Telnyx, "check", unreadable)
    finding = await found("http://127.0.0.1:8080", SIMULATED_KEY, "telnyx account")
    assert finding.mend.startswith("see the credentials in [carriers.telnyx]: ")
