"""What Lightning says went wrong, as one of our errors."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.errors import Busy, InvalidRequest, LightningError, Unauthorized, Unavailable
from bridge.lightning.faults import (
    Fault,
    fault_of,
    fault_of_close,
    fault_of_http,
    with_mend,
)
from bridge.plain_text import MAX_MESSAGE_CHARS

KEY = "sk_5ecret"


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (400, b'{"status":"error","error_code":"E","message":"Bad text"}', InvalidRequest, "Bad text"),
        (400, b'{"error":[{"code":"invalid_enum_value","path":["output_format"],"message":"Invalid"}]}',
         InvalidRequest, "output_format: Invalid"),
        (401, b'{"error":"Unauthorized"}', Unauthorized, "Unauthorized"),
        (402, b'{"message":"Insufficient credits"}', Unauthorized, "Insufficient credits"),
        (403, b'{"message":"Usage limit reached"}', Unauthorized, "Usage limit reached"),
        (404, b"<html>", InvalidRequest, "HTTP 404"),
        (410, b'{"status":"error","error_code":"MODEL_DEPRECATED","message":"Gone"}', InvalidRequest, "Gone"),
        (429, b'{"message":"Too many requests"}', Busy, "Too many requests"),
        (500, b"", Unavailable, "HTTP 500"),
        (502, b"\xff", Unavailable, "HTTP 502"),
        (503, b"[" * 100_000, Unavailable, "HTTP 503"),
        (418, b"[1]", Unavailable, "HTTP 418"),
    ],
)  # fmt: skip
def test_over_http_the_status_decides(
    status: int, body: bytes, kind: type[LightningError], text: str
) -> None:
    error = fault_of_http(status, body).as_error()
    assert type(error) is kind
    assert error.message == text


@pytest.mark.parametrize(
    ("message", "code", "kind"),
    [
        ("Concurrency limit reached: 10 of 10 requests are active", "CONCURRENCY_LIMIT_EXCEEDED", Busy),
        ("Too many requests", "", Busy),
        ("Rate limit exceeded", "", Busy),
        ("Boom", "429", Busy),
        ("Invalid or missing API key", "", Unauthorized),
        ("Boom", "401", Unauthorized),
        ("Boom", "403", Unauthorized),
        ("Trial usage limit reached", "", Unauthorized),
        ("Insufficient credits", "", Unauthorized),
        ("Invalid Voice ID", "custom", InvalidRequest),
        ("Number must be less than or equal to 2", "too_big", InvalidRequest),
        ("This model has been retired", "MODEL_DEPRECATED", InvalidRequest),
        ("Connection timed out after 60 seconds of inactivity", "", Unavailable),
        ("Connection timed out after 60 seconds of inactivity", "TIMEOUT", Unavailable),
        ("Internal server error", "INTERNAL_ERROR", Unavailable),
        ("", "", Unavailable),
    ],
)
def test_on_the_socket_the_code_and_the_words_decide(
    message: str, code: str, kind: type[LightningError]
) -> None:
    for fault in (fault_of(message, None, code), fault_of(None, {"message": message, "code": code}, None)):
        assert type(fault.as_error("r1")) is kind


def test_only_what_a_second_try_can_mend_is_retryable() -> None:
    kinds = (InvalidRequest, Unauthorized, Busy, Unavailable)
    assert [kind.retryable for kind in kinds] == [False, False, True, True]


#: Wed, 21 Oct 2026 07:28:00 GMT
THEN_S = 1_792_567_680.0


@pytest.mark.parametrize(
    ("header", "now_s", "seconds"),
    [
        ("2", None, 2.0),
        ("0.5", THEN_S, 0.5),
        (None, THEN_S, None),
        ("", THEN_S, None),
        ("-1", THEN_S, None),
        ("soon", THEN_S, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", THEN_S - 3, 3.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", THEN_S + 3, 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", THEN_S - 2 * 86_400, None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", THEN_S, None),
        ("Wed, 21 Oct 999999999 07:28:00 GMT", THEN_S, None),
    ],
)
def test_retry_after(header: str | None, now_s: float | None, seconds: float | None) -> None:
    error = fault_of_http(429, b"{}", header, now_s=now_s).as_error()
    assert isinstance(error, Busy)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    ("message", "error", "told"),
    [
        ("Invalid", [{"path": ["voice_id"], "message": "Invalid"}], "voice_id: Invalid"),
        (None, [{"path": ["voice_id"], "message": "Invalid"}], "voice_id: Invalid"),
        ("Invalid Voice ID", [{"path": ["voice_id"]}, {"path": ["speed"]}], "voice_id: Invalid Voice ID"),
        ("voice_id is wrong", [{"path": ["voice_id"], "message": "Invalid"}], "voice_id is wrong"),
        ("context is wrong", [{"path": ["text"]}], "text: context is wrong"),
        ("Invalid", [{"path": ["a", 0, "b"]}], "a.0.b: Invalid"),
        ("Invalid", [{"path": []}], "Invalid"),
        ("Invalid", [{"path": "voice_id"}], "Invalid"),
        ("Invalid", [], "Invalid"),
        (None, [{"path": ["voice_id"]}], "voice_id"),
        (None, {"path": ["speed"], "message": "Too big"}, "speed: Too big"),
        ("Invalid", ["what"], "Invalid"),
    ],
)
def test_the_field_at_fault_is_named_once(message: Any, error: Any, told: str) -> None:
    assert fault_of(message, error, None).message == told


@pytest.mark.parametrize(
    ("code", "reason", "kind", "told"),
    [
        (1008, "", Busy, "closed with 1008"),
        (1008, "Concurrency limit reached", Busy, "Concurrency limit reached"),
        (1008, "policy", Busy, "policy"),
        (1008, "Invalid API key", Unauthorized, "Invalid API key"),
        (1008, "Invalid sample_rate", InvalidRequest, "Invalid sample_rate"),
        (1013, "server_full", Busy, "server_full"),
        (1000, "", Unavailable, "closed with 1000"),
        (1011, "Internal error", Unavailable, "Internal error"),
        (1012, "", Unavailable, "closed with 1012"),
        (1008, "60 seconds of inactivity", Unavailable, "60 seconds of inactivity"),
    ],
)
def test_a_socket_that_is_closed(code: int, reason: str, kind: type[LightningError], told: str) -> None:
    error = fault_of_close(code, reason).as_error()
    assert type(error) is kind
    assert (error.message, error.code) == (told, str(code))
    if isinstance(error, Busy):
        assert error.retry_after_s == 0.5


V2, V31, LIVE = "/waves/v1/lightning-v2/stream", "/waves/v1/lightning-v3.1/get_speech", "/waves/v1/tts/live"
MEND = 'set lightning.door = "live" and a voice of lightning_v3.1'


@pytest.mark.parametrize(
    ("fault", "path", "told"),
    [
        (Fault("Gone", status=410), V2, f"Gone; {MEND}"),
        (Fault("Gone", "MODEL_DEPRECATED"), V31, f"Gone; {MEND}"),
        (Fault("Gone", status=410, instead="/new"), V2, f"Gone; Lightning recommends /new; {MEND}"),
        (Fault("HTTP 410", status=410), V2,
         f"HTTP 410: most likely the endpoint of Lightning v2 has been retired; {MEND}"),
        (Fault("HTTP 404", status=404), V31,
         f"HTTP 404: most likely the endpoint of Lightning v3.1 has been retired; {MEND}"),
        (Fault("No such voice", status=404), V31, "No such voice"),
        (Fault("HTTP 404", status=404), LIVE, "HTTP 404"),
        (Fault("HTTP 400", status=400), V2, "HTTP 400"),
        (Fault("Gone", status=410), LIVE, "Gone"),
        (Fault("Gone", status=410, instead="lightning_v5"), LIVE,
         "Gone; Lightning recommends lightning_v5; set another lightning.model and a voice of it"),
    ],
)  # fmt: skip
def test_what_is_retired_is_told_with_the_mend(fault: Fault, path: str, told: str) -> None:
    assert with_mend(fault, path).message == told


def test_what_takes_the_place_of_a_retired_model_is_read_and_cut() -> None:
    body = b'{"message":"Gone","recommended_endpoint":"/new' + b"x" * 1000 + b'"}'
    assert len(fault_of_http(410, body).instead) == MAX_MESSAGE_CHARS
    assert fault_of_http(410, b'{"recommended_endpoint":["/new"]}').instead == ""


def test_the_error_carries_code_and_request() -> None:
    error = Fault("Boom", "X1").as_error("r1")
    assert (error.code, error.request_id, str(error)) == ("X1", "r1", "Boom (code X1, request r1)")
    assert Fault("Boom", status=503).as_error().code == "503"


def test_a_key_that_lightning_repeats_is_taken_out() -> None:
    error = Fault(f"Invalid API key {KEY}!", KEY).as_error(secret=KEY)
    assert (error.message, error.code) == ("Invalid API key ***!", "***")


def test_a_long_message_is_cut() -> None:
    assert len(fault_of("x" * 10_000, None, "y" * 10_000).message) == MAX_MESSAGE_CHARS
