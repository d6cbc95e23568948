"""Genesys Cloud, as the client of an Audio Connector session: its signed upgrade, its messages, its limits. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- What Genesys accepts is stated in types, with `parameters` in every message. A message out of order, of no known type
  or without its parameters ends the session, as the reference client does: ``error``, then ``close``.
- Two buckets of tokens hold text and audio to five messages a second each, after a burst of 25. What is over is thrown
  away and answered with ``error`` 429, which says when to try again.
- It alone closes the socket: after ``closed``, or once it has waited for it long enough.
- `playback_started` and `playback_completed` tell when the queue begins to play and runs dry, and nothing more.

Facts: the client of the AudioHook reference implementation (purecloudlabs); the rate limits are those that independent
servers keep to.
"""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from enum import StrEnum
from typing import ClassVar, Final
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import msgspec

from bridge.carriers.genesys import (
    CORRELATION_HEADER,
    KEY_HEADER,
    ORGANIZATION_HEADER,
    SESSION_HEADER,
    SIGNED_COMPONENTS,
    GenesysConfig,
)
from bridge.carriers.http_signatures import ALGORITHM, Parameter, Request, keys_of, sign
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, Handshake
from bridge.emulators.genesys_messages import (
    DECODER,
    Accepted,
    BargeIn,
    BotTurn,
    Disconnect,
    Event,
    Opened,
    OpenedBody,
    Pong,
    SessionIdentity,
)
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed
from bridge.emulators.twiml import StreamOrder
from telephony_codecs.formats import MULAW_8K, PCM16_8K
from telephony_codecs.transcoder import Transcoder

MAX_MESSAGE_BYTES: Final = 64_000
#: The caller's audio comes in messages of 200 ms.
VOICE_BYTES: Final = 1600
OPEN_TIMEOUT_MS: Final = 5_000
CLOSE_TIMEOUT_MS: Final = 10_000
FIRST_PING_MS: Final = 1_000
PING_EVERY_MS: Final = 5_000
MESSAGES_PER_S: Final = 5.0
BURST: Final = 25.0
SIGNED_FOR_S: Final = 10


class State(StrEnum):
    """Where a session is in its life, as the client sees it."""

    OPENING = "opening"  #: `open` is sent, `opened` has not come
    OPEN = "open"
    CLOSING = "closing"  #: `close` is sent, `closed` has not come
    CLOSED = "closed"


class _Bucket:
    """Lets `MESSAGES_PER_S` pass, and `BURST` of them at once."""

    def __init__(self) -> None:
        self._tokens, self._at_ms = BURST, 0.0

    def take(self, now_ms: float) -> float:
        """Take one. Returns seconds to wait for it; 0 when it was there."""
        filled = self._tokens + max(0.0, now_ms - self._at_ms) * MESSAGES_PER_S / 1000
        self._tokens, self._at_ms = min(BURST, filled), now_ms
        if self._tokens < 1:
            return (1 - self._tokens) / MESSAGES_PER_S
        self._tokens -= 1
        return 0.0


# -- the line ----------------------------------------------------------------------------------------------------------


