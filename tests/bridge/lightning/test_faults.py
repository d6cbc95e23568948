"""What Lightning says went wrong, as one of our errors."""

from __future__ import annotations

import pytest

from bridge.errors import Busy, InvalidRequest, LightningError, Unauthorized, Unavailable
from bridge.lightning.faults import MAX_MESSAGE_CHARS, Fault, fault_of, fault_of_http

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


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        (None, None),
        ("", None),
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    error = fault_of_http(429, b"{}", header).as_error()
    assert isinstance(error, Busy)
    assert error.retry_after_s == seconds


def test_the_error_carries_code_and_request() -> None:
    error = Fault("Boom", "X1").as_error("r1")
    assert (error.code, error.request_id, str(error)) == ("X1", "r1", "Boom (code X1, request r1)")
    assert Fault("Boom", status=503).as_error().code == "503"


def test_a_key_that_lightning_repeats_is_taken_out() -> None:
    error = Fault(f"Invalid API key {KEY}!", KEY).as_error(secret=KEY)
    assert (error.message, error.code) == ("Invalid API key ***!", "***")


def test_a_long_message_is_cut() -> None:
    assert len(fault_of("x" * 10_000, None, "y" * 10_000).message) == MAX_MESSAGE_CHARS
