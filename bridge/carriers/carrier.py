"""What a carrier is to the server: requests judged, answers written, a dialect for each media socket.

Strategy, the same for every carrier:

- A carrier is pure: it is given what arrived and returns what to answer; it never awaits or reads a clock.
- Every request is judged by `verify_webhook` or `verify_upgrade` before a byte of it is believed. Both fail
  closed: a carrier without a secret refuses everything.
- URLs are handed in by admission, which builds them from the configured public address. A carrier never looks
  at `Host` or `X-Forwarded-*`.
- Headers and forms may hold a name more than once, so they are read through `items()` alone: plain mappings
  and multidicts both do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from bridge.carriers.dialect import Dialect, Started

#: What a carrier asks of the bridge; each is served at ``/carriers/<name>/<endpoint>``.
Endpoint: TypeAlias = Literal["answer", "media", "status", "ended"]

#: What became of a media stream, as the carrier tells it. A closed set: counters are named by it.
StreamStatus: TypeAlias = Literal["started", "stopped", "error", "unknown"]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """What the authenticated webhook said about a call.

    The numbers are the carrier's own text, a name or a SIP address as well as a number, stripped of control
    characters; they are left out of the repr because they are personal.
    """

    call_id: str
    account_id: str
    from_number: str = field(repr=False)
    to_number: str = field(repr=False)
    direction: Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of an HTTP answer; it may hold a token, so the repr leaves it out."""

    body: str = field(repr=False)
    content_type: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class StreamUrls:
    """Public addresses that one answer refers to: `media` is ws(s)://, the others are http(s)://."""

    media: str
    status: str
    ended: str


class Ending(StrEnum):
    """Why a call's stream is over, as far as the bridge knows. (A transfer will be a third way to end.)"""

    FINISHED = "finished"  #: the agent, or the caller, ended the call
    LOST = "lost"  #: the stream broke, or nobody here has ever heard of the call


def header_values(headers: Mapping[str, str], name: str) -> list[str]:
    """Every value of a header, whatever its case."""
    return [value for key, value in headers.items() if key.lower() == name.lower()]


def form_value(form: Mapping[str, str], name: str) -> str:
    """A field's value; empty when it is missing, or repeated: no two readers may differ about it."""
    values = [value for key, value in form.items() if key == name]
    return values[0] if len(values) == 1 else ""


class Carrier(Protocol):
    """One configured carrier."""

    name: str

    def verify_webhook(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        """Make sure that the carrier sent this form to `url`, the public address with path and query.

        Raises:
            Refused: not signed, wrongly signed, or no secret is configured to tell.
        """

    def verify_upgrade(self, url: str, headers: Mapping[str, str]) -> None:
        """Make sure that the carrier asks for this WebSocket at `url`, the public ws(s):// address.

        Raises:
            Refused: as above. A carrier that cannot sign upgrades returns; the token at start must do then.
        """

    def incoming(self, form: Mapping[str, str]) -> IncomingCall:
        """The call that a verified answer webhook announces.

        Raises:
            ProtocolError: the call's id is missing, malformed or ambiguous.
            Refused: the call belongs to another account.
        """

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """The answer that opens a two-way media stream; `token` comes back in the stream's start."""

    def busy(self) -> Reply:
        """The answer that turns a call away because the bridge is full."""

    def ended(self, form: Mapping[str, str], ending: Ending = Ending.FINISHED) -> Reply:
        """What the carrier is to do with a call whose stream is over.

        Args:
            form: the verified request; what it says of a failed stream overrides a peaceful `ending`.
            ending: what the bridge knows: `Ending.LOST` unless it knows the call to have finished.
        """

    def status(self, form: Mapping[str, str]) -> StreamStatus:
        """What the carrier's (verified) status callback reports."""

    def token_of(self, started: Started) -> str:
        """The one-time token that the stream's start carries; empty when there is none."""

    def dialect(self) -> Dialect:
        """A fresh dialect, for one media socket."""
