"""The wire shapes of `/waves/v1/lightning-v4/live`. No I/O, no clock.

Strategy:

- How the voice is to be stands in the query string and holds for a whole session. The key never does.
- Events are decoded once, into one tolerant shape, and told apart by `event`. Audio is in binary messages and
  never comes here.
- An error has two shapes, one before the session has begun and one within it; both become the same `Failed`.

Source: two clients that work with it, and their tests against stand-ins; the model is a gated beta.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias
from urllib.parse import urlencode

import msgspec
from msgspec import Raw, Struct

from bridge.catalogue import V4_SAMPLE_RATES_HZ
from bridge.config_lightning import LightningConfig
from bridge.errors import InvalidRequest, ProtocolError
from bridge.lightning.faults import Fault, fault_of, plain
from bridge.lightning.messages import Failed, SynthesisRequest, Unknown
from bridge.lightning.wire import Fields, Wire

V4_PATH: Final = "/waves/v1/lightning-v4/live"
#: Stops the turn that is spoken and drops those that wait. Acknowledged by `Interrupted`.
INTERRUPT: Final = b'{"event":"interrupt"}'
#: Ends the session.
END: Final = b'{"event":"end"}'

#: What the codes mean, in numbers of HTTP. The words beside them are free text.
_STATUS: Final = {
    "model_access_denied": 403,
    "invalid_voice": 400,
    "invalid_query": 400,
    "bad_frame": 400,
    "bad_user_audio": 400,
}
_MENDS: Final = {
    "model_access_denied": "Lightning v4 is a gated beta: ask Smallest AI for access, or set another lightning.door",
    "invalid_voice": "lightning.voice_id must be a voice of Lightning v4, such as brannock or rhodes",
}


def v4_wire(voice: SynthesisRequest | LightningConfig, config: LightningConfig) -> Wire:
    """The socket for turns in the voice, language, speed and rate of `voice`: each has one of its own."""
    query: Fields = {
        "voice_id": voice.voice_id,
        "language": voice.language,
        "sample_rate": voice.sample_rate,
        "output_format": "pcm",
        "speed": f"{voice.speed:g}",
    }
    if config.content_filter:
        query |= {"content_filter": "true", "content_filter_action": config.content_filter}
    path = f"{V4_PATH}?{urlencode(query, errors='replace')}"
    return Wire("v4", path, _speak, ping=b"", cancels=False)


def _speak(request: SynthesisRequest, _config: LightningConfig) -> Fields:
    return {"event": "speak", "turn_id": request.request_id, "text": request.text}


def refused_rate() -> InvalidRequest:
    """The error for a socket that is closed with 1008 before it is ready: that is how a rate is refused."""
    rates = ", ".join(map(str, V4_SAMPLE_RATES_HZ))
    return InvalidRequest(f"sample_rate: refused; Lightning v4 has {rates}", code="1008")


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is admitted or, with a rate in hertz, may be spoken to."""

    sample_rate: int | None


@dataclass(frozen=True, slots=True)
class TurnStart:
    """Audio that follows is of this turn."""

    turn_id: str | None


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """All audio of the turn has been sent."""

    turn_id: str | None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The turn has been stopped, and no more of it will come."""

    turn_id: str | None


V4Event: TypeAlias = Ready | TurnStart | TurnEnd | Interrupted | Failed | Unknown


class _Envelope(Struct):
    event: str | None = None
    status: str | None = None
    turn_id: str | None = None
    sample_rate: int | None = None
    # Read only when they are needed, and then in any shape.
    code: Raw = Raw()
    message: Raw = Raw()
    error: Raw = Raw()


_decoder: Final = msgspec.json.Decoder(_Envelope)


def decode_event(message: str) -> V4Event:
    """What a text message means.

    Raises:
        ProtocolError: it is not what Lightning may send. Skip and count it; a row of them is a broken peer.
    """
    try:
        envelope = _decoder.decode(message)
    except msgspec.ValidationError as error:
        raise ProtocolError(str(error), peer="lightning", kind="bad_message") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ProtocolError("not JSON", peer="lightning", kind="bad_json") from None
    return _meaning(envelope)


def _meaning(envelope: _Envelope) -> V4Event:
    if envelope.status == "error":
        return Failed(_fault(envelope), envelope.turn_id)
    match envelope.event:
        case "ready":
            return Ready(envelope.sample_rate)
        case "turn_start":
            return TurnStart(envelope.turn_id)
        case "turn_end":
            return TurnEnd(envelope.turn_id)
        case "interrupted":
            return Interrupted(envelope.turn_id)
        case "error":
            return Failed(_fault(envelope), envelope.turn_id)
    return Unknown(envelope.event or envelope.status or "")


def _fault(envelope: _Envelope) -> Fault:
    fault = fault_of(plain(envelope.message), plain(envelope.error), plain(envelope.code))
    fault = replace(fault, status=_STATUS.get(fault.code, fault.status))
    mend = _MENDS.get(fault.code)
    return replace(fault, message=f"{fault.message}; {mend}") if mend else fault
