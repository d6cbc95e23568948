"""What a carrier does around the media stream of one call: webhooks, upgrade. No I/O.

Each simulated carrier is a module of `bridge.emulators.carriers` with an `Exchange` of its own, named
``EXCHANGE``; `bridge.emulators.carrier_call` makes the requests and moves the messages, the same for all.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit, urlunsplit

import bridge.emulators.carriers
from bridge.carriers.rest import RestRequest
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_webhooks import Addresses, Answer
from bridge.emulators.carrier_line import CarrierLine
from bridge.emulators.recording import CallRecording
from bridge.emulators.twiml import StreamOrder, Verb


@dataclass(frozen=True, slots=True)
class HttpAsk:
    """A request that the carrier makes of the bridge. `url` is the public address, as it is signed."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Handshake:
    """How the carrier asks for the media socket. `url` is the public address, as it is signed."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    subprotocols: tuple[str, ...] = ()


def form_ask(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> HttpAsk:
    """A form, posted."""
    head = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    return HttpAsk(url, "POST", head, urlencode(form).encode("ascii"))


class Exchange:
    """A carrier, for the length of one call.

    Args:
        plan: what the call is to be like; `plan.misbehaviour` says what to do wrong.
        addresses: where the bridge says it is.
        section: the carrier's section of the bridge's configuration: its secrets sign what is sent.
    """

    #: As in ``/carriers/<name>/``.
    name: ClassVar[str]
    #: The carrier's own numbers for a webhook that was answered with an error, and for a refused media socket.
    webhook_fault: ClassVar[int] = 0
    handshake_fault: ClassVar[int] = 0

    def __init__(self, plan: CallPlan, addresses: Addresses, section: Any) -> None:
        self.plan, self.addresses, self.section = plan, addresses, section

    @property
    def call_id(self) -> str:
        """The call, as the carrier names it to the bridge."""
        return self.plan.call_sid

    @property
    def waits_at(self) -> str:
        """Where the carrier listens, if the bridge is to connect to it; empty: it connects to the bridge."""
        return ""

    def announce(self) -> HttpAsk | None:
        """The webhook that asks what to do with the call; None for a carrier that has none."""
        return None

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """The media stream that the bridge's answer asks for; None when it asks for none.

        Args:
            answer: None for a carrier without a webhook: then the order is what its own configuration says.

        Raises:
            ProtocolError: the carrier would refuse the answer.
        """
        raise NotImplementedError

    def commanded(self, request: RestRequest) -> StreamOrder | None:
        """The media stream that the bridge asks for through REST, of a carrier that is told there; else None."""
        return None

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """What the carrier does after the stream, by an answer to the webhook or to ``ended``.

        Raises:
            ProtocolError: the carrier would refuse the answer.
        """
        return ()

    def with_token(self, order: StreamOrder, token: str) -> StreamOrder:
        """`order` with another one-time token in it, or with none when `token` is empty.

        Knows the parameter ``token`` and the path ``/media/<token>``; override it for another place.
        """
        parameters = {name: value for name, value in order.parameters.items() if name != "token"}
        if len(parameters) < len(order.parameters):
            return replace(order, parameters={**parameters, **({"token": token} if token else {})})
        parts = urlsplit(order.url)
        base, _, _ = parts.path.partition("/media/")
        path = f"{base.removesuffix('/media')}/media{f'/{token}' if token else ''}"
        return replace(order, url=urlunsplit(parts._replace(path=path)))

    def handshake(self, order: StreamOrder) -> Handshake:
        """The request for the media socket."""
        return Handshake(order.url, order.headers, order.subprotocols)

    def judge(self, path: str, handshake: Handshake) -> int:
        """What the carrier answers the bridge's request for a media socket with, of one that waits: 101 lets it in."""
        return 404

    def line(self, order: StreamOrder, recording: CallRecording) -> CarrierLine:
        """The carrier's end of the stream."""
        raise NotImplementedError

    def status(self, order: StreamOrder, event: str, error: str = "") -> HttpAsk | None:
        """How the stream fares (``started``, ``stopped``, ``error``), where the carrier tells; sent without waiting."""
        return None

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """What to do next, asked when the stream is over, where the carrier asks."""
        return None


def exchange_type(name: str) -> type[Exchange]:
    """The simulated carrier of this name."""
    found: type[Exchange] = importlib.import_module(f"{bridge.emulators.carriers.__name__}.{name}").EXCHANGE
    return found
