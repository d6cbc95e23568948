"""What a carrier is to the server: requests judged, answers written, a dialect for each media socket.

Strategy, the same for every carrier:

- A carrier is pure: it is given what arrived, and the time, and returns what to answer; it never awaits or reads a
  clock. What it wants done through its REST API it returns as a plan (`bridge.carriers.rest`).
- Every request is judged by `verify_webhook` or `verify_upgrade` before a byte of it is believed. Both fail
  closed: a carrier without a secret refuses everything, and is not served at all (`missing`).
- URLs are handed in by admission, which builds them from the configured public address. A carrier never looks
  at `Host` or `X-Forwarded-*`.
- Headers and forms may hold a name more than once, so they are read through `items()` alone: plain mappings
  and multidicts both do.
- A module holds all there is to a carrier: its section of the configuration, its dialect, its answers, its signature,
  its capabilities, its REST. Where that is too much for one, others named after it stand beside it (`x_dialect` and
  so on). The first ends in ``CARRIER = TheClass``, and the registry finds it by that.
- A call that cannot be taken is refused with 503, not with a busy tone: so the carrier uses the number's fallback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

from bridge.carriers.capabilities import Capabilities as Capabilities
from bridge.carriers.capabilities import How as How
from bridge.carriers.capabilities import Marks as Marks
from bridge.carriers.dialect import Dialect, Started
from bridge.carriers.rest import Plan
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused, Unsupported

#: What a carrier asks of the bridge; each is served at ``/carriers/<name>/<endpoint>``.
Endpoint: TypeAlias = Literal["answer", "media", "status", "ended"]

#: What became of a media stream, as the carrier tells it. A closed set: counters are named by it.
StreamStatus: TypeAlias = Literal["started", "stopped", "error", "unknown"]

Direction: TypeAlias = Literal["inbound", "outbound"]


# -- what arrives, and what is answered ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A request for a media socket.

    Attributes:
        url: the public ws(s):// address with path and query, as signatures see it.
        headers: all of them.
        token: the last step of ``/carriers/<name>/media/<token>``; empty without one.
        remote: the address that it came from, as far as the server can tell.
        now_s: unix seconds.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str = field(default="", repr=False)
    remote: str = ""
    now_s: float = 0.0

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's fields, decoded, in order."""
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An HTTP request of a carrier.

    Attributes:
        url: the public address with path and query, as signatures see it.
        form: the decoded body when it is a form, repeated fields repeated in `items()`; else empty.
        body: the bytes of it, whatever they are.
        remote: the address that it came from, as far as the server can tell.
        now_s: unix seconds.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    remote: str = ""
    now_s: float = 0.0

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's fields, decoded, in order."""
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    @property
    def is_json(self) -> bool:
        """Whether it says that its body is JSON."""
        kinds = header_values(self.headers, "Content-Type")
        return bool(kinds) and kinds[0].partition(";")[0].strip().lower() == "application/json"

    def json(self) -> Any:
        """The body as JSON; None when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def value(self, name: str) -> str:
        """A field of the form or, failing that, of the query; empty when it is missing, or repeated."""
        return form_value(self.form, name) or one_of(self.query, name)


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """What the authenticated webhook said about a call, or its stream's start where there is no webhook.

    The numbers are the carrier's own text, a name or a SIP address as well as a number, stripped of control
    characters; they are left out of the repr because they are personal.
    """

    call_id: str
    account_id: str
    from_number: str = field(repr=False)
    to_number: str = field(repr=False)
    direction: Direction
    #: What the carrier's own code wants to find again: which of its APIs the call is of, say.
    detail: str = field(default="", repr=False)
    #: What `Carrier.place_call` returned for it, where that is not always its id.
    placed_as: str = ""


@dataclass(frozen=True, slots=True)
class MediaSocket:
    """A media socket that we are to open ourselves, because the carrier waits for it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    subprotocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of an HTTP answer; it may hold a token, so the repr leaves it out."""

    body: str = field(repr=False)
    content_type: str
    status: int = 200
    #: What to do through REST once it has been sent: a carrier that is told there what to do with a call.
    then: Plan[None] | None = field(default=None, repr=False, compare=False)
    #: The media socket to open once it has been sent.
    dial: MediaSocket | None = None


#: What a caller is told by the carrier's own voice when the stream cannot be opened, or breaks.
APOLOGY: Final = "We are sorry, the line failed on our side. Please call again in a moment."

#: The answer to what needs none.
NOTED: Final = Reply("", "text/plain", 204)


@dataclass(frozen=True, slots=True)
class StreamUrls:
    """Public addresses that one answer refers to: `media` is ws(s)://, the others are http(s)://."""

    media: str
    status: str
    ended: str
    answer: str = ""


