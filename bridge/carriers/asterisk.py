"""Asterisk: the WebSocket channel driver (`chan_websocket`), one's own exchange instead of a carrier's.

Strategy, besides what `dialect`, `json_dialect` and `carrier` promise:

- Binary messages are the sound, text messages the control, as one line of plain text or as JSON. Plain text is put
  into JSON and read as that; our commands go out in the form that MEDIA_START came in.
- Asterisk connects to us, or we connect to a channel that waits for us (``WebSocket/INCOMING``), and the media socket
  is the same from there on. Name and password are the gate of both: HTTP Basic.
- A call is named by the channel that dialled (`caller`), where the dialplan tells it: that is what a transfer and a
  placed call know it by. Failing that, by the WebSocket's own channel; never by `connection_id`, the section's name.
- The driver drops what is no whole frame, and throws queued marks away with what it flushes: messages are whole
  frames, and no mark is waited for after a clear.
- A command over 128 bytes is ignored by Asterisk: ours are short, by pattern.

Facts, from docs.asterisk.org (WebSocket channel driver, websocket_client.conf, ARI), channels/chan_websocket.c and
rest-api in the sources of Asterisk 20 to 23, and a run against Asterisk's master of August 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.capabilities import Capabilities, How, Marks
from bridge.carriers.carrier import (
    Carrier,
    Ended,
    Ending,
    IncomingCall,
    MediaSocket,
    Reply,
    Setting,
    StreamUrls,
    Upgrade,
    Webhook,
)
from bridge.carriers.dialable import dialable, is_dialable
from bridge.carriers.dialect import (
    Audio,
    Binary,
    Delivery,
    Digit,
    Event,
    FlowResumed,
    FlowStopped,
    Ignored,
    MarkPlayed,
    Started,
)
from bridge.carriers.http_auth import require_basic
from bridge.carriers.json_dialect import POLICY_VIOLATION, JsonDialect, Kind, Phase, Wire
from bridge.carriers.markup import plain
from bridge.carriers.rest import Plan, RestRequest, ask, basic, fail, json_request, text_at
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding

NAME: Final = "asterisk"
#: What Asterisk asks for in ``Sec-WebSocket-Protocol``, and we of it.
SUBPROTOCOL: Final = "media"

#: Asterisk's names of formats that need no codec of their own.
FORMATS: Final[Mapping[str, AudioFormat]] = {
    "ulaw": MULAW_8K,
    "alaw": ALAW_8K,
    "slin": PCM16_8K,
    **{f"slin{khz}": AudioFormat(Encoding.PCM16, khz * 1000) for khz in (12, 16, 24, 32, 48)},
}

# A channel's unique id: "1795260005.2", with the system's name before it, or what ARI was told to call it.
_CHANNEL_ID: Final = r"\A[0-9A-Za-z][0-9A-Za-z_.@;+-]{0,148}\Z"
_CONNECTION_ID: Final = r"\A[0-9A-Za-z][0-9A-Za-z_-]{7,99}\Z"
_MARK_NAME: Final = re.compile(r"\A[0-9A-Za-z_.-]{1,64}\Z")
_EVENT_NAME: Final = re.compile(rb"\A[A-Z][A-Z_]{2,40}\Z")
_MAX_FIELD_CHARS: Final = 400
_LONGEST_MESSAGE_MS: Final = 200
_STEP_MS: Final = 20  # the playout's clock
_ECHOES: Final = ("MEDIA_MARK_PROCESSED", "MEDIA_BUFFERING_COMPLETED")

# -- messages received -----------------------------------------------------------------------------

_Digit = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Start(Wire, tag="MEDIA_START"):
    channel_id: Annotated[str, Meta(pattern=_CHANNEL_ID)]
    format: str
    optimal_frame_size: Annotated[int, Meta(ge=1, le=65_536)]
    channel_variables: dict[str, object] = {}


class _Dtmf(Wire, tag="DTMF_END"):
    digit: _Digit


class _Mark(Wire, tag="MEDIA_MARK_PROCESSED"):
    correlation_id: str = ""


#: What says nothing but its own name, as far as we read it.
_TELLING: Final[Mapping[str, Event]] = {
    "MEDIA_XOFF": FlowStopped(),
    "MEDIA_XON": FlowResumed(),
    "STATUS": Ignored("status"),
    "QUEUE_DRAINED": Ignored("queue_drained"),
    "MEDIA_BUFFERING_COMPLETED": Ignored("buffering_completed"),
    "ERROR": Ignored("carrier_error"),
}
_EVENTS: Final[Mapping[type[Struct], Event]] = {
    msgspec.defstruct(name, [], bases=(Wire,), tag=name): event for name, event in _TELLING.items()
}


def in_json(line: bytes) -> bytes:
    """A line of plain-text control as the JSON that says the same; as it stands when it is no such line.

    ``EVENT name:value name:value``; the two events that echo an id of ours have it alone, and the text of an error
    may hold spaces.
    """
    name, _, rest = line.strip().partition(b" ")
    if not _EVENT_NAME.match(name):
        return line
    fields = {"event": name.decode("ascii")}
    try:
        text = rest.decode("utf-8")
    except UnicodeDecodeError:
        return line
    if fields["event"] in _ECHOES:
        return msgspec.json.encode({**fields, "correlation_id": text})
    for word in text.split():
        key, colon, value = word.partition(":")
        if colon:
            fields.setdefault(key, value)
    return msgspec.json.encode(fields)


# -- dialect ---------------------------------------------------------------------------------------

_MEDIA_BEFORE_START: Final = Ignored("media_before_start")


class AsteriskDialect(JsonDialect):
    """The media socket of one WebSocket channel; see `bridge.carriers.dialect.Dialect`.

    Args:
        told: what the dialplan wrote into the address (`caller`, `from`, `to`), stronger than channel variables.
    """

    carrier = NAME
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Start: Kind.START,
        _Dtmf: Kind.DTMF,
        _Mark: Kind.MARK,
        **dict.fromkeys(_EVENTS, Kind.CONTROL),
    }

    def __init__(self, told: Mapping[str, str]) -> None:
        super().__init__()
        self._told = told
        self._json = False
        self._received_bytes = 0

    def receive(self, message: bytes) -> Event:
        """What `message` means; raises ProtocolError as every dialect does."""
        if type(message) is Binary:
            return self._sound(message)
        is_json = message.lstrip().startswith(b"{")
        event = super().receive(message if is_json else in_json(message))
        if isinstance(event, Started):
            self._json = is_json
        return event

    def _sound(self, message: bytes) -> Event:
        if self._phase is not Phase.STREAMING:  # some come early under load, and mean nothing yet
            return _MEDIA_BEFORE_START
        audio = self.inbound_format
        if (
            len(message) % audio.sample_bytes
        ):  # frames of odd sizes do come; half a sample must not turn what follows
            message = message[:-1]
        timestamp_ms = int(audio.ms_in(self._received_bytes))
        self._received_bytes += len(message)
        return Audio(message, timestamp_ms)

    # -- what we say -----------------------------------------------------------------------------------

    def opened(self) -> Sequence[bytes]:
        """Answer the channel, for a dialplan that left it to us (option ``n``); harmless if it is answered."""
        return (self._command("ANSWER"),)

    def audio(self, payload: bytes) -> bytes:
        """Whole frames, as they are."""
        return Binary(payload)

    def mark(self, name: str) -> Sequence[bytes]:
        """The command that asks for `MarkPlayed(name)` when it gets to the head of the queue; never, once flushed."""
        assert _MARK_NAME.match(name), "a mark's name that Asterisk would not take"
        if self._json:
            return (b'{"command":"MARK_MEDIA","correlation_id":"%b"}' % name.encode("ascii"),)
        return (b"MARK_MEDIA " + name.encode("ascii"),)

    def clear(self) -> Sequence[bytes]:
        """Empty the queue; what is flushed while it was paused would stay paused, whatever the documents say."""
        return (self._command("FLUSH_MEDIA"), self._command("CONTINUE_MEDIA"))

    def goodbye(self, reason: str) -> Sequence[bytes]:
        """Hang up our channel; the dialplan goes on with the caller's."""
        return (self._command("HANGUP"),)

    def _command(self, name: str) -> bytes:
        return (f'{{"command":"{name}"}}' if self._json else name).encode("ascii")

    # -- what Asterisk says ----------------------------------------------------------------------------

    def _start(self, wire: _Start) -> Started:
        audio, _ = self._served(wire)
        told = {**_inherited(wire.channel_variables), **self._told}
        caller = told.get("caller", "")
        return Started(
            call_id=caller if re.match(_CHANNEL_ID, caller) else wire.channel_id,
            stream_id=wire.channel_id,
            parameters=told,
            from_number=told.get("from", ""),
            to_number=told.get("to", ""),
        )

    def _opened(self, wire: _Start, started: Started) -> None:
        audio, message_ms = self._served(wire)
        self.inbound_format = self.outbound_format = audio
        self.delivery = Delivery(message_ms=message_ms)

    def _served(self, wire: _Start) -> tuple[AudioFormat, int]:
        """The stream's format, and how much audio a message must hold to be of whole frames.

        Raises:
            ProtocolError: it is a codec that is not spoken here, or its frames do not go into the playout's.
        """
        audio = FORMATS.get(wire.format)
        if audio is None:
            known = ", ".join(FORMATS)
            reason = f"format {plain(wire.format, 20)!r} is not spoken here; dial c(ulaw), or one of {known}"
            raise self._unserved(reason)
        for message_ms in range(_STEP_MS, _LONGEST_MESSAGE_MS + 1, _STEP_MS):
            if audio.bytes_in(message_ms) % wire.optimal_frame_size == 0:
                return audio, message_ms
        raise self._unserved(f"no message of whole frames of {wire.optimal_frame_size} bytes")

    def _unserved(self, reason: str) -> ProtocolError:
        return self._broken(reason, "bad_format", POLICY_VIOLATION if self._phase is Phase.OPENING else None)

    def _event(self, wire: Any) -> Event:
        if isinstance(wire, _Mark):
            return MarkPlayed(wire.correlation_id)
        return Digit(wire.digit) if isinstance(wire, _Dtmf) else _EVENTS[type(wire)]


