"""What Genesys says to open a session, and, in types, what the bridge may say: nothing else is accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from uuid import uuid4

import msgspec
from msgspec import Struct


class Media(Struct, frozen=True):
    """One way to send audio: what `open` offers, and `opened` takes."""

    type: str
    format: Literal["PCMU", "L16"]
    channels: tuple[str, ...]
    rate: int


PCMU: Final = Media("audio", "PCMU", ("external",), 8000)
L16: Final = Media("audio", "L16", ("external",), 8000)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionIdentity:
    """Whose session it is, and what `open` says of it."""

    session_id: str = field(default_factory=lambda: str(uuid4()))
    organization_id: str = field(default_factory=lambda: str(uuid4()))
    conversation_id: str = field(default_factory=lambda: str(uuid4()))
    from_number: str = ""
    to_number: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    offered: tuple[Media, ...] = (PCMU, L16)


class Server(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What all of them have."""

    version: Literal["2"]
    id: str
    seq: int
    clientseq: int


class Nothing(Struct, frozen=True):
    """Parameters must be there even when there are none."""


class OpenedBody(Struct, frozen=True):
    """The one media of those offered that was taken."""

    media: list[Media]
    startPaused: bool = False


class Opened(Server, frozen=True, kw_only=True, tag="opened"):
    """The answer to `open`."""

    parameters: OpenedBody


class Pong(Server, frozen=True, kw_only=True, tag="pong"):
    """The answer to `ping`."""

    parameters: Nothing


class Closed(Server, frozen=True, kw_only=True, tag="closed"):
    """The answer to `close`."""

    parameters: Nothing


class BargeIn(Struct, frozen=True, tag_field="type", tag="barge_in"):
    """Stop playing, and drop what is queued."""

    data: Nothing


class BotTurn(Struct, frozen=True, tag_field="type", tag="bot_turn_response"):
    """What was said, for reports; optional."""

    data: dict[str, str | float]


class Entities(Struct, frozen=True):
    """What an event is about."""

    entities: list[BargeIn | BotTurn]


class Event(Server, frozen=True, kw_only=True, tag="event"):
    """Something happened at the bridge."""

    parameters: Entities


class DisconnectBody(Struct, frozen=True):
    """Why, and what the flow is to go on with."""

    reason: Literal["completed", "unauthorized", "error"]
    info: str = ""
    outputVariables: dict[str, str] = {}


class Disconnect(Server, frozen=True, kw_only=True, tag="disconnect"):
    """A request to close."""

    parameters: DisconnectBody


Accepted: TypeAlias = Opened | Pong | Closed | Event | Disconnect

DECODER: Final[msgspec.json.Decoder[Accepted]] = msgspec.json.Decoder(Accepted)
