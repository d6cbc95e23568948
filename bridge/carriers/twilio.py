"""Twilio: ``<Connect><Stream>`` media, TwiML answers, `X-Twilio-Signature` on webhooks and upgrades.

Strategy, besides what `dialect`, `json_dialect` and `carrier` promise:

- `receive` is the hot path, 50 messages a second and call: a typed decode, a table look-up, a comparison.
- TwiML is built as a tree, so no caller can write a verb into it, and ends in verbs that run when we cannot.
- Closing the socket ends the call by way of `action`; REST is for what closing cannot do: ending a call that is only
  listened to, transferring, placing one.

Facts, from twilio.com/docs: voice/media-streams/websocket-messages, voice/twiml/stream, voice/twiml/connect,
usage/webhooks/webhooks-security, voice/api/call-resource, phone-numbers/api/incomingphonenumber-resource.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.carrier import (
    APOLOGY,
    Capabilities,
    Carrier,
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
    header_values,
)
from bridge.carriers.dialect import Audio, Connected, Digit, Event, MarkPlayed, Started, Stopped
from bridge.carriers.form_signature import require_signature, sign, spellings
from bridge.carriers.json_dialect import FOREIGN_STREAM, OUTBOUND_TRACK, JsonDialect, Kind, Wire
from bridge.carriers.markup import dial, document, response, verb
from bridge.carriers.rest import Plan, RestRequest, ask, basic, fail, form_request, text_at
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused, Unsupported
from bridge.plain_text import plain
from bridge.secret import Secret

NAME: Final = "twilio"
SIGNATURE_HEADER: Final = "X-Twilio-Signature"
#: Present when a shared key signed instead of the auth token: ``key=<id>,algorithm=<HMAC_SHA1|HMAC_SHA256>``.
SIGNATURE_SETTINGS_HEADER: Final = "X-Twilio-Webhooks-Signature-Settings"

#: `<Parameter>` names; they come back in ``start.customParameters``.
TOKEN_PARAMETER: Final = "token"  # noqa: S105 - a name, not a token
DIRECTION_PARAMETER: Final = "direction"

_CALL_ID: Final = r"\ACA[0-9a-fA-F]{32}\Z"
_STREAM_ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"
_MAX_PARAMETER_CHARS: Final = 500  # name and value together
_MAX_FIELD_CHARS: Final = 400  # of a number, a name or a SIP address
_LONGEST_CALL_S: Final = 4 * 3600  # no call at Twilio lasts longer
_STREAM_EVENTS: Final[dict[str, StreamStatus]] = {
    "stream-started": "started",
    "stream-stopped": "stopped",
    "stream-error": "error",
}

# -- messages received -----------------------------------------------------------------------------

_Millis: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _OfStream(Wire, gc=False):
    streamSid: str


class _Connected(Wire, tag="connected"):
    pass


class _MediaFormat(Struct):
    encoding: Literal["audio/x-mulaw"] = "audio/x-mulaw"
    sampleRate: Annotated[int, Meta(ge=8000, le=8000)] = 8000
    channels: Annotated[int, Meta(ge=1, le=1)] = 1


class _StartBody(Struct):
    streamSid: Annotated[str, Meta(pattern=_STREAM_ID)]
    callSid: Annotated[str, Meta(pattern=_CALL_ID)]
    accountSid: str = ""
    tracks: list[str] = []
    customParameters: dict[str, str] = {}
    mediaFormat: _MediaFormat = msgspec.field(default_factory=_MediaFormat)


class _Start(Wire, tag="start"):
    start: _StartBody


class _MediaBody(Struct, gc=False):
    payload: bytes
    track: str = "inbound"
    timestamp: _Millis = 0


class _Media(_OfStream, tag="media", gc=False):
    media: _MediaBody


class _DtmfBody(Struct):
    digit: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Dtmf(_OfStream, tag="dtmf"):
    dtmf: _DtmfBody


class _MarkBody(Struct):
    name: str


class _Mark(_OfStream, tag="mark"):
    mark: _MarkBody


class _Stop(_OfStream, tag="stop"):
    pass


# -- dialect ---------------------------------------------------------------------------------------


class TwilioDialect(JsonDialect):
    """The media socket of one Twilio call; see `bridge.carriers.dialect.Dialect`."""

    carrier = NAME
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Media: Kind.MEDIA,
        _Dtmf: Kind.DTMF,
        _Mark: Kind.MARK,
        _Connected: Kind.CONNECTED,
        _Start: Kind.START,
        _Stop: Kind.STOP,
    }

    def __init__(self) -> None:
        super().__init__()
        self._stream_id = ""
        self._audio_prefix = self._mark_prefix = self._clear = b""

    def audio(self, payload: bytes) -> bytes:
        """The message that plays one packet of mu-law."""
        assert self._audio_prefix, "audio before start"
        return self._audio_prefix + b2a_base64(payload, newline=False) + b'"}}'

    def mark(self, name: str) -> Sequence[bytes]:
        """The message that asks for `MarkPlayed(name)` once everything before it is played, or cleared."""
        assert self._mark_prefix, "mark before start"
        return (self._mark_prefix + msgspec.json.encode(name) + b"}}",)

    def clear(self) -> Sequence[bytes]:
        """The message that empties Twilio's buffer. All marks that are pending come back at once."""
        assert self._clear, "clear before start"
        return (self._clear,)

    def _start(self, wire: _Start) -> Started:
        start = wire.start
        return Started(
            call_id=start.callSid,
            stream_id=start.streamSid,
            account_id=start.accountSid,
            bidirectional=_is_bidirectional(start),
            parameters=start.customParameters,
        )

    def _opened(self, wire: _Start, started: Started) -> None:
        self._stream_id = started.stream_id
        stream = started.stream_id.encode("ascii")
        self._audio_prefix = b'{"event":"media","streamSid":"%b","media":{"payload":"' % stream
        self._mark_prefix = b'{"event":"mark","streamSid":"%b","mark":{"name":' % stream
        self._clear = b'{"event":"clear","streamSid":"%b"}' % stream

    def _event(self, wire: Any) -> Event:
        if isinstance(wire, _Connected):
            return Connected()
        if wire.streamSid != self._stream_id:
            return FOREIGN_STREAM
        if isinstance(wire, _Media):
            media = wire.media
            return Audio(media.payload, media.timestamp) if media.track == "inbound" else OUTBOUND_TRACK
        if isinstance(wire, _Dtmf):
            return Digit(wire.dtmf.digit)
        return MarkPlayed(wire.mark.name) if isinstance(wire, _Mark) else Stopped()

    def _is_foreign(self, wire: Any) -> bool:
        return isinstance(wire, _OfStream) and wire.streamSid != self._stream_id


