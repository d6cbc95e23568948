"""Vonage: its webhooks, the messages it sends on a stream, what it does with those it gets. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- One frame of 20 ms a message, both ways. A message of any other size ends the socket, as reported of the real one.
- It buffers 3072 messages, and drops what is more.
- Notifies that a `clear` throws away do not come back, unless `returns_cleared` is set: nobody knows which is true.
- Its own close of a socket cannot be told from a broken one; here it is a close with 1002.

Facts: see `bridge.carriers.vonage_dialect`; the wording of the wrong size, from vocode-core's issue 727.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from bridge.carriers.vonage import VonageConfig
from bridge.carriers.vonage_dialect import FORMATS, FRAME_MS
from bridge.carriers.vonage_tokens import webhook_header
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, HttpAsk
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, MarkEchoed
from bridge.emulators.twiml import StreamOrder, Verb
from bridge.errors import ProtocolError
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat
from telephony_codecs.reframer import Reframer
from telephony_codecs.transcoder import Transcoder

CAPACITY_MESSAGES: Final = 3072
MAX_HEADERS_BYTES: Final = 512
DTMF_MS: Final = 260
#: The leg of the call that is the socket; its events name it, and not the caller's.
SOCKET_LEG: Final = "50c4e7-socket-leg"

# -- what the bridge sends -----------------------------------------------------------------------------


class _Clear(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="clear"):
    pass


class _Notify(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="notify"):
    payload: dict[str, Any]


_COMMANDS: Final[msgspec.json.Decoder[_Clear | _Notify]] = msgspec.json.Decoder(_Clear | _Notify)


class VonageLine(CarrierLine):
    """One media stream, seen from Vonage.

    Args:
        audio: what is on the wire.
        headers: of the NCCO; they stand in the first message.
        recording: takes both tracks and every event.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
    """

    #: Whether a `clear` sends pending notifies back.
    returns_cleared = False

    def __init__(
        self,
        audio: AudioFormat,
        headers: Mapping[str, str],
        recording: CallRecording,
        *,
        buffer_ms: float = 40.0,
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self._audio, self._headers = audio, headers
        self._frame_bytes = audio.bytes_in(FRAME_MS)
        self._to_wire, self._from_wire = Transcoder(MULAW_8K, audio), Transcoder(audio, MULAW_8K)
        self._frames = Reframer(self._frame_bytes)

    # -- what Vonage sends -----------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """What the stream is, and the NCCO's headers beside it."""
        content_type = f"audio/l16;rate={self._audio.rate_hz}"
        head = {"event": "websocket:connected", "content-type": content_type}
        return [json.dumps({**head, **self._headers})]

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller, in whole frames."""
        self.recording.said += frame
        return list(self._frames.feed(self._to_wire.feed(frame)))

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        return [json.dumps({"event": "websocket:dtmf", "digit": digit, "duration": DTMF_MS})]

    # -- what Vonage does with what it gets ------------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the notifies that were reached."""
        told: list[Message] = []
        self._buffer.advance(now_ms, lambda at_ms, payload: told.append(self._notify(at_ms, payload)))
        return told

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Play a frame, or obey a command. Returns what Vonage answers at once."""
        told = self.advance(now_ms)
        if isinstance(message, bytes):
            self._play(now_ms, message)
            return told
        try:
            command = _COMMANDS.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            self.fault(now_ms, 0, str(error))
            return told
        return told + (
            self._clear(now_ms) if isinstance(command, _Clear) else self._remember(now_ms, command)
        )

    def _play(self, now_ms: float, frame: bytes) -> None:
        if len(frame) != self._frame_bytes:
            self.closing = f"unexpected frame size {len(frame)}, when required {self._frame_bytes}"
            self.closing_code = 1002
            self.fault(now_ms, 0, self.closing)
            return
        audio = self._from_wire.feed(frame)
        self.recording.arrive(now_ms, audio)
        if self._buffer.queued_ms < CAPACITY_MESSAGES * FRAME_MS and self._buffer.push(now_ms, audio):
            return
        if not self.discarded_bytes:
            self.fault(now_ms, 0, f"{CAPACITY_MESSAGES} messages are queued already")
        self.discarded_bytes += len(audio)

    def _remember(self, now_ms: float, command: _Notify) -> list[Message]:
        payload = json.dumps(command.payload)
        return [self._notify(now_ms, payload)] if self._buffer.mark(payload) else []

    def _clear(self, now_ms: float) -> list[Message]:
        dropped_ms, payloads = self._buffer.clear(now_ms)
        self._from_wire = Transcoder(self._audio, MULAW_8K)
        names = tuple(map(_name_of, payloads))
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=names))
        returned = payloads if self.returns_cleared else []
        told: list[Message] = [self._notify(now_ms, payload, cleared=True) for payload in returned]
        return [*told, '{"event":"websocket:cleared"}']

    def _notify(self, at_ms: float, payload: str, *, cleared: bool = False) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=_name_of(payload), cleared=cleared))
        return f'{{"event":"websocket:notify","payload":{payload}}}'


def _name_of(payload: str) -> str:
    return str(json.loads(payload).get("mark", payload))


# -- the call around it ------------------------------------------------------------------------------------


class _Endpoint(Struct):
    type: Literal["websocket", "phone"]
    uri: str = ""
    content_type: str = msgspec.field(name="content-type", default="")
    headers: dict[str, str] = {}
    number: str = ""


class _Connect(Struct, tag_field="action", tag="connect"):
    endpoint: list[_Endpoint]
    eventType: Literal["synchronous"] | None = None
    eventUrl: list[str] = []
    from_: str = msgspec.field(name="from", default="")


class _Talk(Struct, tag_field="action", tag="talk"):
    text: str


_Action: TypeAlias = _Connect | _Talk

_NCCO: Final = msgspec.json.Decoder(list[_Connect | _Talk])


def read_ncco(body: str) -> list[_Action]:
    """The actions of an NCCO.

    Raises:
        ProtocolError: Vonage would refuse it.
    """
    try:
        return _NCCO.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _refused(f"the answer is no NCCO: {error}") from error


class VonageExchange(Exchange):
    """Vonage, for the length of one call; `section` is a `VonageConfig`."""

    name: ClassVar[str] = "vonage"
    section: VonageConfig

    def announce(self) -> HttpAsk:
        """The application's answer webhook."""
        plan = self.plan
        fields = {
            "uuid": self.call_id,
            "conversation_uuid": f"CON-{self.call_id}",
            "from": plan.from_number.lstrip("+"),
            "to": plan.to_number.lstrip("+"),
            "endpoint_type": "phone",
        }
        return self._post(self.addresses.answer_url, fields)

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """The first socket that the NCCO connects the call to."""
        for action in read_ncco(answer.body) if answer is not None else ():
            if isinstance(action, _Connect) and action.endpoint and action.endpoint[0].type == "websocket":
                return _order(action, action.endpoint[0])
        return None

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """The other actions; none of an answer that is no NCCO, as those to mere events."""
        actions = read_ncco(answer.body) if answer.body else []
        return tuple(verb for action in actions if (verb := _verb(action)) is not None)

    def line(self, order: StreamOrder, recording: CallRecording) -> VonageLine:
        """Vonage's end of the stream."""
        # A call without a name would be refused for that alone, whatever else a test has done to its headers.
        headers = {"call": self.call_id, **order.parameters}
        if claimed := self.plan.misbehaviour.start_call_sid:
            headers["call"] = claimed
        return VonageLine(order.audio, headers, recording, buffer_ms=self.plan.buffer_ms)

    def status(self, order: StreamOrder, event: str, error: str = "") -> HttpAsk:
        """An event of the socket's leg, to the application's event webhook."""
        status = {"started": "answered", "stopped": "completed"}.get(event, "failed")
        return self._event(self.addresses.absolute("status"), status, error)

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """The NCCO's own event webhook: it may answer with what comes next, unless nobody is there any more."""
        if not order.action:
            return None
        status = "failed" if error else "completed" if hung_up else "disconnected"
        return self._event(self.addresses.absolute(order.action), status, error)

    def _event(self, url: str, status: str, error: str) -> HttpAsk:
        fields = {"uuid": SOCKET_LEG, "conversation_uuid": f"CON-{self.call_id}", "status": status}
        return self._post(url, fields | ({"reason": error} if error else {}))

    def _post(self, url: str, fields: Mapping[str, str]) -> HttpAsk:
        body = json.dumps(fields).encode()
        return HttpAsk(url, "POST", {"Content-Type": "application/json", **self._proof(body)}, body)

    def _proof(self, body: bytes) -> dict[str, str]:
        section, signature = self.section, self.plan.misbehaviour.webhook_signature
        if signature is Signature.ABSENT:
            return {}
        secret = section.signature_secret
        if signature is Signature.FORGED:
            secret = Secret(f"not {secret.reveal()}")
        claims = {"api_key": section.api_key, "application_id": section.application_id}
        return webhook_header(secret, body, time.time(), **claims)


