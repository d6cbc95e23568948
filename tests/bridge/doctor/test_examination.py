"""What the doctor finds without asking anybody."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bridge.carriers.telnyx import SIMULATED_KEY, TelnyxConfig
from bridge.doctor.examination import Examination
from bridge.doctor.findings import Finding, Verdict
from bridge.doctor.web import Web
from bridge.secret import Secret
from tests.support.bridge import make_config


async def found(public_url: str, key: str) -> Finding:
    """What is found of Telnyx's settings."""
    config = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever")
    carriers = replace(config.carriers, telnyx=TelnyxConfig(public_key=Secret(key)))
    config = replace(config, carriers=carriers, server=replace(config.server, public_url=public_url))
    async with Web(1.0) as web:
        findings = Examination(config, "test", web).findings()
        while (finding := await anext(findings)).check != "telnyx settings":  # before anybody is asked
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
