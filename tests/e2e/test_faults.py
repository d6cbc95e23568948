"""Lightning or the agent fails: the caller hears an apology, the agent is told, and nobody hangs.

Calls are in real time and the apology lasts three seconds, so calls that fail in different ways run side by side.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bridge.config import Secret
from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.errors import Busy, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.media.heard import Heard
from bridge.prompts import apology
from bridge.server.limits import Limits
from telephony_codecs.formats import MULAW_8K
from tests.support import agents
from tests.support.bridge import AUTH_TOKEN, Stage, stage
from tests.support.hearing import sent_to
from tests.support.log import tracebacks
from tests.support.tone_words import spoken

HELLO = "Hello from the bridge."
#: No deadline of Lightning's makes a test wait for seconds.
IMPATIENT = {"connect_timeout_s": 0.3, "first_audio_timeout_s": 0.3, "stall_timeout_s": 0.3}
#: No call here lasts longer, whatever happens to it.
AT_MOST_S = 12.0


async def call(s: Stage, **changes: Any) -> CallReport:
    async with asyncio.timeout(AT_MOST_S):
        return await s.call(**{"hang_up_after_s": AT_MOST_S - 1} | changes)


# -- Lightning ---------------------------------------------------------------------------------------------------


@contextmanager
def silent_port() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@dataclass
class Fault:
    """One way of failing, and what must come of it."""

    name: str
    raises: type[LightningError]
    retries: int
    #: How much of the sentence is heard before the apology.
    heard_ms: float = 0.0
    options: EmulatorOptions = field(default_factory=EmulatorOptions)
    base_url: str = ""


FAULTS = [
    Fault("the key is refused", Unauthorized, 0, options=EmulatorOptions(refuse=401)),
    Fault("over the rate", Busy, 1, options=EmulatorOptions(refuse=429)),
    Fault("out of service", Unavailable, 1, options=EmulatorOptions(refuse=503)),
    Fault("nobody listens", Unavailable, 1, base_url="free"),
    Fault("the handshake is not answered", TimedOut, 1, base_url="silent"),
    Fault("no first audio", TimedOut, 1, options=EmulatorOptions(stall_after_ms=0)),
    Fault("stalls half way", TimedOut, 1, 600, options=EmulatorOptions(stall_after_ms=300)),
    Fault("drops before it begins", Unavailable, 1, options=EmulatorOptions(fail_after_ms=0)),
    Fault("drops half way", Unavailable, 1, 600, options=EmulatorOptions(fail_after_ms=300)),
]


async def suffer(fault: Fault) -> list[str]:
    """Make a call that meets `fault`; returns what was not as it must be."""
    with silent_port() as silent, socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # taken, so that nobody else can begin to listen there
        urls = {
            "": {},
            "free": {"base_url": f"http://127.0.0.1:{unheard.getsockname()[1]}"},
            "silent": {"base_url": silent},
        }
        sections = {"lightning": IMPATIENT | urls[fault.base_url]}
        async with stage(
            "tests.support.agents:meets_a_failure", lightning=fault.options, sections=sections
        ) as s:
            report = await call(s)
            stats, told = s.server.runtime.stats, agents.log.pop(report.call_sid)
            await s.server.runtime.drained()
    before, found, after = sent_to(report).partition(apology().audio)
    checks = {
        "the apology is heard bit by bit": bool(found) and not after.strip(b"\xff"),
        "after what came of the sentence": len(before.rstrip(b"\xff")) <= MULAW_8K.bytes_in(fault.heard_ms),
        "and that is played": bool(before) == bool(fault.heard_ms),
        "the caller hears all of it": apology().audio.strip(b"\xff") in report.heard,
        "`say` raises": [type(error) for error in told] == [fault.raises],
        "once": stats.voice_failures == 1,
        "after one retry": s.server.runtime.voice.stats.retries == fault.retries,
        "the agent ends the call": (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1000),
        "no unit is kept": not s.units_in_use,
        "the agent has not failed": stats.agent_errors == 0,
    }
    return [f"{fault.name}: not so: {check}" for check, holds in checks.items() if not holds]


async def test_however_lightning_fails_the_caller_hears_an_apology_and_the_agent_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complaints = await asyncio.gather(*map(suffer, FAULTS))
    assert [complaint for of_one in complaints for complaint in of_one] == []
    assert tracebacks(caplog) == []


@pytest.mark.parametrize(
    ("fault", "voice", "again"),
    [
        pytest.param({"fail_after_ms": 300.0}, "magnus", HELLO, id="drops, without word times"),
        pytest.param({"fail_after_ms": 300.0}, "devansh", "from the bridge.", id="drops, with word times"),
        pytest.param({"stall_after_ms": 300.0}, "magnus", HELLO, id="stalls"),
        pytest.param({"fail_after_ms": 0.0}, "magnus", HELLO, id="drops at once"),
    ],
)
async def test_a_retry_says_the_rest_and_at_most_one_word_twice(
    fault: dict[str, float], voice: str, again: str
) -> None:
    """The first word lasts 300 ms; without the words' times nobody can be sure that it has been said whole."""
    options = EmulatorOptions(faulty_requests=1, **fault)  # type: ignore[arg-type]
    sections = {"lightning": IMPATIENT | {"voice_id": voice}}
    async with stage("tests.support.agents:says_hello", lightning=options, sections=sections) as s:
        report = await call(s)
        stats = s.server.runtime.voice.stats
        assert stats.retries + stats.resends == 1  # nobody need know when a spare socket turns out to be dead
        assert s.server.runtime.stats.voice_failures == 0
    (heard,) = agents.log.pop(report.call_sid)
    assert isinstance(heard, Heard)
    assert (heard.text, heard.interrupted) == (HELLO, False)
    assert list(s.lightning.stats.texts) == [HELLO, again]
    (fault_ms,) = fault.values()
    wanted = spoken(HELLO, voice)[: MULAW_8K.bytes_in(fault_ms)] + spoken(again, voice)
    assert sent_to(report).rstrip(b"\xff") == wanted.rstrip(b"\xff")