class GenesysLine(CarrierLine):
    """One session, seen from Genesys; see `CarrierLine`.

    Args:
        identity: what `open` says.
        recording: takes both tracks and every event.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
    """

    waits_for_farewell = True

    def __init__(
        self, identity: SessionIdentity, recording: CallRecording, *, buffer_ms: float = 40.0
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self.identity, self.stream_id = identity, identity.session_id
        self.state = State.OPENING
        #: Of the bridge's `disconnect`: what Architect goes on with.
        self.output_variables: dict[str, str] = {}
        self._seq = self._server_seq = self._pinged_seq = 0
        self._round_trip_known = False
        self._deadline_ms = self._ping_ms = 0.0
        self._texts, self._sounds = _Bucket(), _Bucket()
        self._voice = bytearray()
        self._to_line, self._to_wire = Transcoder(MULAW_8K, MULAW_8K), Transcoder(MULAW_8K, MULAW_8K)

    def begin(self, now_ms: float) -> None:
        """Both tracks begin now, and so does the time in which `opened` must come."""
        super().begin(now_ms)
        self._deadline_ms = now_ms + OPEN_TIMEOUT_MS

    # -- what Genesys sends --------------------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """`open`, the first message."""
        identity = self.identity
        participant = {
            "id": str(uuid4()),
            "ani": identity.from_number,
            "aniName": "",
            "dnis": identity.to_number,
        }
        return self._say(
            "open",
            organizationId=identity.organization_id,
            conversationId=identity.conversation_id,
            participant=participant,
            media=identity.offered,
            language="en-US",
            inputVariables=identity.variables,
        )

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller: nothing leaves before `opened`, and then ten frames at once."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        if self.state is not State.OPEN:
            return []
        self._voice += frame
        if len(self._voice) < VOICE_BYTES:
            return []
        message = self._to_wire.feed(bytes(self._voice))
        self._voice.clear()
        return [message]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        return self._say("dtmf", digit=digit) if self.state is State.OPEN else []

    def stop(self) -> list[Message]:
        """`close`, because the caller hung up; `closed` is to come."""
        return self._close("end")

    def _close(self, reason: str) -> list[Message]:
        if self.state in (State.CLOSING, State.CLOSED):
            return []
        self.state = State.CLOSING
        self._deadline_ms = 0.0  # the next `advance` knows the time
        return self._say("close", reason=reason)

    def _say(self, kind: str, **parameters: object) -> list[Message]:
        self._seq += 1
        played_ms = MULAW_8K.ms_in(len(self.recording.said))
        message = {
            "version": "2",
            "id": self.stream_id,
            "type": kind,
            "seq": self._seq,
            "serverseq": self._server_seq,
            "position": f"PT{played_ms / 1000:g}S",
            "parameters": parameters,
        }
        return [msgspec.json.encode(message).decode()]

    def _fail(self, now_ms: float, code: int, detail: str) -> list[Message]:
        """What ends the session: told to the bridge, and then closed."""
        if self.state in (State.CLOSING, State.CLOSED):
            return []
        return [*self._complain(now_ms, code, detail), *self._close("error")]

    def _complain(self, now_ms: float, code: int, detail: str, **more: object) -> list[Message]:
        self.fault(now_ms, code, detail)
        return self._say("error", code=code, message=detail, **more)

    # -- time ----------------------------------------------------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now, and watch the clocks of the protocol."""
        was_playing = self._buffer.playing
        self._buffer.advance(now_ms, lambda _at_ms, _name: None)
        return [*self._playback(was_playing), *self._clocks(now_ms)]

    def _playback(self, was_playing: bool) -> list[Message]:
        if self._buffer.playing is was_playing or self.state is not State.OPEN:
            return []
        return self._say("playback_completed" if was_playing else "playback_started")

    def _clocks(self, now_ms: float) -> list[Message]:
        if self.state is State.OPENING and now_ms >= self._deadline_ms:
            return self._fail(now_ms, 408, "no opened within 5 s")
        if self.state is State.OPEN and now_ms >= self._ping_ms:
            return self._ping(now_ms)
        if self.state is State.CLOSING:
            self._wait_for_closed(now_ms)
        return []

    def _wait_for_closed(self, now_ms: float) -> None:
        self._deadline_ms = self._deadline_ms or now_ms + CLOSE_TIMEOUT_MS
        if now_ms >= self._deadline_ms:
            self.fault(now_ms, 408, "no closed within 10 s")
            self._end("no closed within 10 s")

    def _ping(self, now_ms: float) -> list[Message]:
        if self._pinged_seq:
            return self._fail(now_ms, 408, "no pong before the next ping")
        self._ping_ms += PING_EVERY_MS
        return self._say_ping()

    def _say_ping(self) -> list[Message]:
        said = self._say("ping")
        self._pinged_seq = self._seq
        return said

    def _end(self, reason: str) -> None:
        self.state, self.closing = State.CLOSED, reason

    # -- what Genesys does with what it gets ---------------------------------------------------------------------------

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Obey one message of the bridge. Returns what Genesys answers at once."""
        answers = self.advance(now_ms)
        if isinstance(message, bytes):
            return answers + self._sound(now_ms, message)
        if wait_s := self._texts.take(now_ms):
            return answers + self._throttle(now_ms, wait_s, "text")
        try:
            command = DECODER.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            return answers + self._fail(now_ms, 400, str(error))
        wrong = self._misplaced(command)
        if wrong:
            return answers + self._fail(now_ms, 400, wrong)
        self._server_seq = command.seq
        return answers + self._obey(now_ms, command)

    def _misplaced(self, command: Accepted) -> str:
        if command.seq != self._server_seq + 1:
            return f"message {command.seq} came after {self._server_seq}"
        if command.clientseq > self._seq:
            return f"it has seen message {command.clientseq}, which was never sent"
        return "" if command.id == self.stream_id else "the id is of another session"

    def _obey(self, now_ms: float, command: Accepted) -> list[Message]:
        if isinstance(command, Opened):
            return self._open(now_ms, command.parameters)
        if isinstance(command, Pong):
            return self._pong(now_ms, command.clientseq)
        if isinstance(command, Event):
            return [m for entity in command.parameters.entities for m in self._entity(now_ms, entity)]
        if isinstance(command, Disconnect):
            self.output_variables = command.parameters.outputVariables
            return self._close("disconnect")
        if self.state is not State.CLOSING:
            return self._fail(now_ms, 409, "closed without a close")
        self._end("the session is closed")
        return []

    def _open(self, now_ms: float, opened: OpenedBody) -> list[Message]:
        if self.state is not State.OPENING:
            return self._fail(now_ms, 409, "opened again")
        if len(opened.media) != 1 or opened.media[0] not in self.identity.offered:
            return self._fail(now_ms, 400, "the media is not one of those offered")
        wire = MULAW_8K if opened.media[0].format == "PCMU" else PCM16_8K
        self._to_line, self._to_wire = Transcoder(wire, MULAW_8K), Transcoder(MULAW_8K, wire)
        self.state, self._ping_ms = State.OPEN, now_ms + FIRST_PING_MS
        return []

    def _pong(self, now_ms: float, seq: int) -> list[Message]:
        if not self._pinged_seq:
            return self._complain(now_ms, 409, "a pong without a ping")
        if seq != self._pinged_seq:
            return self._complain(now_ms, 400, "the pong is not of the last ping")
        self._pinged_seq = 0
        known, self._round_trip_known = self._round_trip_known, True
        return [] if known else self._say_ping()  # it tells the bridge how long the first took

    def _entity(self, now_ms: float, entity: BargeIn | BotTurn) -> list[Message]:
        if isinstance(entity, BotTurn):
            return []
        was_playing = self._buffer.playing
        dropped_ms, _ = self._buffer.clear(now_ms)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms))
        return self._playback(was_playing)

    def _sound(self, now_ms: float, message: bytes) -> list[Message]:
        if self.state is not State.OPEN:
            return self._fail(now_ms, 409, f"audio while {self.state}")
        if len(message) > MAX_MESSAGE_BYTES:
            return self._fail(now_ms, 413, f"{len(message)} bytes in one message")
        if wait_s := self._sounds.take(now_ms):
            return self._throttle(now_ms, wait_s, "audio")
        payload = self._to_line.feed(message)
        self.recording.arrive(now_ms, payload)
        if not self._buffer.push(now_ms, payload):
            self.discarded_bytes += len(payload)
        return []

    def _throttle(self, now_ms: float, wait_s: float, kind: str) -> list[Message]:
        detail = f"more than {MESSAGES_PER_S:g} {kind} messages a second"
        return self._complain(now_ms, 429, detail, retryAfter=f"PT{wait_s:.3f}S")


# -- around the stream -------------------------------------------------------------------------------------------------


class GenesysExchange(Exchange):
    """Genesys, for the length of one call: no webhook, an upgrade that is signed."""

    name: ClassVar[str] = "genesys"
    section: GenesysConfig

    @property
    def call_id(self) -> str:
        """The conversation."""
        return _uuid(self.plan.call_sid)

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """What the flow's Call Audio Connector action says."""
        misbehaviour = self.plan.misbehaviour
        variables = {} if misbehaviour.omit_parameters else misbehaviour.parameters or {"flow": "emulated"}
        return StreamOrder(self.addresses.media_url, parameters=variables, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {
            ORGANIZATION_HEADER: self.section.organization_id or _uuid("organization"),
            SESSION_HEADER: str(uuid4()),
            CORRELATION_HEADER: str(uuid4()),
            KEY_HEADER: self.section.api_key.reveal(),
        }

    def handshake(self, order: StreamOrder) -> Handshake:
        """The upgrade, signed for the next ten seconds."""
        kind = self.plan.misbehaviour.upgrade_signature
        if kind is Signature.ABSENT:
            return Handshake(order.url, order.headers)
        (key, *_) = keys_of(self.section.client_secret)
        created = int(time.time())
        parameters: dict[str, Parameter] = {
            "keyid": self.section.api_key.reveal(),
            "nonce": b64encode(secrets.token_bytes(18)).decode(),
            "alg": ALGORITHM,
            "created": created,
            "expires": created + SIGNED_FOR_S,
        }
        key = key if kind is Signature.VALID else b"not " + key
        signed = sign(Request(order.url, order.headers), key, SIGNED_COMPONENTS, parameters)
        return Handshake(order.url, {**order.headers, **signed})

    def line(self, order: StreamOrder, recording: CallRecording) -> GenesysLine:
        """Genesys's end of the session."""
        claimed = self.plan.misbehaviour.start_call_sid
        identity = SessionIdentity(
            session_id=order.headers[SESSION_HEADER],
            organization_id=order.headers[ORGANIZATION_HEADER],
            conversation_id=_uuid(claimed) if claimed else self.call_id,
            from_number=self.plan.from_number,
            to_number=self.plan.to_number,
            variables=dict(order.parameters),
        )
        return GenesysLine(identity, recording, buffer_ms=self.plan.buffer_ms)


EXCHANGE = GenesysExchange


def _uuid(name: str) -> str:
    """`name` itself where it is a UUID, else one that stands for it."""
    try:
        return str(UUID(name))
    except ValueError:
        return str(uuid5(NAMESPACE_OID, name))
