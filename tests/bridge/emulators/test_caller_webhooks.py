"""Whom the simulated Twilio talks to, and how it signs."""

from __future__ import annotations

import aiohttp
import pytest
from twilio.request_validator import RequestValidator

from bridge.config import Secret
from bridge.emulators.caller_webhooks import Addresses, Answer, Signature, ask_webhook, signed_headers

HERE = "http://127.0.0.1:8080"
PUBLIC = "https://bridge.example"
FORM = {"CallSid": "CA1", "From": "+1 ü"}


@pytest.mark.parametrize(
    ("public_url", "answer_path", "signed"),
    [
        ("", "/answer", f"{HERE}/answer"),
        (HERE, "/answer", f"{HERE}/answer"),
        (PUBLIC, "/answer?x=1", f"{PUBLIC}/answer?x=1"),
        (f"{PUBLIC}/", "/answer", f"{PUBLIC}/answer"),
        (f"{PUBLIC}/voice", "/answer", f"{PUBLIC}/voice/answer"),
    ],
)
def test_the_webhook_is_signed_for_the_public_address(public_url: str, answer_path: str, signed: str) -> None:
    assert Addresses(HERE + answer_path, public_url).answer_url == signed


@pytest.mark.parametrize(
    ("public_url", "url", "reached"),
    [
        ("", f"{HERE}/answer", f"{HERE}/answer"),
        ("", "ws://127.0.0.1:8080/media", "ws://127.0.0.1:8080/media"),
        (PUBLIC, f"{PUBLIC}/ended?a=1", f"{HERE}/ended?a=1"),
        (PUBLIC, "wss://bridge.example/media", "ws://127.0.0.1:8080/media"),
        (f"{PUBLIC}/voice", "wss://bridge.example/voice/media", "ws://127.0.0.1:8080/media"),
        # Not the bridge's: left alone.
        (PUBLIC, "https://bridge.example.evil/x", "https://bridge.example.evil/x"),
        (PUBLIC, "wss://other.example/media", "wss://other.example/media"),
    ],
)
def test_the_bridge_is_reached_where_it_is(public_url: str, url: str, reached: str) -> None:
    assert Addresses(f"{HERE}/answer", public_url).reach(url) == reached


def test_urls_in_twiml_may_be_relative() -> None:
    addresses = Addresses(f"{HERE}/carriers/twilio/answer", PUBLIC)
    assert addresses.absolute("ended") == f"{PUBLIC}/carriers/twilio/ended"
    assert addresses.absolute("/ended") == f"{PUBLIC}/ended"
    assert addresses.absolute("https://x.example/y") == "https://x.example/y"


@pytest.mark.parametrize(("signature", "valid"), [(Signature.VALID, True), (Signature.FORGED, False)])
@pytest.mark.parametrize("url", [f"{PUBLIC}/answer", "wss://bridge.example/media"])
def test_twilios_own_validator_judges_the_signature(url: str, signature: Signature, valid: bool) -> None:
    form = FORM if url.startswith("http") else {}
    headers = signed_headers(Secret("key"), url, form, signature)
    assert RequestValidator("key").validate(url, form, headers["X-Twilio-Signature"]) is valid


def test_a_request_can_be_unsigned() -> None:
    assert signed_headers(Secret("key"), PUBLIC, FORM, Signature.ABSENT) == {}


@pytest.mark.parametrize(("status", "ok"), [(0, False), (200, True), (204, True), (302, False), (403, False)])
def test_twilio_goes_on_only_after_success(status: int, ok: bool) -> None:
    assert Answer(status, "").ok is ok


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/answer", "http:///", "nonsense"])
async def test_nobody_there_is_an_answer_too(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await ask_webhook(session, url, headers={}, body=b"a=b")
    assert answer.status == 0 and answer.body