def _order(connect: _Connect, endpoint: _Endpoint) -> StreamOrder:
    rates = {f"audio/l16;rate={rate_hz}": audio for rate_hz, audio in FORMATS.items()}
    if endpoint.content_type not in rates:
        raise _refused(f"no socket can have the content type {endpoint.content_type!r}")
    if not endpoint.uri.startswith(("wss://", "ws://")):
        raise _refused(f"a socket is at wss://, not at {endpoint.uri!r}")
    if len(json.dumps(endpoint.headers)) > MAX_HEADERS_BYTES:
        raise _refused(f"the headers have more than {MAX_HEADERS_BYTES} bytes")
    order = StreamOrder(url=endpoint.uri, parameters=endpoint.headers, audio=rates[endpoint.content_type])
    asks = connect.eventType == "synchronous" and connect.eventUrl
    return replace(order, action=connect.eventUrl[0]) if asks else order


def _verb(action: _Action) -> Verb | None:
    if isinstance(action, _Talk):
        return Verb("talk", text=action.text)
    numbers = [endpoint.number for endpoint in action.endpoint if endpoint.type == "phone"]
    return Verb("connect", {"from": action.from_}, numbers[0]) if numbers else None


def _refused(reason: str) -> ProtocolError:
    return ProtocolError(reason, peer="bridge", kind="bad_ncco")


EXCHANGE = VonageExchange
