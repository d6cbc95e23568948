"""Genesys Cloud Audio Connector (AudioHook, version 2): JSON control with sequence numbers, binary audio both ways.

Strategy, besides what `dialect`, `json_dialect` and `carrier` promise:

- Both sides number their text messages from 1, without a gap. Theirs are held to it: a message that is out of order
  ends the session, as it does at Genesys. Ours are numbered when they are made, so they must be sent in that order.
- No webhook announces a call: the signed upgrade is the gate, and `open` says whose call it is. It must name the
  session and the organization that the signed headers name.
- Audio goes in messages of 200 ms: Genesys throttles senders of more than about five messages a second.
- `playback_completed` names nothing. It may have left before our newest audio arrived, and then it is not about that:
  no mark can be answered by it, so what was heard goes by the clock.
- We never close first. `disconnect` asks for `close`, which is answered with `closed`; then Architect goes on with the
  call, knowing from the output variables ``outcome`` and ``transfer_to`` where to.

Facts, from the AudioHook reference implementation (purecloudlabs), the Audio Connector sample service
(GenesysCloudBlueprints) and help.mypurecloud.com, "Call Audio Connector action".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.carrier import (
    Capabilities,
    Carrier,
    How,
    IncomingCall,
    Marks,
    Setting,
    StreamUrls,
    Upgrade,
    header_values,
)
from bridge.carriers.dialect import (
    Audio,
    Binary,
    Delivery,
    Digit,
    Event,
    FlowStopped,
    Ignored,
    Respond,
    Several,
    Started,
    Stopped,
)
from bridge.carriers.http_signatures import Nonces, Request, Rules, keys_of, verify
from bridge.carriers.json_dialect import POLICY_VIOLATION, UNDECODABLE, JsonDialect, Kind, Phase
from bridge.carriers.rest import Plan
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused
from bridge.plain_text import plain
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, PCM16_8K, AudioFormat

NAME: Final = "genesys"
ORGANIZATION_HEADER: Final = "Audiohook-Organization-Id"
SESSION_HEADER: Final = "Audiohook-Session-Id"
CORRELATION_HEADER: Final = "Audiohook-Correlation-Id"
KEY_HEADER: Final = "X-API-KEY"
#: What Genesys signs of an upgrade, and what it must have signed.
SIGNED_COMPONENTS: Final = (
    "@request-target",
    "@authority",
    *map(str.lower, (ORGANIZATION_HEADER, SESSION_HEADER, CORRELATION_HEADER, KEY_HEADER)),
)
#: The conversation of a connection probe: nobody is on the line.
NO_CONVERSATION: Final = "00000000-0000-0000-0000-000000000000"

_RULES: Final = Rules(frozenset(SIGNED_COMPONENTS))
_MESSAGE_MS: Final = 200
_MAX_FIELD_CHARS: Final = 400
_MAX_VARIABLES: Final = 100
_FORMATS: Final[Mapping[str, AudioFormat]] = {"PCMU": MULAW_8K, "L16": PCM16_8K}
_UNSERVABLE: Final = {"reason": "error", "info": "no media on offer can be served", "outputVariables": {}}
_CLOSE_REASONS: Final = frozenset({"end", "error", "disconnect", "reconnect"})
_ERROR_CODES: Final = frozenset({400, 405, 408, 409, 413, 415, 500, 503})
_TOO_MANY: Final = 429
_RETRY_AFTER_S: Final = 1.0  # when it does not say
_MAX_RETRY_AFTER_S: Final = 30.0
_DURATION: Final = re.compile(r"PT(?:([0-9]{1,4})M)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)S)?\Z")

# -- messages received -----------------------------------------------------------------------------

_Uuid: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")]
_Sequence: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _Head(Struct, kw_only=True):
    """What all messages have, known or not."""

    id: _Uuid
    seq: _Sequence
    version: Literal["2"]
    serverseq: _Sequence = 0


class _Message(_Head, tag_field="type"): ...


class _Media(Struct):
    type: str = ""
    format: str = ""
    channels: list[str] = []
    rate: int = 0


class _Participant(Struct):
    ani: str | None = None
    dnis: str | None = None


class _OpenBody(Struct):
    organizationId: _Uuid
    conversationId: _Uuid
    media: list[_Media]
    participant: _Participant | None = None
    inputVariables: dict[str, str | int | float | bool | None] | None = None


class _Open(_Message, tag="open"):
    parameters: _OpenBody


class _Ping(_Message, tag="ping"): ...


class _CloseBody(Struct):
    reason: str = ""


class _Close(_Message, tag="close"):
    parameters: _CloseBody = msgspec.field(default_factory=_CloseBody)


class _DtmfBody(Struct):
    digit: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Dtmf(_Message, tag="dtmf"):
    parameters: _DtmfBody


class _ErrorBody(Struct):
    code: int = 0
    retryAfter: str | float | None = None


class _Error(_Message, tag="error"):
    parameters: _ErrorBody


#: Told, and of no use to us.
_REPORTS: Final[tuple[type[Struct], ...]] = tuple(
    msgspec.defstruct(tag, [], bases=(_Message,), tag=tag)
    for tag in ("playback_started", "playback_completed", "paused", "resumed", "discarded", "update")
)

# -- dialect ---------------------------------------------------------------------------------------

_HEAD: Final = msgspec.json.Decoder(_Head, strict=False)
_SOUND_OUT_OF_PLACE: Final = {
    Phase.OPENING: Ignored("media_before_start"),
    Phase.STOPPED: Ignored("media_after_stop"),
}


class GenesysDialect(JsonDialect):
    """The media socket of one Audio Connector session; see `bridge.carriers.dialect.Dialect`.

    Args:
        session_id: the stream, as the signed headers name it.
        organization_id: likewise.
    """

    carrier = NAME
    carrier_closes = True
    EVENT_FIELD = "type"
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Open: Kind.START,
        _Close: Kind.STOP,
        _Dtmf: Kind.DTMF,
        _Ping: Kind.CONTROL,
        _Error: Kind.CONTROL,
        **dict.fromkeys(_REPORTS, Kind.CONTROL),
    }

    def __init__(self, session_id: str, organization_id: str) -> None:
        super().__init__()
        self.delivery = Delivery(message_ms=_MESSAGE_MS, marks=False)
        self._session_id, self._organization_id = session_id, organization_id
        self._seq = self._client_seq = 0
        self._media = _Media()
        self._leaving = False

    def receive(self, message: bytes) -> Event:
        """What `message` means; raises ProtocolError as every dialect does."""
        if isinstance(message, Binary):
            return _SOUND_OUT_OF_PLACE.get(self._phase) or Audio(message)
        self._count(message)
        return super().receive(message)

    # -- sequence numbers ------------------------------------------------------------------------------

    def _count(self, message: bytes) -> None:
        """Hold a text message to the order. One that cannot be read takes its number all the same."""
        try:
            head = _HEAD.decode(message)
        except UNDECODABLE:
            self._client_seq += self._phase is Phase.STREAMING
            return
        if head.seq != self._client_seq + 1:
            raise self._out_of_order(f"message {head.seq} came after {self._client_seq}")
        if head.serverseq > self._seq:
            raise self._out_of_order(f"it has seen our message {head.serverseq}, which was never sent")
        self._client_seq = head.seq

    def _out_of_order(self, reason: str) -> ProtocolError:
        return self._broken(reason, "bad_sequence", POLICY_VIOLATION)

    def _say(self, kind: str, parameters: object) -> bytes:
        self._seq += 1
        sequence = {"seq": self._seq, "clientseq": self._client_seq}
        head = {"version": "2", "id": self._session_id, "type": kind, **sequence}
        return msgspec.json.encode({**head, "parameters": parameters})

    # -- what arrives ----------------------------------------------------------------------------------

    def _begin(self, wire: _Open) -> Event:
        started = self._start(wire)
        media = _chosen(wire.parameters.media)
        if media is None:
            return self._without_call(self._say("disconnect", _UNSERVABLE))
        self._media = media
        if started.call_id == NO_CONVERSATION:
            return self._without_call(*self.opened())
        return super()._begin(wire)

    def _without_call(self, *messages: bytes) -> Respond:
        """Answer an `open` that starts nothing; from now on only what the protocol asks for is answered."""
        self._allowed = {
            **self._orders[Phase.OPENING],
            _Open: Ignored("duplicate_start"),
            _Ping: Phase.OPENING,
            _Close: Phase.OPENING,
        }
        return Respond(messages)

    def _start(self, wire: _Open) -> Started:
        said, who = wire.parameters, wire.parameters.participant or _Participant()
        if self._is_of_another(wire):
            raise self._broken("it opens another session than its headers", "foreign_open", POLICY_VIOLATION)
        if said.organizationId.lower() != self._organization_id.lower():
            raise self._broken("another organization than in its headers", "foreign_open", POLICY_VIOLATION)
        return Started(
            call_id=said.conversationId.lower(),
            stream_id=wire.id.lower(),
            account_id=said.organizationId.lower(),
            parameters=_texts(said.inputVariables or {}),
            from_number=plain(who.ani or "", _MAX_FIELD_CHARS),
            to_number=plain(who.dnis or "", _MAX_FIELD_CHARS),
        )

    def _opened(self, wire: _Open, started: Started) -> None:
        self.inbound_format = self.outbound_format = _FORMATS[self._media.format]

    def _event(self, wire: Any) -> Event:
        if self._is_of_another(wire):
            return Ignored("foreign_stream")
        if isinstance(wire, _Ping):
            return Respond((self._say("pong", {}),))
        if isinstance(wire, _Dtmf):
            return Digit(wire.parameters.digit)
        if isinstance(wire, _Error):
            return _trouble(wire.parameters)
        if isinstance(wire, _Close):
            return self._closed(wire.parameters.reason)
        return Ignored(str(wire.__struct_config__.tag))

    def _is_foreign(self, wire: Any) -> bool:
        return isinstance(wire, _Close) and self._is_of_another(wire)

    def _is_of_another(self, wire: _Head) -> bool:
        return wire.id.lower() != self._session_id.lower()

    def _closed(self, reason: str) -> Event:
        farewell = Respond((self._say("closed", {}),))
        if self._phase is Phase.OPENING:
            return farewell
        return Several((farewell, Stopped(reason if reason in _CLOSE_REASONS else "")))

    # -- what we say -----------------------------------------------------------------------------------

    def opened(self) -> Sequence[bytes]:
        """The answer to `open`: which of the offered media is taken."""
        return (self._say("opened", {"media": [self._media], "startPaused": False}),)

    def audio(self, payload: bytes) -> bytes:
        """The binary message that plays 200 ms."""
        return Binary(payload)

    def clear(self) -> Sequence[bytes]:
        """The event that stops playback and drops what is queued."""
        return (self._say("event", {"entities": [{"type": "barge_in", "data": {}}]}),)

    def transfer(self, to: str) -> Sequence[bytes]:
        """`disconnect`; Architect finds `to` in the output variable ``transfer_to``."""
        variables = {"outcome": "transfer", "transfer_to": plain(to, _MAX_FIELD_CHARS)}
        return self._disconnect("completed", variables)

    def goodbye(self, reason: str) -> Sequence[bytes]:
        """`disconnect`, unless the other end said goodbye first."""
        if reason == "agent":
            return self._disconnect("completed", {"outcome": "completed"})
        return self._disconnect("error", {"outcome": "failed"}, reason)

    def _disconnect(self, reason: str, variables: Mapping[str, str], info: str = "") -> Sequence[bytes]:
        if self._leaving or self._phase is not Phase.STREAMING:
            return ()
        self._leaving = True
        return (self._say("disconnect", {"reason": reason, "info": info, "outputVariables": variables}),)


def _chosen(offered: Sequence[_Media]) -> _Media | None:
    """The caller alone, in mu-law if it is offered: that needs no transcoding."""
    usable = [m for m in offered if m.type == "audio" and m.channels == ["external"] and m.rate == 8000]
    return next((m for wanted in _FORMATS for m in usable if m.format == wanted), None)


def _texts(variables: Mapping[str, object]) -> dict[str, str]:
    return {
        plain(name, _MAX_FIELD_CHARS): plain(
            value if isinstance(value, str) else str(value), _MAX_FIELD_CHARS
        )
        for name, value in list(variables.items())[:_MAX_VARIABLES]
        if value is not None
    }


def _trouble(error: _ErrorBody) -> Event:
    if error.code == _TOO_MANY:
        return FlowStopped(_seconds(error.retryAfter))
    return Ignored(f"error_{error.code}" if error.code in _ERROR_CODES else "error")


def _seconds(retry_after: str | float | None) -> float:
    """A wait in seconds out of ``"PT1.5S"``, a number, or nothing; never negative, never long."""
    text = str(retry_after)
    if match := _DURATION.match(text):
        seconds = 60 * float(match[1] or 0) + float(match[2] or 0)
    else:
        try:
            seconds = float(text)
        except ValueError:
            return _RETRY_AFTER_S
    return min(seconds, _MAX_RETRY_AFTER_S) if seconds > 0 else _RETRY_AFTER_S  # a NaN is not more than 0


# -- carrier ---------------------------------------------------------------------------------------


class GenesysConfig(Section, frozen=True):
    """``[carriers.genesys]``: the credentials of the Audio Connector integration."""

    api_key: Secret = msgspec.field(default_factory=Secret)
    #: In base64, as Genesys shows it.
    client_secret: Secret = msgspec.field(default_factory=Secret)
    #: Serve this organization alone.
    organization_id: str = ""


class Genesys(Carrier):
    """Genesys Cloud as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Genesys Cloud"
    section = GenesysConfig
    capabilities = Capabilities(
        formats=(MULAW_8K, PCM16_8K),
        packet_ms=_MESSAGE_MS,
        marks=Marks.NONE,
        hang_up=How.MESSAGE,
        transfer=How.MESSAGE,
        token="",
        signed="HTTP Message Signatures (HMAC-SHA256), upgrade",
    )
    needs_token = False

    _config: GenesysConfig

    def __init__(self, config: GenesysConfig) -> None:
        super().__init__(config)
        self._nonces = Nonces()

    def missing(self) -> list[tuple[str, str]]:
        """Without the key and its secret no upgrade can be verified."""
        why = "without it no call can be told from a forgery."
        return [(name, why) for name in ("api_key", "client_secret") if not getattr(self._config, name)]

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Raises Refused unless Genesys signed this very request, a moment ago, and for the first time."""
        if self.missing():
            raise Refused("signature", "no secret is configured to check it with")
        key = self._config.api_key.reveal()
        if not hmac.compare_digest(_header(upgrade, KEY_HEADER).encode("utf-8", "replace"), key.encode()):
            raise Refused("signature", "the API key is not carriers.genesys.api_key")
        request = Request(upgrade.url, upgrade.headers)
        verified = verify(request, key, keys_of(self._config.client_secret), _RULES, upgrade.now_s)
        self._nonces.use(verified, upgrade.now_s)
        wanted = self._config.organization_id.lower()
        if wanted and _header(upgrade, ORGANIZATION_HEADER).lower() != wanted:
            raise Refused("account", "the call is not of carriers.genesys.organization_id")

    def dialect(self, upgrade: Upgrade) -> GenesysDialect:
        """A fresh dialect, for one media socket."""
        return GenesysDialect(_header(upgrade, SESSION_HEADER), _header(upgrade, ORGANIZATION_HEADER))

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None] | None:
        """By `GenesysDialect.transfer`; where the call goes then is the flow's to decide."""
        return None

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The integration's, and the flow's."""
        there, flow = (
            "Admin > Integrations > Audio Connector > Configuration",
            "Architect > Call Audio Connector",
        )
        return (
            Setting(f"{there} > Properties > Base Connection URI", urls.media.removesuffix("media")),
            Setting(f"{there} > Credentials", "API key and client secret as in [carriers.genesys]"),
            Setting(f"{flow} > Connector ID", "media"),
            Setting(f"{flow} > Outputs", "outcome, transfer_to"),
        )


CARRIER = Genesys


def _header(upgrade: Upgrade, name: str) -> str:
    """A header's value; empty when it is missing, or repeated."""
    values = header_values(upgrade.headers, name)
    return values[0].strip() if len(values) == 1 else ""