class Ending(StrEnum):
    """Why a call's stream is over, as far as the bridge knows."""

    FINISHED = "finished"  #: the agent, or the caller, ended the call
    LOST = "lost"  #: the stream broke, or nobody here has ever heard of the call
    TRANSFERRED = "transferred"  #: the agent handed the caller on: `Ended.transfer_to`


@dataclass(frozen=True, slots=True)
class Ended:
    """What the bridge knows of a call whose stream is over."""

    ending: Ending = Ending.FINISHED
    #: Whom the caller is to be connected to; of `Ending.TRANSFERRED` alone.
    transfer_to: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing to set at the carrier so that calls come here: where, and to what."""

    where: str
    value: str


# -- the carrier ---------------------------------------------------------------------------------------------


def header_values(headers: Mapping[str, str], name: str) -> list[str]:
    """Every value of a header, whatever its case."""
    return [value for key, value in headers.items() if key.lower() == name.lower()]


def form_value(form: Mapping[str, str], name: str) -> str:
    """A field's value; empty when it is missing, or repeated: no two readers may differ about it."""
    return one_of(form.items(), name)


def one_of(fields: Any, name: str) -> str:
    """The value of the one pair in `fields` that has this name; empty when there is none, or more than one."""
    values = [value for key, value in fields if key == name]
    return values[0] if len(values) == 1 else ""


