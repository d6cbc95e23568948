"""What the emulated Lightning says when it will not speak, above all over HTTP: a status and a JSON body. No I/O.

Strategy:

- The real service has three shapes of body, and a client must read all of them. Each refusal here has the
  shape in which it was recorded or documented (lightning.md 8): a list of issues for a bad field, a code
  with a message for the rest, and 410 with the endpoint to use instead.
- A `Refusal` is a value. Whoever holds the connection writes it.
- What is refused on every door in the same words has its words here, and each door its own shape for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from bridge.emulators.lightning_requests import Issue

#: What a 410 names instead of the retired path.
RECOMMENDED_PATH: Final = "/waves/v1/lightning-v3.1/get_speech"
RETRY_AFTER_S: Final = 1

_TOLD: Final = {
    401: ("UNAUTHORIZED", "Invalid or missing API key"),
    402: ("INSUFFICIENT_CREDITS", "Insufficient credits"),
    403: ("FORBIDDEN", "Usage limit reached"),
    410: ("MODEL_DEPRECATED", "This model has been retired"),
    429: ("RATE_LIMITED", "Too many requests"),
    503: ("SERVICE_UNAVAILABLE", "Service unavailable"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error status and the JSON body that goes with it."""

    status: int
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """What stands beside the body: when to come again, after a 429."""
        return {"Retry-After": str(RETRY_AFTER_S)} if self.status == 429 else {}


def refused(status: int, code: str = "", message: str = "") -> Refusal:
    """A refusal with a code and a message; without them, the usual ones of `status`."""
    usual_code, usual_message = _TOLD.get(status, ("ERROR", "Refused by the emulator"))
    told = {"status": "error", "error_code": code or usual_code, "message": message or usual_message}
    if status == 410:
        told["recommended_endpoint"] = RECOMMENDED_PATH
    return Refusal(status, msgspec.json.encode(told))


def retired(what: str) -> Refusal:
    """The 410 of a model, or a path, that is no more."""
    return refused(410, message=f"{what} has been retired")


def over_concurrency(limit: int) -> Refusal:
    """The 429 of a request that found no unit free."""
    return refused(429, "CONCURRENCY_LIMIT_EXCEEDED", concurrency_message(limit))


def concurrency_message(limit: int) -> str:
    """What a request is told that found none of `limit` units free."""
    return f"Concurrency limit reached: {limit} of {limit} requests are active"


def idle_message(timeout_s: float) -> str:
    """What a socket is told that said nothing for `timeout_s`."""
    return f"Connection timed out after {timeout_s:g} seconds of inactivity"


def invalid(issues: Sequence[Issue]) -> Refusal:
    """The 400 that lists what is wrong with a body, as it was recorded from the real service."""
    return Refusal(400, msgspec.json.encode({"error": [issue.wire() for issue in issues]}))


def account_error(status: int, error: str, details: Sequence[object] | None = None) -> Refusal:
    """A refusal of the voices, dictionaries and clones: `error` as text, and `details` where there are any."""
    told: dict[str, object] = {"error": error}
    if details is not None:
        told["details"] = list(details)
    return Refusal(status, msgspec.json.encode(told))
