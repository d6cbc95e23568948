"""jambonz: its hooks, the messages it sends on a stream, what it does with those it gets. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- While nothing plays, audio waits until `PREBUFFER_MS` are there, and marks wait behind it: an utterance whose end is
  not padded is never heard to its end.
- A sample of -1 while marks are pending is taken for one of them: a fault. So is a mark while 30 are pending.
- `killAudio` sends every pending mark back as ``cleared``; a mark that was reached comes back as ``playout``.
- `disconnect` ends the verb, and jambonz closes the socket.

Facts: see `bridge.carriers.jambonz_dialect`.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from bridge.carriers.jambonz import SIGNATURE_HEADER, JambonzConfig, sign
from bridge.carriers.jambonz_dialect import FORMATS
from bridge.carriers.rest import basic
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, Handshake, HttpAsk
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, MarkEchoed
from bridge.emulators.twiml import StreamOrder, Verb
from bridge.errors import ProtocolError
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat
from telephony_codecs.transcoder import Transcoder

PREBUFFER_MS: Final = 80
MAX_MARKS: Final = 30
DTMF_SAMPLES: Final = 2000
SUBPROTOCOL: Final = "audio.jambonz.org"

# -- what the bridge sends -----------------------------------------------------------------------------


class _Name(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Mark(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="mark"):
    data: _Name


class _KillAudio(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="killAudio"):
    pass


class _ClearMarks(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="clearMarks"):
    pass


class _Disconnect(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="disconnect"):
    pass


_Command: TypeAlias = _Mark | _KillAudio | _ClearMarks | _Disconnect

_COMMANDS: Final[msgspec.json.Decoder[_Command]] = msgspec.json.Decoder(
    _Mark | _KillAudio | _ClearMarks | _Disconnect
)


class JambonzLine(CarrierLine):
    """One media stream, seen from jambonz.

    Args:
        audio: what is on the wire, both ways.
        attributes: the first message: the call's attributes, and the answer's metadata.
        recording: takes both tracks and every event.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
        passes_dtmf: whether the answer asked to be told of keys.
        streams: whether it asked for the bridge's audio to be played; what comes is dropped if not.
    """

    def __init__(
        self,
        audio: AudioFormat,
        attributes: Mapping[str, object],
        recording: CallRecording,
        *,
        buffer_ms: float = 40.0,
        passes_dtmf: bool = True,
        streams: bool = True,
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self._audio, self._attributes = audio, attributes
        self._passes_dtmf, self._streams = passes_dtmf, streams
        self._to_wire, self._from_wire = Transcoder(MULAW_8K, audio), Transcoder(audio, MULAW_8K)
        self._waiting: list[bytes | str] = []  # audio and the names of marks, in order
        self._waiting_bytes = 0
        self._pending: list[str] = []

    # -- what jambonz sends ----------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """The call's attributes, with nothing to say that they are a start."""
        return [json.dumps({"sampleRate": self._audio.rate_hz, "mixType": "mono", **self._attributes})]

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller, or as much of it as is ready."""
        self.recording.said += frame
        sound = self._to_wire.feed(frame)
        return [sound] if sound else []

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller, if the answer asked for keys."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        told = json.dumps({"event": "dtmf", "dtmf": digit, "duration": str(DTMF_SAMPLES)})
        return [told] if self._passes_dtmf else []

    def stop(self) -> list[Message]:
        """An empty frame: how it takes leave."""
        return [b""]

    # -- what jambonz does with what it gets -----------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the marks that were reached."""
        told: list[Message] = []
        self._buffer.advance(now_ms, lambda at_ms, name: told.extend(self._reached(at_ms, name)))
        return told

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Play sound, or obey a command. Returns what jambonz answers at once."""
        told = self.advance(now_ms)
        if isinstance(message, bytes):
            return told + self._play(now_ms, message)
        try:
            command = _COMMANDS.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            self.fault(now_ms, 0, str(error))
            return told
        return told + self._obey(now_ms, command)

    def _obey(self, now_ms: float, command: _Command) -> list[Message]:
        if isinstance(command, _Mark):
            return self._mark(now_ms, command.data.name)
        if isinstance(command, _KillAudio):
            return self._kill(now_ms)
        if isinstance(command, _ClearMarks):
            self._pending.clear()  # silently, whatever its page says
        else:
            self.closing = "disconnect"
        return []

    def _play(self, now_ms: float, sound: bytes) -> list[Message]:
        if not self._streams:
            self.fault(now_ms, 0, "audio, and the answer did not ask for bidirectionalAudio.streaming")
            return []
        if self._pending and -1 in array("h", sound[: len(sound) // 2 * 2]):
            self.fault(now_ms, 0, "a sample of -1 is taken for a mark, while marks are pending")
        audio = self._from_wire.feed(sound)
        self.recording.arrive(now_ms, audio)
        self._waiting.append(audio)
        self._waiting_bytes += len(audio)
        return self._release(now_ms)

    def _release(self, now_ms: float) -> list[Message]:
        """Hand on what waits, once it is enough to begin with, or where something plays already."""
        if not self._buffer.queued_ms and MULAW_8K.ms_in(self._waiting_bytes) < PREBUFFER_MS:
            return []
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        told: list[Message] = []
        for item in waiting:
            if isinstance(item, bytes):
                self._buffer.push(now_ms, item)
            elif self._buffer.mark(item):
                told += self._reached(now_ms, item)
        return told

    def _mark(self, now_ms: float, name: str) -> list[Message]:
        if len(self._pending) >= MAX_MARKS:
            self.fault(now_ms, 0, f"{MAX_MARKS} marks are pending: one more is dropped")
            return []
        self._pending.append(name)
        if self._waiting_bytes:
            self._waiting.append(name)
            return []
        return self._reached(now_ms, name) if self._buffer.mark(name) else []

    def _kill(self, now_ms: float) -> list[Message]:
        dropped_ms, _ = self._buffer.clear(now_ms)
        dropped_ms += MULAW_8K.ms_in(self._waiting_bytes)
        names, self._pending = self._pending, []
        self._waiting, self._waiting_bytes = [], 0
        self._from_wire = Transcoder(self._audio, MULAW_8K)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=tuple(names)))
        return [self._told(now_ms, name, "cleared") for name in names]

    def _reached(self, at_ms: float, name: str) -> list[Message]:
        if name not in self._pending:
            return []  # of those that `clearMarks` made it forget
        self._pending.remove(name)
        return [self._told(at_ms, name, "playout")]

    def _told(self, at_ms: float, name: str, event: Literal["playout", "cleared"]) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name, cleared=event == "cleared"))
        return json.dumps({"type": "mark", "data": {"name": name, "event": event}})


# -- the call around it ------------------------------------------------------------------------------------


class _Auth(Struct, forbid_unknown_fields=True):
    username: str
    password: str


class _Bidirectional(Struct, forbid_unknown_fields=True):
    sampleRate: int
    enabled: bool = True
    streaming: bool = False


class _Listen(Struct, tag_field="verb", tag="listen", forbid_unknown_fields=True):
    url: str
    actionHook: str
    sampleRate: int = 8000
    mixType: Literal["mono", "stereo", "mixed"] = "mono"
    passDtmf: bool = False
    bidirectionalAudio: _Bidirectional | None = None
    wsAuth: _Auth | None = None
    metadata: dict[str, Any] = {}


_LISTEN: Final = msgspec.json.Decoder(_Listen)
_VERBS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Other(Struct):
    verb: str
    text: str = ""
    target: list[dict[str, Any]] = []


def read_verbs(body: str) -> list[_Listen | _Other]:
    """The verbs of an answer.

    Raises:
        ProtocolError: jambonz would refuse it.
    """
    try:
        others = [(raw, msgspec.json.decode(raw, type=_Other)) for raw in _VERBS.decode(body)]
        return [_LISTEN.decode(raw) if other.verb == "listen" else other for raw, other in others]
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _refused(f"the answer is no list of verbs: {error}") from error


class JambonzExchange(Exchange):
    """jambonz, for the length of one call; `section` is a `JambonzConfig`."""

    name: ClassVar[str] = "jambonz"
    section: JambonzConfig
    _passes_dtmf = False

    def announce(self) -> HttpAsk:
        """The application's call hook."""
        return self._post(self.addresses.answer_url, {"call_status": "trying", "sip_status": 100})

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """The first `listen`."""
        for verb in read_verbs(answer.body) if answer is not None else ():
            if isinstance(verb, _Listen):
                self._passes_dtmf = verb.passDtmf
                return _order(verb)
        return None

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """The verbs after it; `answer` itself is none that anybody hears."""
        found = [verb for verb in read_verbs(answer.body) if isinstance(verb, _Other)]
        return tuple(
            Verb(verb.verb, text=verb.text or _number(verb)) for verb in found if verb.verb != "answer"
        )

    def handshake(self, order: StreamOrder) -> Handshake:
        """An upgrade with the answer's `wsAuth`, if it has any."""
        headers, signature = order.headers, self.plan.misbehaviour.upgrade_signature
        if signature is Signature.ABSENT:
            headers = {}
        elif signature is Signature.FORGED:
            headers = basic(self.section.username, Secret("forged"))
        return Handshake(order.url, headers, order.subprotocols)

    def line(self, order: StreamOrder, recording: CallRecording) -> JambonzLine:
        """jambonz' end of the stream."""
        plan = self.plan
        attributes = {
            "callSid": plan.misbehaviour.start_call_sid or self.call_id,
            "accountSid": self.section.account_sid,
            "direction": "inbound",
            "from": plan.from_number,
            "to": plan.to_number,
            "callStatus": "in-progress",
            **order.parameters,
        }
        return JambonzLine(
            order.audio,
            attributes,
            recording,
            buffer_ms=plan.buffer_ms,
            passes_dtmf=self._passes_dtmf,
            streams=order.bidirectional,
        )

    def status(self, order: StreamOrder, event: str, error: str = "") -> HttpAsk:
        """The application's call status hook."""
        status = {"started": "in-progress", "stopped": "completed"}.get(event, "failed")
        return self._post(self.addresses.absolute("status"), {"call_status": status})

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """The `actionHook` of `listen`."""
        if not order.action:
            return None
        status = "completed" if hung_up else "in-progress"
        return self._post(self.addresses.absolute(order.action), {"call_status": status})

    def _post(self, url: str, fields: Mapping[str, object]) -> HttpAsk:
        call = {
            "call_sid": self.call_id,
            "account_sid": self.section.account_sid,
            "direction": "inbound",
            "from": self.plan.from_number,
            "to": self.plan.to_number,
        }
        body = json.dumps({**call, **fields}, ensure_ascii=False).encode()
        return HttpAsk(url, "POST", {"Content-Type": "application/json", **self._proof(body)}, body)

    def _proof(self, body: bytes) -> dict[str, str]:
        secret, signature = self.section.webhook_secret, self.plan.misbehaviour.webhook_signature
        if signature is Signature.ABSENT:
            return {}
        if signature is Signature.FORGED:
            secret = Secret(f"not {secret.reveal()}")
        return {SIGNATURE_HEADER: sign(secret, body, int(time.time()))}


def _order(listen: _Listen) -> StreamOrder:
    if not listen.url.startswith(("wss://", "ws://")):
        raise _refused(f"a stream goes to wss://, not to {listen.url!r}")
    back = listen.bidirectionalAudio
    rates_hz = {listen.sampleRate} | ({back.sampleRate} if back is not None else set())
    if len(rates_hz) > 1 or listen.sampleRate not in FORMATS:
        raise _refused(f"the simulated jambonz has one rate for both directions, not {sorted(rates_hz)}")
    auth = listen.wsAuth
    return StreamOrder(
        url=listen.url,
        bidirectional=back is not None and back.enabled and back.streaming,
        parameters=listen.metadata,
        action=listen.actionHook,
        headers=basic(auth.username, Secret(auth.password)) if auth is not None else {},
        subprotocols=(SUBPROTOCOL,),
        audio=FORMATS[listen.sampleRate],
    )


def _number(verb: _Other) -> str:
    return str(verb.target[0].get("number", "")) if verb.target else ""


def _refused(reason: str) -> ProtocolError:
    return ProtocolError(reason, peer="bridge", kind="bad_verbs")


EXCHANGE = JambonzExchange
