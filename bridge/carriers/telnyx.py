"""Telnyx: TeXML and Call Control, `rtp` media both ways, Ed25519 on webhooks.

Strategy, besides what `dialect`, `json_dialect` and `carrier` promise:

- One webhook serves both APIs: a form is TeXML and is answered with XML; JSON is Call Control and is answered through
  REST, once the 200 is on its way.
- Telnyx does not promise the order of media: `Reorder` puts it right, and waits for 200 ms at most.
- The token travels in the path of the stream's address. Under which key parameters come back is not certain, and the
  command that answers a call takes none.
- Telnyx opens a dropped socket again, perhaps one that we closed: a call is ended through REST where there is a key.

Facts, from developers.telnyx.com: voice/programmable-voice/media-streaming, texml-verbs/stream, texml-verbs/connect,
api-reference/websockets/stream-call-media-over-websocket, call-commands, callbacks/texml-call-initiated; and the types
of the `telnyx` package.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final, Literal

import msgspec

from bridge.carriers.carrier import (
    APOLOGY,
    Capabilities,
    Carrier,
    Direction,
    Ended,
    Ending,
    How,
    IncomingCall,
    Reply,
    Setting,
    StreamStatus,
    StreamUrls,
    Upgrade,
    Webhook,
    form_value,
)
from bridge.carriers.ed25519 import require_signed
from bridge.carriers.markup import dial, document, response, verb
from bridge.carriers.rest import Plan, ask
from bridge.carriers.telnyx_api import CALL_CONTROL_APPLICATION, TEXML_APPLICATION, TelnyxApi, call_event
from bridge.carriers.telnyx_dialect import CALL_ID, CALL_PARAMETER, ENCODINGS, NAME, TelnyxDialect
from bridge.config_tree import Section
from bridge.errors import ProtocolError
from bridge.plain_text import plain
from bridge.secret import Secret
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding

SIGNATURE_HEADER: Final = "telnyx-signature-ed25519"
TIMESTAMP_HEADER: Final = "telnyx-timestamp"
#: How old a signature may be, and how far ahead of our clock.
TOLERANCE_S: Final = 300
#: What the simulated Telnyx signs with. Its private half is public: fit for trials alone.
SIMULATED_KEY: Final = "/XO0hLQNUbqaKhaWwNCF129VsSsvjjDyxAQln5p/ODI="

#: `IncomingCall.detail`: which of the two APIs the call is of, and whether it wants an answer or has had it.
TEXML: Final = "texml"
CALL_CONTROL: Final = "call_control"
ANSWERED: Final = "call_control_answered"
#: The ``client_state`` of the calls that we place, and of those that are answered before they get their stream: how
#: their events are told from those of others.
OUR_CALL: Final = b64encode(b"placed by the bridge").decode("ascii")
THEIR_CALL: Final = b64encode(b"answered by the bridge").decode("ascii")

_MAX_FIELD_CHARS: Final = 400
_STREAM_EVENTS: Final[dict[str, StreamStatus]] = {
    "stream-started": "started",
    "stream-stopped": "stopped",
    "stream-failed": "error",  # one page has this name, another the next
    "stream-error": "error",
    "streaming.started": "started",
    "streaming.stopped": "stopped",
    "streaming.failed": "error",
}

# -- carrier ---------------------------------------------------------------------------------------


class TelnyxConfig(Section, frozen=True):
    """``[carriers.telnyx]``."""

    #: No secret, but what everything is believed by. Base64 of 32 bytes.
    public_key: Secret = msgspec.field(default_factory=Secret)
    #: Of the REST API: for Call Control, hanging up, transfers, keys, calls that we place.
    api_key: Secret = msgspec.field(default_factory=Secret)
    #: The Call Control application, by its id.
    connection_id: str = ""
    #: The TeXML application, by its id.
    texml_application_id: str = ""
    #: What we send, and ask to be sent.
    codec: Literal["PCMU", "PCMA", "L16"] = "PCMU"
    #: Of L16 alone.
    rate_hz: Literal[8000, 16000] = 8000
    #: Of L16 alone: network order is what others report, no page says so.
    l16_byte_order: Literal["big", "little"] = "big"
    #: Where REST requests go; a stand-in's.
    api_url: str = "https://api.telnyx.com"

    @property
    def audio(self) -> AudioFormat:
        """What we send."""
        return AudioFormat(ENCODINGS[self.codec], self.rate_hz if self.codec == "L16" else 8000)


class Telnyx(Carrier):
    """Telnyx as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Telnyx"
    section = TelnyxConfig
    capabilities = Capabilities(
        formats=(MULAW_8K, ALAW_8K, PCM16_8K, AudioFormat(Encoding.PCM16, 16000)),
        send_digits=How.REST,
        hang_up=How.REST,
        transfer=How.REST,
        place_calls=How.REST,
        token="path",  # noqa: S106 - a place, not a token
        signed="Ed25519 over time and body, webhooks",
    )
    reconnects = True
    #: Anything but 200 is told again to the failover URL, say its pages.
    noted = Reply("", "text/plain")

    _config: TelnyxConfig

    def __init__(self, config: TelnyxConfig) -> None:
        super().__init__(config)
        self._api = TelnyxApi(config.api_url, config.api_key)

    def missing(self) -> list[tuple[str, str]]:
        """Without the public key, and something to use it with, nothing can be verified."""
        if find_spec("cryptography") is None:
            why = "the package `cryptography` is not installed, which checks with it: install the extra `telnyx`."
            return [("public_key", why)]
        return (
            []
            if self._config.public_key
            else [("public_key", "without it no call can be told from a forgery.")]
        )

    def unsafe(self) -> list[tuple[str, str]]:
        """The simulated Telnyx's key."""
        if self._config.public_key.reveal() != SIMULATED_KEY:
            return []
        return [("public_key", "it is that of the simulated Telnyx, and anybody can sign as that.")]

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless Telnyx signed this body within the last five minutes."""
        require_signed(
            self._config.public_key,
            webhook,
            signature_header=SIGNATURE_HEADER,
            timestamp_header=TIMESTAMP_HEADER,
            tolerance_s=TOLERANCE_S,
            setting="carriers.telnyx.public_key",
        )

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Telnyx signs no upgrades: the token in the path must do."""

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        """The call that a TeXML form or a Call Control event announces; None of any other event."""
        if webhook.is_json:
            return _announced(webhook.body)
        form = webhook.form
        return IncomingCall(
            call_id=_checked(form_value(form, "CallSid"), "CallSid"),
            account_id=plain(form_value(form, "AccountSid"), _MAX_FIELD_CHARS),
            from_number=plain(form_value(form, "From"), _MAX_FIELD_CHARS),
            to_number=plain(form_value(form, "To"), _MAX_FIELD_CHARS),
            direction="outbound" if form_value(form, "Direction").startswith("outbound") else "inbound",
            detail=TEXML,
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """TeXML that opens the stream and then asks us what is next; of Call Control a command, after the 200."""
        if call.detail != TEXML:
            return Reply("", "text/plain", then=self._take(call, urls, token))
        config = self._config
        stream = verb(
            "Stream",
            url=f"{urls.media}/{token}",
            track="inbound_track",
            codec=config.codec,
            bidirectionalMode="rtp",  # else it would be mp3, and what we send silence
            bidirectionalCodec=config.codec,
            bidirectionalSamplingRate=str(config.audio.rate_hz),
            enableReconnect="true",
            statusCallback=urls.status,
            statusCallbackMethod="POST",
        )
        stream.append(verb("Parameter", name=CALL_PARAMETER, value=call.call_id))
        connect = verb("Connect")
        connect.append(stream)
        return response(connect, verb("Redirect", urls.ended, method="POST"))

    def _take(self, call: IncomingCall, urls: StreamUrls, token: str) -> Plan[None]:
        """Answer the call with a stream; or first answer it, and when it has been answered give it its stream.

        The command that answers knows no rate, so only at 8 kHz it can do both.
        """
        rate_hz = self._config.audio.rate_hz
        body: dict[str, object] = {
            "stream_url": f"{urls.media}/{token}",
            "stream_track": "inbound_track",
            "stream_codec": self._config.codec,
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_codec": self._config.codec,
        }
        if call.detail == ANSWERED:
            action, body = "streaming_start", body | {"stream_bidirectional_sampling_rate": rate_hz}
        elif rate_hz == 8000:
            action, body = "answer", body | {"webhook_url": urls.status}
        else:
            action, body = "answer", {"client_state": THEIR_CALL, "webhook_url": urls.answer}
        purpose = "start the stream" if action == "streaming_start" else "answer the call"
        # The same webhook may come twice: the same command twice is obeyed once.
        once = {"command_id": f"{call.call_id[-48:]}-{action}"}
        yield from ask(self._api.action(call.call_id, purpose, action, body | once))

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """TeXML for the time after the stream: connect to somebody else, or hang up, after an apology if need be."""
        if ended.ending is Ending.TRANSFERRED:
            return response(*_dialled(ended.transfer_to))
        lost = ended.ending is Ending.LOST or self.status(webhook) == "error"
        return response(verb("Say", APOLOGY), verb("Hangup")) if lost else response(verb("Hangup"))

    def status(self, webhook: Webhook) -> StreamStatus:
        """What a status callback, or an event of Call Control, says of the stream."""
        told = (
            call_event(webhook.body).event_type
            if webhook.is_json
            else form_value(webhook.form, "StreamEvent")
        )
        return _STREAM_EVENTS.get(told, "unknown")

    def over(self, webhook: Webhook) -> str:
        """The Call Control call that has been hung up."""
        if not webhook.is_json or (event := call_event(webhook.body)).event_type != "call.hangup":
            return ""
        return _checked(event.call().call_control_id, "call_control_id")

    def dialect(self, upgrade: Upgrade) -> TelnyxDialect:
        """A fresh dialect, for one media socket."""
        return TelnyxDialect(self._config.audio, big_endian=self._config.l16_byte_order == "big")

    # -- call control ----------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None] | None:
        """Through REST; by closing alone a TeXML call without an API key, which Telnyx may take for a fault."""
        if call.detail != TEXML:
            return self._api.end(self._api.action(call.call_id, "hang up", "hangup", {}))
        if not self._config.api_key:
            return None
        return self._api.end(self._api.texml(call, "hang up", {"Status": "completed"}))

    def abandon(self, call: IncomingCall) -> Plan[None] | None:
        """Of Call Control by REST: nobody asks what is next there. TeXML asks, or goes on to its end."""
        return self.hang_up(call) if call.detail != TEXML else None

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None] | None:
        """A command, or new TeXML; without an API key by the answer to ``ended``."""
        if call.detail != TEXML:
            return self._api.do(self._api.action(call.call_id, "transfer the call", "transfer", {"to": to}))
        if not self._config.api_key:
            return None
        texml = document(*_dialled(to))
        return self._api.do(self._api.texml(call, "transfer the call", {"Texml": texml}))

    def send_digits(self, call: IncomingCall, digits: str) -> Plan[None]:
        """A command, for calls of both APIs."""
        return self._api.do(self._api.action(call.call_id, "send keys", "send_dtmf", {"digits": digits}))

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call through the Call Control application; its stream is opened when it has been answered."""
        call = {"to": to, "from": from_number, "webhook_url": urls.answer, "client_state": OUR_CALL}
        return self._api.dial(self._config.connection_id, call)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """An application with our webhook, and the number on it."""
        config = self._config
        texml = bool(config.texml_application_id) or not config.connection_id
        kind = "TeXML application" if texml else "Call Control application"
        return (
            Setting(f"Voice > {kind} > Webhook URL", f"{urls.answer}, POST, API v2"),
            Setting(f"Voice > {kind} > Inbound > Codecs", "G711U and G711A alone"),
            Setting(f"Numbers > My Numbers > {number} > Connection or application", f"that {kind}"),
        )

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Give the application our webhook, and the number to the application."""
        if application_id := self._config.texml_application_id:
            yield from self._api.set_webhook(TEXML_APPLICATION, application_id, urls.answer)
        else:
            application_id = self._config.connection_id
            yield from self._api.set_webhook(CALL_CONTROL_APPLICATION, application_id, urls.answer)
        yield from self._api.assign(number, application_id)
        return [
            f"application {application_id}: a call that comes in is answered by {urls.answer}",
            f"{number}: belongs to application {application_id}",
        ]

    def check(self) -> Plan[str] | None:
        """Ask for the balance: there is nothing smaller that needs the key."""
        return self._api.balance() if self._config.api_key else None


CARRIER = Telnyx


def _announced(body: bytes) -> IncomingCall | None:
    event = call_event(body)
    if event.event_type not in ("call.initiated", "call.answered"):
        return None
    payload = event.call()
    answered = event.event_type == "call.answered" and payload.client_state in (OUR_CALL, THEIR_CALL)
    came_in = event.event_type == "call.initiated" and payload.direction != "outgoing"
    if not (answered or came_in):
        return None
    direction: Direction = "outbound" if answered and payload.client_state == OUR_CALL else "inbound"
    return IncomingCall(
        call_id=_checked(payload.call_control_id, "call_control_id"),
        account_id=plain(payload.connection_id or "", _MAX_FIELD_CHARS),
        from_number=plain(payload.from_ or "", _MAX_FIELD_CHARS),
        to_number=plain(payload.to or "", _MAX_FIELD_CHARS),
        direction=direction,
        detail=ANSWERED if answered else CALL_CONTROL,
    )


def _checked(call_id: str, field: str) -> str:
    if not re.match(CALL_ID, call_id):
        raise ProtocolError(f"{field} is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
    return call_id


def _dialled(to: str) -> tuple[Any, Any]:
    return dial(to), verb("Hangup")
