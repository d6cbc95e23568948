"""A carrier's REST API without I/O: requests as values, and plans that say which to make after which answer.

Strategy:

- A plan is a generator: it yields a `RestRequest`, is sent the `RestAnswer`, and returns what came of it. It never
  awaits, so every step of it can be tested with a table; `bridge.rest_client.carry_out` is who makes the requests.
- A request holds credentials: its headers and body are left out of its repr, and no error quotes them.
- An answer that is not what was wanted is a `CarrierError` with the carrier's own words in it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec

from bridge.errors import CarrierError
from bridge.secret import Secret

T = TypeVar("T")

_MAX_DETAIL_CHARS: Final = 300
#: A carrier that finds fault with an address of ours may quote it, password and all.
_URL_USER: Final = re.compile(r"(:(?:\\?/){2})[^\s/@\"']*@")


@dataclass(frozen=True, slots=True)
class RestRequest:
    """One HTTP request to a carrier.

    Attributes:
        url: whole, with its query; it holds no secret.
        purpose: what it is for, in an error's words: "hang up", "place the call".
        sign: headers that hold for a moment only, made from the unix time; see `signed`.
    """

    carrier: str
    purpose: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    sign: Callable[[float], Mapping[str, str]] | None = field(default=None, repr=False, compare=False)

    def signed(self, now_s: float) -> RestRequest:
        """The request as it is sent at `now_s`, unix seconds: who makes it calls this for each try."""
        if self.sign is None:
            return self
        return replace(self, headers={**self.headers, **self.sign(now_s)}, sign=None)


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """What came back."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON; None when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


#: Yields requests, is sent their answers, returns what came of it. Raises CarrierError.
Plan: TypeAlias = Generator[RestRequest, RestAnswer, T]


def basic(user: str, password: Secret) -> dict[str, str]:
    """The header of HTTP Basic authentication."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password.reveal()}".encode()).decode("ascii")}


def bearer(token: Secret) -> dict[str, str]:
    """The header of a bearer token."""
    return {"Authorization": f"Bearer {token.reveal()}"}


def form_request(
    carrier: str,
    purpose: str,
    url: str,
    form: Mapping[str, str],
    headers: Mapping[str, str],
    method: str = "POST",
) -> RestRequest:
    """A request with a form in its body."""
    head = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    return RestRequest(carrier, purpose, method, url, head, urlencode(form).encode("ascii"))


def json_request(
    carrier: str, purpose: str, url: str, body: object, headers: Mapping[str, str], method: str = "POST"
) -> RestRequest:
    """A request with JSON in its body."""
    head = {**headers, "Content-Type": "application/json"}
    return RestRequest(carrier, purpose, method, url, head, msgspec.json.encode(body))


def ask(request: RestRequest) -> Plan[RestAnswer]:
    """Make one request: ``answer = yield from ask(request)``.

    Raises:
        CarrierError: the answer is not a 2xx.
    """
    answer = yield request
    if not answer.ok:
        fail(request, answer)
    return answer


def fail(request: RestRequest, answer: RestAnswer, why: str = "") -> NoReturn:
    """Raise the CarrierError that tells what became of `request`: `why`, or what the carrier said."""
    said = _URL_USER.sub(r"\1", " ".join(answer.body.decode("utf-8", "replace").split()))
    detail = why or said[:_MAX_DETAIL_CHARS]
    raise CarrierError(
        f"cannot {request.purpose}: {detail or 'no reason was given'}",
        carrier=request.carrier,
        status=answer.status,
    )


def text_at(answer: RestAnswer, *path: str | int) -> str:
    """The text in a JSON answer at `path`; empty when there is none."""
    value = answer.json()
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ""
    return value if isinstance(value, str) else ""