class Carrier:
    """One configured carrier. Derive from it, fill in the class attributes, override what the carrier does.

    What is not overridden fails closed: requests are refused, and what the carrier cannot do is `Unsupported`.
    """

    #: As in ``[carriers.<name>]`` and ``/carriers/<name>/``.
    name: ClassVar[str]
    #: As its makers write it.
    title: ClassVar[str]
    #: The section of the configuration.
    section: ClassVar[type[Section]]
    capabilities: ClassVar[Capabilities]
    #: Whether a stream must bring the one-time token of the answer to its call's webhook. A carrier without
    #: webhooks is let in by `verify_upgrade` alone, which must then be able to refuse.
    needs_token: ClassVar[bool] = True
    #: Whether a second socket for a call that is on takes it over (a dropped one was opened again).
    reconnects: ClassVar[bool] = False
    #: How a webhook is answered that only tells us something.
    noted: ClassVar[Reply] = NOTED
    #: How its webhooks may be asked.
    webhook_methods: ClassVar[tuple[str, ...]] = ("POST",)

    def __init__(self, config: Any) -> None:
        self._config = config

    def missing(self) -> list[tuple[str, str]]:
        """Settings without which it cannot tell its calls from forgeries: key and why. Not served while any is."""
        raise NotImplementedError

    def lack(self, key: str, why: str) -> str:
        """What to tell of a pair of `missing`. A key that is set lacks something else, such as a package."""
        return f"{'cannot be used' if self.has(key) else 'is missing'}: {why}"

    def has(self, key: str) -> bool:
        """Whether `key` of its section is set."""
        return bool(getattr(self._config, key, None))

    def unsafe(self) -> list[tuple[str, str]]:
        """Secrets that strangers know, fit for trials on this machine alone: key and why. It is served nevertheless."""
        return []

    # -- the gate ------------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Make sure that the carrier sent this.

        Raises:
            Refused: not signed, wrongly signed, stale, or no secret is configured to tell.
        """
        raise Refused("signature", "this carrier has no webhooks")

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Make sure that the carrier asks for this WebSocket.

        Raises:
            Refused: as above. A carrier that cannot sign upgrades returns; the token at start must do then.
        """
        raise Refused("signature", "the upgrade cannot be told from a forgery")

    def token_of(self, started: Started, upgrade: Upgrade) -> str:
        """The one-time token that the stream brings; empty when there is none."""
        return started.parameters.get("token", "") or upgrade.token

    # -- webhooks, all verified ----------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        """The call that a webhook announces; None when it is about something else: see `status`.

        Raises:
            ProtocolError: the call's id is missing, malformed or ambiguous.
            Refused: the call belongs to another account.
        """
        raise ProtocolError("this carrier announces no calls", peer=self.name, kind="bad_webhook")

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """The answer that opens a two-way media stream; `token` comes back in the stream's start."""
        raise NotImplementedError

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """What the carrier is to do with a call whose stream is over.

        Args:
            webhook: what it says of a failed stream overrides a peaceful ending.
            ended: what the bridge knows.
        """
        return NOTED

    def call_id_of(self, webhook: Webhook) -> str:
        """The call that an ``ended`` webhook is about; empty when it says none."""
        call = self.incoming(webhook)
        return call.call_id if call is not None else ""

    def status(self, webhook: Webhook) -> StreamStatus:
        """What a status callback reports."""
        return "unknown"

    def over(self, webhook: Webhook) -> str:
        """The call that a webhook says is over, so that nobody waits for its socket to come back; empty: none."""
        return ""

    # -- the media socket ----------------------------------------------------------------------------------

    def dialect(self, upgrade: Upgrade) -> Dialect:
        """A fresh dialect, for one media socket."""
        raise NotImplementedError

    # -- call control --------------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None] | None:
        """How to end the call where closing its socket does not; None when closing is enough.

        Raises:
            Unsupported: it would take REST, and the credentials for it are not configured.
        """
        return None

    def abandon(self, call: IncomingCall) -> Plan[None] | None:
        """How to end a call whose stream has failed, of a carrier that would keep the caller on a silent line.

        None of one that asks what is next (`ended`), or ends the call by itself.

        Raises:
            Unsupported: it would take REST, and the credentials for it are not configured.
        """
        return None

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None] | None:
        """How to connect the caller to `to`. None when it is done by the answer to ``ended``, once the socket is
        closed.

        Raises:
            Unsupported: it cannot, or the credentials for it are not configured.
        """
        raise Unsupported("calls cannot be transferred", carrier=self.name)

    def send_digits(self, call: IncomingCall, digits: str) -> Plan[None]:
        """How to press keys towards the caller, where that goes by REST.

        Raises:
            Unsupported: it cannot, or the credentials for it are not configured.
        """
        raise Unsupported("keys cannot be sent", carrier=self.name)

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """How to call somebody; the plan returns the call's id, or what will be `IncomingCall.placed_as` of it.

        Raises:
            Unsupported: it cannot, or the credentials for it are not configured.
        """
        raise Unsupported("calls cannot be placed through it", carrier=self.name)

    # -- installation --------------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """What to set at the carrier so that calls to `number` come here, for people to do by hand."""
        return ()

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Do so through REST; the plan returns what was done, a line each.

        Raises:
            Unsupported: it has no API for that, or the credentials for it are not configured.
        """
        raise Unsupported("its settings must be made by hand", carrier=self.name)

    def check(self) -> Plan[str] | None:
        """Ask the carrier whether the REST credentials work; the plan returns whose they are. None without any."""
        return None

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook | None:
        """A signed webhook about no real call, to see whether signatures hold through the public address.

        None for a carrier that signs nothing we could sign ourselves. The bridge answers it like any other: make it
        one that changes nothing, such as a ``status``.
        """
        return None
