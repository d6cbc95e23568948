"""FreeSWITCH with mod_audio_stream, and the glue that plays what comes back. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- The module sends the metadata, then linear PCM; what it has no words for (a key) the glue sends as JSON.
- Every `streamAudio` is a file that is played after those before it. Nothing is ever thrown away, nothing is told.
- Any other text is somebody's event, and no fault; a binary message is one: the community edition ignores it.

Facts: the README and the source of amigniter/mod_audio_stream, docs/carriers/freeswitch.md for the glue.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.freeswitch import FORMATS, FreeswitchConfig
from bridge.carriers.rest import basic, bearer
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange
from bridge.emulators.recording import CallRecording, DigitPressed
from bridge.emulators.twiml import StreamOrder
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder


class _Sound(Struct, frozen=True, forbid_unknown_fields=True):
    audioDataType: Literal["raw"]
    sampleRate: Annotated[int, Meta(ge=8000, le=48_000, multiple_of=1000)]
    audioData: bytes


class _StreamAudio(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["streamAudio"]
    data: _Sound


class _Typed(Struct, frozen=True):
    type: str = ""


_DECODER: Final = msgspec.json.Decoder(_StreamAudio)
_TYPE: Final = msgspec.json.Decoder(_Typed)


class FreeswitchLine(CarrierLine):
    """One stream of the module.

    Args:
        metadata: the text that goes before the sound.
        rate: ``8k`` or ``16k``.
        recording: takes both tracks and every event.
        buffer_ms: see `CarrierBuffer`.
    """

    def __init__(
        self, metadata: str, rate: str, recording: CallRecording, *, buffer_ms: float = 40.0
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self._metadata = metadata
        self._from_caller = Transcoder(MULAW_8K, FORMATS[rate])
        self._to_caller: dict[int, Transcoder] = {}

    def opening(self) -> list[Message]:
        """The metadata."""
        return [self._metadata]

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller, as linear PCM."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        return [self._from_caller.feed(frame)]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller, which the glue tells by ``send_text``."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        return [json.dumps({"event": "dtmf", "digit": digit})]

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now."""
        self._buffer.advance(now_ms, lambda at_ms, name: None)
        return []

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Play a file, after those before it."""
        self.advance(now_ms)
        if isinstance(message, bytes):
            self.fault(now_ms, 0, "a binary message: the community edition takes streamAudio alone")
            return []
        try:
            if _TYPE.decode(message).type == "streamAudio":
                self._play(now_ms, _DECODER.decode(message).data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self.fault(now_ms, 0, f"no JSON that the module reads: {error}")
        return []

    def _play(self, now_ms: float, sound: _Sound) -> None:
        if len(sound.audioData) % 2:
            self.fault(now_ms, 0, "half a sample")
            return
        if sound.sampleRate not in self._to_caller:
            pcm = AudioFormat(Encoding.PCM16, sound.sampleRate)
            self._to_caller[sound.sampleRate] = Transcoder(pcm, MULAW_8K)
        payload = self._to_caller[sound.sampleRate].feed(sound.audioData)
        self.recording.arrive(now_ms, payload)
        if not self._buffer.push(now_ms, payload):
            self.discarded_bytes += len(payload)


class FreeswitchExchange(Exchange):
    """FreeSWITCH, for the length of one call; `section` is a `FreeswitchConfig`."""

    name = "freeswitch"
    section: FreeswitchConfig
    rate: ClassVar[str] = "8k"

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """What ``uuid_audio_stream`` says in the dialplan."""
        return StreamOrder(
            url=self.addresses.media_url,
            headers=self._authorization(self.plan.misbehaviour.upgrade_signature),
            audio=FORMATS[self.rate],
        )

    def with_token(self, order: StreamOrder, token: str) -> StreamOrder:
        """There is no one-time token: the Authorization header is the gate."""
        return order

    def line(self, order: StreamOrder, recording: CallRecording) -> FreeswitchLine:
        """The module's end of the stream."""
        return FreeswitchLine(self.metadata(), self.rate, recording, buffer_ms=self.plan.buffer_ms)

    def metadata(self) -> str:
        """What the dialplan has the module say first."""
        plan = self.plan
        fields: dict[str, Any] = {
            "call_id": plan.misbehaviour.start_call_sid or self.call_id,
            "from": plan.from_number,
            "to": plan.to_number,
            "rate": self.rate,
        }
        return json.dumps(fields)

    def _authorization(self, signature: Signature) -> dict[str, str]:
        if signature is Signature.ABSENT:
            return {}
        section, forged = self.section, signature is Signature.FORGED
        secret = section.token or section.password
        if forged:
            secret = Secret(f"not {secret.reveal()}")
        return bearer(secret) if section.token else basic(section.username, secret)


EXCHANGE = FreeswitchExchange
