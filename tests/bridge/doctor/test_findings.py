"""Facts in, verdict and mend out."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from bridge.carriers.carrier import Webhook
from bridge.doctor.findings import (
    MOST_SKEW_S,
    RENEW_WITHIN_S,
    Answer,
    Certificate,
    Finding,
    Verdict,
    forged,
    judge_certificate,
    judge_files,
    judge_forged,
    judge_public,
    judge_signed,
    judge_skew,
    judge_voice,
    judge_websockets,
    skew_in,
    skipped,
)
from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.names import INSTANCE_HEADER, UPGRADE_HEADER

NOW_S = 1_790_000_000.0
HERE = "http://127.0.0.1:8080"
URL = "https://voice.example.com"
OURS = Answer(200, {INSTANCE_HEADER.lower(): "us"})
NOBODY = Answer(error="nobody listens there")


def is_well(finding: Finding, detail: str) -> None:
    assert (finding.verdict, finding.mend) == (Verdict.PASS, ""), finding
    assert detail in finding.detail


def is_ill(finding: Finding, detail: str, mend: str) -> None:
    assert finding.verdict is Verdict.FAIL, finding
    assert detail in finding.detail
    assert mend in finding.mend


@pytest.mark.parametrize(
    "limit, calls, fit",
    [(-1, 10_000, "no limit"), (464, 100, "some 100 calls"), (1024, 100, "some 240 calls")],
)
def test_enough_files(limit: int, calls: int, fit: str) -> None:
    is_well(judge_files(limit, calls), fit)


@pytest.mark.parametrize("limit, calls, fit, needed", [(463, 100, 99, 464), (64, 1, 0, 68), (10, 1, 0, 68)])
def test_too_few_files(limit: int, calls: int, fit: int, needed: int) -> None:
    is_ill(judge_files(limit, calls), f"some {fit} calls at once, not for {calls}", f"ulimit -n {needed}")


@pytest.mark.parametrize(
    "skews_s, told",
    [
        ({"a": 0.0}, "within 1 s of a"),
        ({"a": -MOST_SKEW_S}, "within 5 s of a"),
        ({"a": MOST_SKEW_S}, "within 5 s of a"),
        ({"a": 0.2, "wrong": 4000.0, "b": -0.2}, "of a"),
    ],
)
def test_a_clock_that_agrees(skews_s: dict[str, float], told: str) -> None:
    is_well(judge_skew(skews_s), told)


@pytest.mark.parametrize(
    "skews_s, told",
    [
        ({"a": MOST_SKEW_S + 0.1}, "5 s ahead of a"),
        ({"a": -61.0}, "61 s behind a"),
        ({"a": -61.0, "b": -60.0, "c": -3600.0}, "61 s behind a"),
    ],
)
def test_a_clock_that_does_not(skews_s: dict[str, float], told: str) -> None:
    is_ill(judge_skew(skews_s), told, "timedatectl")


def test_a_clock_with_nothing_to_compare() -> None:
    assert judge_skew({}).verdict is Verdict.SKIP


@pytest.mark.parametrize("ahead_s", [-100.0, 0.0, 7.0])
def test_the_skew_in_a_date(ahead_s: float) -> None:
    date = formatdate(NOW_S, usegmt=True)
    assert skew_in(date, NOW_S + 0.5 + ahead_s) == pytest.approx(ahead_s)


@pytest.mark.parametrize("date", ["", "yesterday", "\x00", "Sat, 21 Nov 999999999 1:1:1"])
def test_a_date_that_is_none(date: str) -> None:
    assert skew_in(date, NOW_S) is None


def test_a_certificate_that_holds() -> None:
    is_well(judge_certificate(Certificate(NOW_S + RENEW_WITHIN_S), NOW_S), "valid until 05 Oct 2026")


@pytest.mark.parametrize(
    "found, told, mend",
    [
        (Certificate(NOW_S + RENEW_WITHIN_S - 1), "ends on 05 Oct 2026, in 14 days", "renew"),
        (Certificate(NOW_S - 1), "ended on 21 Sep 2026", "renew"),
        (Certificate(refused="it is not accepted: self-signed"), "self-signed", "whole chain"),
        (Certificate(), "there is none", "whole chain"),
    ],
)
def test_a_certificate_that_does_not(found: Certificate, told: str, mend: str) -> None:
    is_ill(judge_certificate(found, NOW_S), told, mend)


def test_a_certificate_that_nobody_shows() -> None:
    assert judge_certificate(Certificate(unseen="nobody listens"), NOW_S) == skipped(
        "certificate", "nobody listens"
    )


def test_the_public_address_leads_here() -> None:
    is_well(judge_public(OURS, "us", URL, HERE), f"{URL} leads here")


@pytest.mark.parametrize(
    "answer, told, mend",
    [
        (NOBODY, "nobody listens there", HERE),
        (Answer(301, {"Location": "x"}), "redirects (HTTP 301)", "do not follow"),
        (Answer(200), "something else (HTTP 200)", HERE),
        (Answer(502, {INSTANCE_HEADER: "us"}), "something else (HTTP 502)", HERE),
        (Answer(200, {INSTANCE_HEADER: "them"}), "not to this one", HERE),
    ],
)
def test_the_public_address_leads_elsewhere(answer: Answer, told: str, mend: str) -> None:
    is_ill(judge_public(answer, "us", URL, HERE), told, mend)


def test_websockets_that_pass() -> None:
    is_well(judge_websockets(Answer(200, {UPGRADE_HEADER: "passed"})), "come through")


@pytest.mark.parametrize(
    "answer, told",
    [
        (OURS, "drops the headers"),
        (NOBODY, "nobody listens"),
        (Answer(400, {UPGRADE_HEADER: "passed"}), "HTTP 400"),
    ],
)
def test_websockets_that_do_not(answer: Answer, told: str) -> None:
    is_ill(judge_websockets(answer), told, "31920")


@pytest.mark.parametrize("status", [200, 204])
def test_a_signature_that_holds(status: int) -> None:
    is_well(judge_signed("twilio", Answer(status), URL), "comes through")


@pytest.mark.parametrize(
    "answer, told, mend",
    [
        (Answer(403), f"signed for {URL} is refused (HTTP 403)", "[carriers.twilio]"),
        (Answer(404), f"nothing is served at {URL}", "/carriers/twilio/"),
        (Answer(502), "HTTP 502", "log"),
        (NOBODY, "nobody listens there", "public address"),
    ],
)
def test_a_signature_that_does_not(answer: Answer, told: str, mend: str) -> None:
    is_ill(judge_signed("twilio", answer, URL), told, mend)


@pytest.mark.parametrize("status", [401, 403])
def test_a_forgery_that_is_refused(status: int) -> None:
    is_well(judge_forged("twilio", Answer(status)), "is refused")


@pytest.mark.parametrize(
    "answer, told", [(Answer(204), "HTTP 204"), (Answer(502), "HTTP 502"), (NOBODY, "nobody")]
)
def test_a_forgery_that_is_not(answer: Answer, told: str) -> None:
    finding = judge_forged("twilio", answer)
    assert finding.verdict is Verdict.FAIL
    assert told in finding.detail


def test_a_voice_that_speaks() -> None:
    is_well(judge_voice("lightning", "lightning", "magnus", None, 0.25), "after 250 ms")


@pytest.mark.parametrize(
    "error, mend",
    [
        (Unauthorized("no"), "lightning.fallbacks[1].api_key"),
        (Busy("no"), "who else uses its key"),
        (InvalidRequest("no"), "[lightning.fallbacks[1]]"),
        (Unavailable("no"), "lightning.fallbacks[1].base_url"),
        (TimedOut("no"), "lightning.fallbacks[1].proxy"),
        (LightningError("no"), "docs/lightning.md"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_voice_that_does_not(error: LightningError, mend: str) -> None:
    is_ill(judge_voice("voice", "lightning.fallbacks[1]", "magnus", error, 0.0), "magnus: no", mend)


@pytest.mark.parametrize(
    "proof",
    [
        "KJ8sd7f/+dfg=",
        "Basic dXNlcjpwYXNz",
        "Bearer a.b.c",
        "t=1790000000,v1=00ff",
        "A",
        "AAAA",
        "===",
        "1790000000",
    ],
)
def test_a_forgery_differs_in_every_proof_and_in_nothing_else(proof: str) -> None:
    headers = {
        "X-Signature": proof,
        "Authorization": proof,
        "content-type": "application/json",
        "X-Empty": "",
    }
    webhook = Webhook(url=URL, headers=headers, body=b"{}", now_s=NOW_S)
    wrong = forged(webhook)
    assert wrong is not None
    assert {name for name in headers if wrong.headers[name] != headers[name]} == {
        "X-Signature",
        "Authorization",
    }
    assert len(wrong.headers["X-Signature"]) == len(proof)
    assert (wrong.url, wrong.body, wrong.method) == (webhook.url, webhook.body, webhook.method)


def test_nothing_to_forge() -> None:
    assert forged(Webhook(url=URL, headers={"Content-Type": "text/plain"})) is None