def _inherited(variables: Mapping[str, object]) -> dict[str, str]:
    """What the dialplan gave our channel along: ``Set(__BRIDGE_CALLER=${UNIQUEID})`` and the like."""
    told = {name: variables.get(f"BRIDGE_{name.upper()}") for name in ("caller", "from", "to")}
    return {name: plain(value, _MAX_FIELD_CHARS) for name, value in told.items() if isinstance(value, str)}


# -- carrier ---------------------------------------------------------------------------------------


class AsteriskConfig(Section, frozen=True):
    """``[carriers.asterisk]``."""

    #: What Asterisk proves itself with, on the media socket and on webhooks: websocket_client.conf has the same.
    username: str = ""
    password: Secret = msgspec.field(default_factory=Secret)
    #: Where Asterisk's web server is, to connect to channels that wait for us: ``ws://asterisk:8088``.
    media_url: Annotated[
        str, Meta(pattern=r"\A(wss?://[^\s?#]+)?\Z", description="a ws:// or wss:// address")
    ] = ""
    #: ARI, for calls that we place: ``http://asterisk:8088``.
    ari_url: str = ""
    ari_username: str = ""
    ari_password: Secret = msgspec.field(default_factory=Secret)
    #: Whom to dial for a number: ``PJSIP/{to}@trunk``.
    endpoint: str = ""
    #: Where in the dialplan a call that we placed goes on when it is answered.
    context: str = "bridge"
    extension: str = "placed"