async def test_after_an_apology_the_agent_may_go_on() -> None:
    options = EmulatorOptions(fail_after_ms=100, faulty_requests=2)
    sections = {"agent": {"options": {"texts": ["This sentence will not be spoken.", HELLO]}}}
    async with stage("tests.support.agents:says_its_texts", lightning=options, sections=sections) as s:
        report = await call(s)
    error, heard = agents.log.pop(report.call_sid)
    assert isinstance(error, Unavailable)
    assert isinstance(heard, Heard)
    assert heard.text == HELLO
    _, _, after = sent_to(report).partition(apology().audio)
    assert spoken(HELLO) in after


async def test_an_agent_that_does_not_look_has_its_call_ended_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with stage(
        "tests.support.agents:lets_a_failure_through", lightning=EmulatorOptions(refuse=401)
    ) as s:
        report = await call(s)
        assert s.server.runtime.stats.agent_errors == 0
    assert apology().audio in sent_to(report)
    assert (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1000)
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("bridge.server.running")
               and record.levelno == logging.ERROR]  # fmt: skip
    assert "the voice failed: Invalid or missing API key" in line
    assert tracebacks(caplog) == []


# -- the agent ---------------------------------------------------------------------------------------------------


async def test_a_broken_agent_costs_its_own_call_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with stage("tests.support.agents:is_broken_for_some") as s:
        bad, good = await asyncio.gather(call(s, from_number="+15550100013"), call(s))
        assert s.server.runtime.stats.agent_errors == 1
        assert s.server.runtime.stats.calls_ended == {"agent": 2}
    assert sent_to(bad).startswith(apology().audio)
    assert bad.close_code == good.close_code == 1000
    assert sent_to(good).startswith(spoken(HELLO))
    (told,) = tracebacks(caplog)
    assert "ZeroDivisionError" in told
    agents.log.pop(good.call_sid)


@pytest.mark.parametrize("agent", ["clings_on", "cannot_be_cancelled"])
async def test_an_agent_that_outlives_its_call_is_cancelled(
    agent: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(f"tests.support.agents:{agent}", limits=Limits(agent_grace_s=0.1)) as s:
        report = await call(s, hang_up_after_s=0.2)
        async with asyncio.timeout(2):
            await s.server.runtime.drained()
        assert not s.server.runtime.calls
    assert agents.log.pop(report.call_sid) == ["cancelled"]
    assert "was cancelled" in caplog.text
    assert tracebacks(caplog) == []


# -- secrets -----------------------------------------------------------------------------------------------------

API_KEY, NUMBER, TEXT = "sk-canary-5f1c", "+15550104242", "Zanzibar"


async def call_with_canaries(refuse: int) -> list[str]:
    """Make a call whose every secret is known; returns the agent's error as it would be printed."""
    sections: dict[str, dict[str, Any]] = {
        "lightning": {"api_key": Secret(API_KEY)},
        "agent": {"options": {"texts": [TEXT]}},
    }
    options = EmulatorOptions(refuse=refuse, api_key=Secret(API_KEY))
    async with stage("tests.support.agents:says_its_texts", lightning=options, sections=sections) as s:
        report = await call(s, from_number=NUMBER)
        assert s.server.runtime.stats.calls_ended == {"agent": 1}
    (said,) = agents.log.pop(report.call_sid)
    return [repr(said), *traceback.format_exception(said)] if isinstance(said, LightningError) else []


async def test_secrets_and_what_is_said_are_in_no_log_and_no_error(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    errors = await asyncio.gather(*map(call_with_canaries, (0, 401, 503)))
    assert [bool(error) for error in errors] == [False, True, True]
    told = [record.getMessage() + str(record.exc_info) for record in caplog.records]
    assert any("ended: agent" in line for line in told), "the log does tell of calls"
    told += [line for error in errors for line in error] + list(capfd.readouterr())
    for canary in (API_KEY, AUTH_TOKEN.reveal(), NUMBER, TEXT):
        assert not [line for line in told if canary in line]
