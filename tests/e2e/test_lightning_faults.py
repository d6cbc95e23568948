"""Lightning fails on a live call, in every way there is: what the caller hears, with and without a fallback.

Each row is a call three times over. When the fault happens once, the one retry says the rest. When it goes on, the
caller hears an apology; or, with a fallback, the rest in the other voice, which then keeps the call. No word is ever
lost, at most the one that was cut short is begun again, and the silences follow from the deadlines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridge.emulators.lightning_audio import wav_header
from bridge.errors import Busy, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.prompts import apology
from telephony_codecs.formats import AudioFormat, Encoding
from tests.support.failing_calls import (
    AT_FIRST_BYTES,
    DEADLINE_S,
    Circumstances,
    Result,
    Times,
    call_under,
    came_to,
    on_the_way_back,
    paced,
    selected,
    side_by_side,
)
from tests.support.fault_proxy import FaultProxy, Trouble
from tests.support.hearing import FIRST, OTHER_VOICE, SECOND, VOICE, sent_to
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.scripted_socket import Message
from tests.support.scripted_tones import Upset, tone_lightning

#: Nobody waits longer in silence, whatever happens.
LONGEST_SILENCE_MS: Final = 2000.0
#: In the middle of the third word.
HALF_WAY_MS: Final = 600.0
#: After the handshake and some 400 ms of audio, in the middle of a frame.
HALF_WAY_BYTES: Final = 6000
NO_SPARES: Final = {"spare_connections": 0}


@dataclass(frozen=True, kw_only=True)
class Row(Circumstances):
    """One way of failing, and what must come of it."""

    #: What the agent is told when it goes on.
    error: type[LightningError]
    #: Whether words are heard before.
    half_way: bool = False
    #: How long the caller waits because of one failure, and before the retry.
    wait_s: float = 0.0
    backoff_s: float = 0.0
    #: Whether the same Lightning is asked once more before the fallback is.
    retried: bool = False
    #: Whether it makes sense that it happens only once.
    may_pass: bool = True


# -- ways of failing ---------------------------------------------------------------------------------------------


def no_listener(network: FaultProxy, times: Times) -> None:
    if times is None:
        network.refuse()
    else:
        network.reset_next = times


def refused_with(status: int, code: str, retry_after: str = "") -> Callable[[Times], ScriptedLightning]:
    def lightning(times: Times) -> ScriptedLightning:
        refusals = 0

        def refuse(_request: Request) -> Response | None:
            nonlocal refusals
            refusals += 1
            if times is not None and refusals > times:
                return None
            body = json.dumps({"status": "error", "error_code": code, "message": "Refused"}).encode()
            headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
            if retry_after:
                headers["Retry-After"] = retry_after
            return Response(status, code, headers, body)

        return tone_lightning(refuse=refuse)

    return lightning


def upset_by(upset: Upset, after_ms: float) -> Callable[[Times], ScriptedLightning]:
    return lambda times: tone_lightning(upset, after_ms=after_ms, times=times)


async def all_units_in_use(line: Line, asked: Message) -> bool:
    message = "Concurrency limit reached: 1 of 1 requests are active"
    await line.error(asked, message=message, error_code="CONCURRENCY_LIMIT_EXCEEDED")
    return False


async def an_error(line: Line, asked: Message) -> bool:
    await line.error(asked, message="Something went wrong", error_code="INTERNAL_ERROR")
    return False


async def nothing_but_garbage(line: Line, _asked: Message) -> bool:
    for garbage in ('{"status":', '{"status":"chunk","data":{"audio":"%"}}', '{"status":"chunk"}'):
        await line.send(garbage)
    return False


async def nothing_at_all(line: Line, asked: Message) -> bool:
    await line.complete(asked)
    return False


def with_an_impossible_header(times: Times) -> ScriptedLightning:
    header = wav_header(AudioFormat(Encoding.PCM16, 8000)).replace(b"\x01\x00\x01\x00", b"\x01\x00\x06\x00")
    return tone_lightning(times=times, encode=lambda mulaw: header + mulaw)


ROWS: Final = {
    "refuses TCP": Row(error=Unavailable, retried=True, network=no_listener, config=NO_SPARES),
    # A zone that no interface has: the resolver says so itself, and asks no network.
    "has no address": Row(
        error=Unavailable,
        retried=True,
        may_pass=False,
        config=NO_SPARES | {"base_url": "http://[::1%nowhere]:9"},
    ),
    "does not answer the handshake": Row(
        error=TimedOut, wait_s=DEADLINE_S, network=on_the_way_back(Trouble.STALL, 0), config=NO_SPARES
    ),
    "401": Row(
        error=Unauthorized,
        may_pass=False,
        scripted=refused_with(401, "UNAUTHORIZED"),
        config=NO_SPARES,
    ),
    "403": Row(
        error=Unauthorized,
        may_pass=False,
        scripted=refused_with(403, "FORBIDDEN"),
        config=NO_SPARES,
    ),
    "429, come back in a second": Row(
        error=Busy,
        backoff_s=1.0,
        scripted=refused_with(429, "RATE_LIMITED", retry_after="1"),
        config=NO_SPARES,
    ),
    "all units in use": Row(
        error=Busy, backoff_s=0.5, retried=True, scripted=upset_by(all_units_in_use, after_ms=0)
    ),
    "503": Row(
        error=Unavailable,
        retried=True,
        scripted=refused_with(503, "SERVICE_UNAVAILABLE"),
        config=NO_SPARES,
    ),
    "an error half way": Row(
        error=Unavailable, half_way=True, scripted=upset_by(an_error, after_ms=HALF_WAY_MS)
    ),
    "no first byte": Row(
        error=TimedOut, wait_s=DEADLINE_S, network=on_the_way_back(Trouble.STALL, AT_FIRST_BYTES)
    ),
    "stalls half way": Row(
        error=TimedOut,
        half_way=True,
        wait_s=DEADLINE_S,
        options=lambda times: paced(stall_after_ms=HALF_WAY_MS, faulty_requests=times or 0),
    ),
    "garbage in a row": Row(
        error=Unavailable, half_way=True, scripted=upset_by(nothing_but_garbage, after_ms=HALF_WAY_MS)
    ),
    "completes without audio": Row(
        error=Unavailable, retried=True, scripted=upset_by(nothing_at_all, after_ms=0)
    ),
    "audio for six loudspeakers": Row(error=Unavailable, retried=True, scripted=with_an_impossible_header),
    "FIN in mid-frame": Row(
        error=Unavailable, half_way=True, network=on_the_way_back(Trouble.FIN, HALF_WAY_BYTES)
    ),
    "RST in mid-frame": Row(
        error=Unavailable, half_way=True, network=on_the_way_back(Trouble.RST, HALF_WAY_BYTES)
    ),
    "half-open": Row(
        error=TimedOut,
        half_way=True,
        wait_s=DEADLINE_S,
        network=on_the_way_back(Trouble.SWALLOW, HALF_WAY_BYTES),
    ),
}


# -- the calls ---------------------------------------------------------------------------------------------------

Variety: TypeAlias = Literal["once", "for good", "with a fallback"]
Case: TypeAlias = tuple[str, Variety]


async def suffer(case: Case) -> Result:
    name, variety = case
    times = 1 if variety == "once" else None
    texts = [FIRST] if variety == "for good" else [FIRST, SECOND]
    return await call_under(ROWS[name], times=times, texts=texts, fallback=variety == "with a fallback")


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> dict[Case, Result | BaseException]:
    return side_by_side({case: partial(suffer, case) for case in selected(request, "case")})


@pytest.fixture
def row(case: Case) -> Row:
    return ROWS[case[0]]


@pytest.fixture
def result(results: dict[Case, Result | BaseException], case: Case) -> Result:
    return came_to(results, case)


def cases_of(variety: Variety) -> pytest.MarkDecorator:
    names = [name for name, row in ROWS.items() if row.may_pass or variety != "once"]
    return pytest.mark.parametrize("case", [(name, variety) for name in names], ids=names)


def longest_ms(result: Result, wait_s: float) -> float:
    """The longest silence that may be heard when `wait_s` are due."""
    assert wait_s * 1000 < LONGEST_SILENCE_MS
    return min(wait_s * 1000 + result.heard.allowance_ms, LONGEST_SILENCE_MS + result.report.late_ms)


@cases_of("once")
def test_what_passes_costs_a_retry_and_no_word(row: Row, result: Result) -> None:
    heard, stats = result.heard, result.stats
    assert heard.text == heard.text_by(VOICE) == f"{FIRST} {SECOND}"
    assert (heard.broken_off, heard.apologised) == ([], False)
    assert len(heard.repeated) <= row.half_way
    assert heard.silence_ms <= longest_ms(result, row.wait_s + row.backoff_s)
    assert result.told_whole == [FIRST, SECOND]
    assert stats.retries + stats.resends == 1  # nobody need know when a spare socket turns out to be dead
    assert result.units_in_use == 0


@cases_of("for good")
def test_what_goes_on_ends_in_an_apology(row: Row, result: Result) -> None:
    heard, stats = result.heard, result.stats
    assert FIRST.startswith(heard.text)
    assert bool(heard.text) == row.half_way
    assert heard.apologised
    assert apology().audio in sent_to(result.report)
    assert len(heard.repeated) + len(heard.broken_off) <= 2 * row.half_way
    assert heard.silence_ms <= longest_ms(result, 2 * row.wait_s + row.backoff_s)
    assert [type(error) for error in result.told] == [row.error]
    assert stats.retries == (row.error is not Unauthorized)
    assert result.units_in_use == 0


@cases_of("with a fallback")
def test_what_goes_on_has_the_rest_spoken_by_the_fallback_to_the_end_of_the_call(
    row: Row, result: Result
) -> None:
    heard, stats = result.heard, result.stats
    assert heard.text == f"{heard.text_by(VOICE)} {heard.text_by(OTHER_VOICE)}".strip() == f"{FIRST} {SECOND}"
    assert bool(heard.text_by(VOICE)) == row.half_way
    assert heard.text_by(OTHER_VOICE).endswith(SECOND)
    assert (heard.broken_off, heard.apologised) == ([], False)
    assert len(heard.repeated) <= row.half_way
    assert heard.silence_ms <= longest_ms(result, row.wait_s + row.retried * row.backoff_s)
    assert result.told_whole == [FIRST, SECOND]
    assert (stats.fallbacks, stats.retries) == (1, row.retried)
    assert result.units_in_use == 0