class Asterisk(Carrier):
    """Asterisk as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Asterisk"
    section = AsteriskConfig
    capabilities = Capabilities(
        formats=(MULAW_8K, ALAW_8K, PCM16_8K, FORMATS["slin16"]),
        marks=Marks.PLAYED_ONLY,
        hang_up=How.MESSAGE,
        transfer=How.ANSWER,
        place_calls=How.REST,
        token="",
        signed="HTTP Basic, media socket and webhooks",
    )
    needs_token = False
    webhook_methods = ("POST", "GET")

    _config: AsteriskConfig

    def missing(self) -> list[tuple[str, str]]:
        """Name and password are all there is to tell Asterisk from anybody else."""
        wanted = {"username": self._config.username, "password": self._config.password}
        why = "without it no call can be told from a forgery."
        return [(key, why) for key, value in wanted.items() if not value]

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused without the configured name and password."""
        require_basic(webhook.headers, self._config.username, self._config.password)

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Raises Refused likewise."""
        require_basic(upgrade.headers, self._config.username, self._config.password)

    def dialect(self, upgrade: Upgrade) -> AsteriskDialect:
        """A fresh dialect, for one media socket; the query is what the dialplan put into ``v()``."""
        return AsteriskDialect({name: plain(value, _MAX_FIELD_CHARS) for name, value in upgrade.query})

    # -- webhooks: a dialplan that asks by CURL() ------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall:
        """A channel that waits for us: its ``connection_id``, and as far as the dialplan tells who calls whom."""
        connection_id, caller = webhook.value("connection_id"), webhook.value("caller")
        if not re.match(_CONNECTION_ID, connection_id):
            raise _bad_webhook("connection_id is missing, repeated or malformed")
        if caller and not re.match(_CHANNEL_ID, caller):
            raise _bad_webhook("caller is not a channel's unique id")
        return IncomingCall(
            call_id=caller or connection_id,
            account_id="",
            from_number=plain(webhook.value("from"), _MAX_FIELD_CHARS),
            to_number=plain(webhook.value("to"), _MAX_FIELD_CHARS),
            direction="inbound",
            detail=connection_id,
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """Nothing to say: we connect to the channel, whose id is known to nobody else."""
        config = self._config
        if not config.media_url:
            return Reply("carriers.asterisk.media_url is not set\n", "text/plain", 503)
        url = f"{config.media_url.rstrip('/')}/media/{quote(call.detail, safe='')}"
        dial = MediaSocket(url, basic(config.username, config.password), (SUBPROTOCOL,))
        return Reply("connecting\n", "text/plain", dial=dial)

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """Whom the dialplan is to dial next, or nothing."""
        to = ended.transfer_to if ended.ending is Ending.TRANSFERRED else ""
        return Reply(to if is_dialable(to) else "", "text/plain")

    def call_id_of(self, webhook: Webhook) -> str:
        """The call that ``ended`` asks about: ``caller``."""
        caller = webhook.value("caller")
        if not re.match(_CHANNEL_ID, caller):
            raise _bad_webhook("caller is missing, repeated or malformed")
        return caller

    # -- call control ----------------------------------------------------------------------------------

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> None:
        """By the answer to ``ended``: ARI can do it only for channels that are in a Stasis application."""
        dialable(NAME, "transfer the call", to)

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call that goes on in the dialplan when it is answered, which connects it to us."""
        config, purpose = self._config, "place the call"
        if "{to}" not in config.endpoint:
            raise Unsupported(
                f"cannot {purpose}: carriers.asterisk.endpoint is needed for it, such as PJSIP/{{to}}@trunk",
                carrier=NAME,
            )
        body = {
            "endpoint": config.endpoint.replace("{to}", dialable(NAME, purpose, to)),
            "context": config.context,
            "extension": config.extension,
            "priority": 1,
            "callerId": dialable(NAME, purpose, from_number),
            "variables": {"BRIDGE_FROM": from_number, "BRIDGE_TO": to},
        }
        request = json_request(NAME, purpose, self._ari(purpose, "channels"), body, self._ari_headers())
        answer = yield from ask(request)
        if not (channel_id := text_at(answer, "id")):
            fail(request, answer, "the answer names no channel")
        return channel_id

    def _ari(self, purpose: str, path: str) -> str:
        config = self._config
        if not (config.ari_url and config.ari_username and config.ari_password):
            needed = "carriers.asterisk.ari_url, ari_username and ari_password are needed for it"
            raise Unsupported(f"cannot {purpose}: {needed}", carrier=NAME)
        return f"{config.ari_url.rstrip('/')}/ari/{path}"

    def _ari_headers(self) -> dict[str, str]:
        return basic(self._config.ari_username, self._config.ari_password)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The section that names us, and the lines of the dialplan that bring calls here."""
        section = (
            f"[bridge] type=websocket_client, uri={urls.media}, protocols={SUBPROTOCOL},"
            f" username={self._config.username}, password=<carriers.asterisk.password>,"
            " connection_type=per_call_config, connection_timeout=5000"
        )
        told = (
            "caller=${URIENCODE(${UNIQUEID})},from=${URIENCODE(${CALLERID(num)})},to=${URIENCODE(${EXTEN})}"
        )
        dial = f"exten => {number},1,Dial(WebSocket/bridge/c(ulaw)f(json)v({told}),,g)"
        ask_next = f"then CURL({urls.ended},caller=${{UNIQUEID}}), and Dial it"
        return (
            Setting("websocket_client.conf", section),
            Setting("extensions.conf", dial),
            Setting("extensions.conf, for transfers", ask_next),
        )

    def check(self) -> Plan[str] | None:
        """Ask ARI for its version."""
        return self._version() if self._config.ari_url else None

    def _version(self) -> Plan[str]:
        purpose = "ask for Asterisk's version"
        request = RestRequest(NAME, purpose, "GET", self._ari(purpose, "asterisk/info"), self._ari_headers())
        answer = yield from ask(request)
        return f"Asterisk {text_at(answer, 'system', 'version') or 'of unknown version'}"

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook:
        """A webhook that says nothing, with name and password."""
        headers = basic(self._config.username, self._config.password)
        return Webhook(url=urls.status, headers=headers, now_s=now_s)


CARRIER = Asterisk


def _bad_webhook(reason: str) -> ProtocolError:
    return ProtocolError(reason, peer=NAME, kind="bad_webhook")
