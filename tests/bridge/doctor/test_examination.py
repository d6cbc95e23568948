"""What the doctor finds wrong with a carrier's settings, which is not to be looked for anywhere else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from websockets.datastructures import Headers
from websockets.http11 import Response

from bridge.call import Call
from bridge.carriers.rest import Plan
from bridge.carriers.telnyx import SIMULATED_KEY, Telnyx, TelnyxConfig
from bridge.config import PulseConfig
from bridge.doctor.examination import Examination
from bridge.doctor.findings import Finding, Verdict
from bridge.doctor.web import Web
from bridge.errors import Unsupported
from bridge.secret import Secret
from tests.support.bridge import make_config
from tests.support.scripted_pulse import Line, ScriptedPulse


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


async def of_pulse(url: str, key: str = "sk-hidden") -> Finding | None:
    """What is found of Pulse there; None when it is not mentioned."""
    config = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever")
    config = replace(
        config, pulse=PulseConfig(base_url=url, api_key=Secret(key), connect_timeout_s=1.0) if url else None
    )
    if not key:
        config = replace(config, lightning=replace(config.lightning, api_key=Secret()))
    async with Web(1.0) as web:
        findings = [finding async for finding in Examination(config, "test", web).findings()]
    return next((finding for finding in findings if finding.check == "pulse"), None)


def refusing(status: int, body: bytes = b"") -> ScriptedPulse:
    return ScriptedPulse(refuse=lambda _: Response(status, "", Headers(), body))


async def full(line: Line) -> None:
    await line.socket.close(1008, "")


async def test_pulse_is_asked_for_a_socket() -> None:
    async with ScriptedPulse() as server:
        assert await of_pulse(server.url) == Finding("pulse", Verdict.PASS, "pulse (en): opens a socket")
        (line,) = server.lines
        assert (line.pieces, line.asked) == ([], ["close_stream"])


async def test_pulse_is_not_mentioned_where_nobody_wants_it() -> None:
    assert await of_pulse("") is None


async def test_without_a_key_pulse_is_not_asked() -> None:
    finding = await of_pulse("http://127.0.0.1:1", "")
    assert finding == Finding("pulse", Verdict.SKIP, "pulse (en): no api_key")


@pytest.mark.parametrize(
    ("server", "detail", "mend"),
    [
        (refusing(401, b'{"message":"no sk-hidden"}'), "no ***", "the key"),
        (refusing(400), "HTTP 400", "language, model"),
        (refusing(503), "HTTP 503", "pulse.base_url"),
        (ScriptedPulse(full), "closed with 1008", "concurrency"),
    ],
)
async def test_why_pulse_opens_no_socket(server: ScriptedPulse, detail: str, mend: str) -> None:
    async with server:
        finding = await of_pulse(server.url)
    assert finding is not None
    assert (finding.verdict, finding.detail) == (Verdict.FAIL, f"pulse (en): {detail}")
    assert mend in finding.mend


async def deaf(_call: Call) -> None:
    """Needs words."""


deaf.needs_words = True  # type: ignore[attr-defined]


async def test_an_agent_that_needs_words_where_nobody_listens() -> None:
    config = make_config("http://127.0.0.1:1", f"{__name__}:deaf")
    async with Web(1.0) as web:
        first = await anext(Examination(config, "test", web).findings())
        assert (first.check, first.verdict) == ("agent", Verdict.FAIL)
        assert "listens to words: add a [pulse] section" in first.detail
        heard = replace(config, pulse=PulseConfig())
        assert (await anext(Examination(heard, "test", web).findings())).verdict is Verdict.PASS