def _is_bidirectional(start: _StartBody) -> bool:
    # `start` does not say which verb opened the stream; only <Start> can listen to what the caller hears.
    return (
        "outbound" not in start.tracks and start.customParameters.get(DIRECTION_PARAMETER) != "unidirectional"
    )


# -- carrier ---------------------------------------------------------------------------------------


class TwilioConfig(Section, frozen=True):
    """``[carriers.twilio]``."""

    account_sid: str = ""
    auth_token: Secret = msgspec.field(default_factory=Secret)
    #: Only listen in, by ``<Start><Stream>``, while the caller is connected to `listen_dial`.
    listen_only: bool = False
    listen_dial: str = ""
    #: Where REST requests go; another region's, or a stand-in's.
    api_url: str = "https://api.twilio.com"


class Twilio(Carrier):
    """Twilio as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Twilio"
    section = TwilioConfig
    capabilities = Capabilities(
        hang_up=How.CLOSE,
        transfer=How.REST,
        place_calls=How.REST,
        signed="X-Twilio-Signature (HMAC-SHA1), webhooks and upgrade",
    )

    _config: TwilioConfig

    def missing(self) -> list[tuple[str, str]]:
        """Without the auth token nothing can be verified."""
        return (
            []
            if self._config.auth_token
            else [("auth_token", "without it no call can be told from a forgery.")]
        )

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless Twilio signed this form for its URL."""
        self._verify(spellings(webhook.url), webhook.headers, webhook.form)

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Raises Refused unless Twilio signed an upgrade of this URL (ws:// or wss://, as the TwiML gave it)."""
        # Reported, never documented: the slash at the end of a path may be added or dropped before signing.
        self._verify(spellings(upgrade.url, any_slash=True), upgrade.headers, {})

    def _verify(self, urls: Iterable[str], headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        given = header_values(headers, SIGNATURE_HEADER)
        require_signature(self._config.auth_token, given, urls, form, _algorithm(headers))

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall:
        """The call that the answer webhook announces."""
        form = webhook.form
        call_id, account_id = form_value(form, "CallSid"), form_value(form, "AccountSid")
        if not re.match(_CALL_ID, call_id):
            raise ProtocolError("CallSid is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
        if self._config.account_sid and account_id != self._config.account_sid:
            raise Refused("account", "the call is not of carriers.twilio.account_sid")
        return IncomingCall(
            call_id=call_id,
            account_id=plain(account_id, _MAX_FIELD_CHARS),
            from_number=plain(form_value(form, "From"), _MAX_FIELD_CHARS),
            to_number=plain(form_value(form, "To"), _MAX_FIELD_CHARS),
            direction="outbound" if form_value(form, "Direction").startswith("outbound") else "inbound",
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """TwiML that opens the stream, and says sorry if it cannot be opened or breaks."""
        listens = self._config.listen_only
        opening = verb("Start") if listens else verb("Connect", action=urls.ended)
        stream = verb("Stream", url=urls.media, statusCallback=urls.status)
        parameters = {
            TOKEN_PARAMETER: token,
            "from": call.from_number,
            "to": call.to_number,
            DIRECTION_PARAMETER: "unidirectional" if listens else "bidirectional",
        }
        for name, value in parameters.items():
            stream.append(verb("Parameter", name=name, value=plain(value, _MAX_PARAMETER_CHARS - len(name))))
        opening.append(stream)
        return response(opening, *(self._meanwhile() if listens else _sorry()))

    def _meanwhile(self) -> tuple[Element, ...]:
        """What the call does while it is listened to: without a verb after ``<Start>`` it would end."""
        if self._config.listen_dial:
            return (dial(self._config.listen_dial),)
        return (verb("Pause", length=str(_LONGEST_CALL_S)),)

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """TwiML for the time after the stream: hang up, after an apology if it did not end well."""
        failed = bool(form_value(webhook.form, "StreamError")) or self.status(webhook) == "error"
        lost = failed or ended.ending is Ending.LOST
        return response(*_sorry()) if lost else response(verb("Hangup"))

    def status(self, webhook: Webhook) -> StreamStatus:
        """What the stream's status callback reports."""
        return _STREAM_EVENTS.get(form_value(webhook.form, "StreamEvent"), "unknown")

    def dialect(self, upgrade: Upgrade) -> TwilioDialect:
        """A fresh dialect, for one media socket."""
        return TwilioDialect()

    # -- call control ----------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None] | None:
        """By closing; a call that is only listened to goes on after that, and is ended through REST."""
        return self._change(call, "hang up", {"Status": "completed"}) if self._config.listen_only else None

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None]:
        """New TwiML for the call: ``<Dial>``."""
        twiml = document(dial(to), verb("Hangup"))
        return self._change(call, "transfer the call", {"Twiml": twiml})

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call whose answer is fetched from us, like that of any other."""
        request = self._request(
            "place the call",
            "Calls.json",
            {"To": to, "From": from_number, "Url": urls.answer, "Method": "POST"},
        )
        answer = yield from ask(request)
        if not (sid := text_at(answer, "sid")):
            fail(request, answer, "the answer names no call")
        return sid

    def _change(self, call: IncomingCall, purpose: str, form: Mapping[str, str]) -> Plan[None]:
        yield from ask(self._request(purpose, f"Calls/{quote(call.call_id, safe='')}.json", form))

    def _request(
        self,
        purpose: str,
        path: str,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> RestRequest:
        config = self._config
        if not (config.account_sid and config.auth_token):
            raise Unsupported(
                f"cannot {purpose}: carriers.twilio.account_sid and auth_token are needed for it",
                carrier=NAME,
            )
        url = f"{config.api_url}/2010-04-01/Accounts/{quote(config.account_sid, safe='')}/{path}"
        url += f"?{urlencode(query)}" if query else ""
        headers = basic(config.account_sid, config.auth_token)
        if form is None:
            return RestRequest(NAME, purpose, "GET", url, headers)
        return form_request(NAME, purpose, url, form, headers)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The number's voice configuration."""
        where = f"Phone Numbers > Manage > Active numbers > {number} > Voice Configuration"
        return (
            Setting(f"{where} > A call comes in", f"Webhook, {urls.answer}, HTTP POST"),
            Setting(f"{where} > Call status changes", "leave empty"),
        )

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Find the number, and give it our webhook."""
        find = self._request("find the number", "IncomingPhoneNumbers.json", query={"PhoneNumber": number})
        found = yield from ask(find)
        if not (sid := text_at(found, "incoming_phone_numbers", 0, "sid")):
            fail(find, found, f"{number} is not one of the account's numbers")
        form = {"VoiceUrl": urls.answer, "VoiceMethod": "POST"}
        yield from ask(
            self._request("set its webhook", f"IncomingPhoneNumbers/{quote(sid, safe='')}.json", form)
        )
        return [f"{number}: a call that comes in is answered by {urls.answer}"]

    def check(self) -> Plan[str] | None:
        """Ask for the account."""
        return self._whose() if self._config.account_sid and self._config.auth_token else None

    def _whose(self) -> Plan[str]:
        config = self._config
        url = f"{config.api_url}/2010-04-01/Accounts/{quote(config.account_sid, safe='')}.json"
        headers = basic(config.account_sid, config.auth_token)
        answer = yield from ask(RestRequest(NAME, "read the account", "GET", url, headers))
        return text_at(answer, "friendly_name") or config.account_sid

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook:
        """A status callback of a stream that never was."""
        form = {"AccountSid": self._config.account_sid, "StreamEvent": "stream-stopped"}
        signature = sign(self._config.auth_token.reveal(), urls.status, form)
        headers = {SIGNATURE_HEADER: signature, "Content-Type": "application/x-www-form-urlencoded"}
        return Webhook(
            url=urls.status, headers=headers, form=form, body=urlencode(form).encode("ascii"), now_s=now_s
        )


CARRIER = Twilio


def _sorry() -> tuple[Element, Element]:
    return verb("Say", APOLOGY), verb("Hangup")


def _algorithm(headers: Mapping[str, str]) -> str:
    for part in ",".join(header_values(headers, SIGNATURE_SETTINGS_HEADER)).split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"
