"""What differs from socket to socket: its path, and how a request is written. No I/O.

Strategy:

- Lightning's sockets answer alike, and one tolerant `decode` reads them all. So pool, synthesis and deadlines are
  the same code for every socket, and a door is a `Wire`.
- A request is refused before it is written, by the rules of its own door.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from bridge.config_lightning import LightningConfig
from bridge.lightning.messages import PING, SynthesisRequest, check_id, encode, encode_cancel
from bridge.lightning.refusals import refuse
from bridge.names import DoorName

#: The fields of a message, by their names on the wire.
Fields: TypeAlias = dict[str, object]


def live_fields(request: SynthesisRequest, _config: LightningConfig) -> Fields:
    """A request as `/waves/v1/tts/live` takes it; what is the default is left out."""
    fields: Fields = msgspec.to_builtins(request)
    return fields


def posted_fields(request: SynthesisRequest, config: LightningConfig) -> Fields:
    """A request as `/waves/v1/tts` and `/waves/v1/tts/live` take it by POST: without what is the socket's own."""
    return _without(live_fields(request, config), "complete_backoff_ms", "word_timestamps")


def v31_fields(request: SynthesisRequest, config: LightningConfig) -> Fields:
    """A request as the socket of Lightning v3.1 takes it: its path implies the model."""
    return _without(live_fields(request, config), "model")


def v31_posted_fields(request: SynthesisRequest, config: LightningConfig) -> Fields:
    """The same by POST."""
    return _without(posted_fields(request, config), "model")


def v2_fields(request: SynthesisRequest, config: LightningConfig) -> Fields:
    """A request as the paths of Lightning v2 take it. Source: the reference of its socket, before it was taken down."""
    return {
        "text": request.text,
        "voice_id": request.voice_id,
        "language": request.language,
        "sample_rate": request.sample_rate,
        "speed": request.speed,
        "consistency": config.consistency,
        "similarity": config.similarity,
        "enhancement": config.enhancement,
        "add_wav_header": False,
    }


def v2_socket_fields(request: SynthesisRequest, config: LightningConfig) -> Fields:
    """The same on the socket, where `complete` would trail the last audio by 4 s if nobody said otherwise."""
    return {**v2_fields(request, config), "complete_backoff_ms": request.complete_backoff_ms}


def _without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


@dataclass(frozen=True, slots=True)
class Wire:
    """One of Lightning's sockets.

    Attributes:
        door: its name in the configuration; decides what is refused.
        path: its path, with a query if it takes one.
        fields: a request, whose fields are valid, as this socket takes it.
        ping: what keeps an idle socket open; empty where nothing does.
        cancels: whether it knows `cancel_request`.
    """

    door: DoorName
    path: str
    fields: Callable[[SynthesisRequest, LightningConfig], Fields]
    ping: bytes = PING
    cancels: bool = True

    def encode(self, request: SynthesisRequest, config: LightningConfig) -> bytes:
        """The message that asks for a synthesis.

        Raises:
            InvalidRequest: Lightning would refuse it; names the field.
        """
        self._check(request)
        return encode(self.fields(request, config), request.request_id)

    def usual(self, request: SynthesisRequest, config: LightningConfig) -> Fields:
        """What every message about a text has that comes bit by bit. The caller's next duty: add `text`.

        Raises:
            InvalidRequest: Lightning would refuse it; names the field.
        """
        self._check(request, text_follows=True)
        return self.fields(request, config)

    def farewell(self, request_id: str, context_id: str = "") -> bytes:
        """The message that stops a synthesis; empty where closing the socket has to do."""
        return encode_cancel(request_id, context_id) if self.cancels else b""

    def _check(self, request: SynthesisRequest, *, text_follows: bool = False) -> None:
        refuse(request, self.door, text_follows=text_follows)
        check_id(request.request_id)


LIVE: Final = Wire("live", "/waves/v1/tts/live", live_fields)
