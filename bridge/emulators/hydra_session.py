"""What is said on one socket of the emulated Hydra: messages in, actions out. No I/O, no clock.

Strategy:

- Time is counted in the audio that came in, by frames of 20 ms, so that the same bytes get the same answers.
- Whether the caller speaks is told by the level alone. Speech interrupts the answer that is on; silence after it ends
  the turn, and the script has the answer to it.
- An answer's sound is delivered by whoever holds the socket, who tells when it has ended.
- Audio before the session is configured is dropped without a word, as the real one does it.

Facts, from the AsyncAPI contract `hydra-ws.yaml`: the kinds, their fields, the statuses and their reasons. What it does
not settle: an unknown message gets `invalid_request_error`; `audio_start_ms` counts the audio of the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct

from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraEmulatorStats, HydraScript, Step
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.pcm import level_dbfs
from telephony_codecs.reframer import Reframer

_INPUT: Final = AudioFormat(Encoding.PCM16, 16_000)
_FRAME_MS: Final = 20
#: Sound that lasts so long is somebody who speaks.
_SPEECH_MS: Final = 60


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message, `late_ms` from now."""

    message: bytes
    late_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Speak:
    """Deliver the sound of `text` as the answer `response_id`, then tell `HydraEmulatorSession.spoken`."""

    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Deliver no more of the answer `response_id`."""

    response_id: str


Action: TypeAlias = Send | Speak | Stop


class _Item(Struct, frozen=True):
    type: str = ""
    call_id: str = ""
    output: str = ""


class _Incoming(Struct):
    """Whatever the client says."""

    type: Annotated[str, Meta(max_length=100)]
    session: dict[str, Any] = {}
    audio: str = ""
    response_id: str = ""
    item: _Item = _Item()


class HydraEmulatorSession:
    """One socket, from its handshake to its end."""

    def __init__(
        self,
        options: HydraEmulatorOptions,
        stats: HydraEmulatorStats,
        script: HydraScript,
        *,
        session_id: str,
        faulty: bool = True,
    ) -> None:
        """`faulty`: whether the faults in `options` are for this one."""
        self._options, self._stats, self._script = options, stats, script
        self._session_id, self._faulty = session_id, faulty
        self.configured = False
        self.voice = ""
        self._frames = Reframer(_INPUT.bytes_in(_FRAME_MS))
        self._heard_ms = self._sound_ms = self._quiet_ms = 0
        self._speaking = False
        self._events = self._items = self._turns = 0
        #: The answer that is on.
        self._response = ""
        #: Function calls whose outputs are to come, and what is said after those that have come.
        self._asked: dict[str, Step] = {}
        self._then: list[str] = []

    def opened(self) -> list[Action]:
        """What to do first."""
        return [self._send("session.created", session_id=self._session_id)]

    def receive(self, message: str) -> list[Action]:
        """What to do about the client's next message."""
        try:
            said = msgspec.json.decode(message, type=_Incoming)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return [self.error("invalid_request_error", "Expected a JSON object with a type")]
        match said.type:
            case "session.configure":
                return self._configure(said.session)
            case "input_audio_buffer.append":
                return self._hear(said.audio)
            case "response.cancel":
                return self._cancel(said.response_id)
            case "response.create":
                return self._create()
            case "conversation.item.create":
                return self._take_item(said.item)
            case "session.update":
                return [self._send("session.updated", session=said.session)]
        return [self.error("invalid_request_error", f"Unknown event type: {said.type}")]

    def spoken(self, response_id: str) -> list[Action]:
        """All sound of that answer has been delivered."""
        if response_id != self._response:
            return []
        self._stats.completed += 1
        return [self._send("response.output_audio.done", response_id=response_id), self._done("completed")]

    def error(self, code: str, text: str) -> Send:
        """An error message."""
        self._stats.errors += 1
        return self._send("error", error={"type": "error", "code": code, "message": text})

    # -- the client's messages -----------------------------------------------------------------------------------

    def _configure(self, session: dict[str, Any]) -> list[Action]:
        if self.configured:
            return [self.error("invalid_request_error", "The session is configured already")]
        self.configured = True
        self._stats.session = session
        self.voice = str(session.get("voice", ""))
        echoed = session | {"output_audio_format": "pcm16", "output_audio_sample_rate": 48_000}
        actions: list[Action] = [
            self._send("session.configured", late_ms=self._options.configure_ms, session=echoed)
        ]
        if session.get("generate_initial_response"):
            actions += self._say(self._script.greeting)
        return actions

    def _hear(self, audio: str) -> list[Action]:
        if not self.configured:
            self._stats.early_audio += 1
            return []
        try:
            pcm = msgspec.convert(audio, bytes)
        except msgspec.ValidationError:
            return [self.error("invalid_audio", "audio must be base64")]
        self._stats.audio_ms += _INPUT.ms_in(len(pcm))
        self._stats.odd_sizes += not 20 <= _INPUT.ms_in(len(pcm)) <= 40
        return [action for frame in self._frames.feed(pcm) for action in self._hear_frame(frame)]

    def _hear_frame(self, frame: bytes) -> list[Action]:
        self._heard_ms += _FRAME_MS
        loud = level_dbfs(frame) > self._options.gate_dbfs
        self._sound_ms = self._sound_ms + _FRAME_MS if loud else 0
        self._quiet_ms = 0 if loud else self._quiet_ms + _FRAME_MS
        if not self._speaking and self._sound_ms >= _SPEECH_MS:
            return self._begin_turn()
        if self._speaking and self._quiet_ms >= self._options.silence_ms:
            return self._end_turn()
        return []

    def _begin_turn(self) -> list[Action]:
        self._speaking = True
        at_ms = self._heard_ms - self._sound_ms
        actions: list[Action] = [
            self._send("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._item())
        ]
        if self._response:
            self._stats.interrupted += 1
            actions += self._stop("interrupted")
        return actions

    def _end_turn(self) -> list[Action]:
        self._speaking = False
        self._stats.turns += 1
        at_ms = self._heard_ms - self._quiet_ms
        stopped = self._send("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._item())
        item = {"id": self._item(), "type": "message", "role": "user", "status": "completed"}
        added = self._send("conversation.item.added", item=item)
        step = self._script.step(self._turns)
        self._turns += 1
        return [stopped, added, *(self._call(step) if step.call else self._say(step.say))]

    def _cancel(self, response_id: str) -> list[Action]:
        if not self._response or response_id not in ("", self._response):
            return []
        self._stats.cancelled += 1
        return self._stop("client_cancelled")

    def _create(self) -> list[Action]:
        if not self._then:
            return [self.error("invalid_request_error", "There is nothing to answer")]
        said, self._then = " ".join(self._then), []
        return self._say(said)

    def _take_item(self, item: _Item) -> list[Action]:
        step = self._asked.pop(item.call_id, None)
        if item.type != "function_call_output" or step is None:
            return [self.error("invalid_request_error", "No such function call")]
        self._stats.outputs.append(item.output)
        self._then.append(step.then.replace("{output}", item.output) or "Done.")
        return [self._send("conversation.item.done", item={"type": item.type, "call_id": item.call_id})]

    # -- answers -------------------------------------------------------------------------------------------------

    def _say(self, text: str) -> list[Action]:
        if self._faulty and self._options.hang:
            self._stats.faults += 1
            return []
        return [*self._begin_answer(), Speak(self._response, text)]

    def _begin_answer(self) -> list[Action]:
        self._stats.answers += 1
        actions = self._stop("interrupted") if self._response else []
        self._response = f"resp_{self._session_id}_{self._stats.answers}"
        response = {"id": self._response, "status": "in_progress"}
        return [*actions, self._send("response.created", late_ms=self._options.answer_ms, response=response)]

    def _call(self, step: Step) -> list[Action]:
        if self._faulty and self._options.hang:
            return self._say("")
        actions = self._begin_answer()
        call_id = f"call_{self._stats.answers}"
        self._asked[call_id] = step
        arguments = msgspec.json.encode({} if step.arguments is UNSET else step.arguments).decode()
        half = len(arguments) // 2
        about = {"response_id": self._response, "call_id": call_id}
        kind, late_ms = "response.function_call_arguments", self._options.answer_ms
        actions.append(self._send(f"{kind}.delta", late_ms, **about, name=step.call, delta=arguments[:half]))
        actions.append(self._send(f"{kind}.delta", late_ms, **about, name=None, delta=arguments[half:]))
        if not self._options.no_arguments_done:
            actions.append(self._send(f"{kind}.done", late_ms, **about, name=step.call, arguments=arguments))
        self._stats.completed += 1
        return [*actions, self._done("completed", late_ms=late_ms)]

    def _stop(self, reason: str) -> list[Action]:
        return [Stop(self._response), self._done("cancelled", reason)]

    def _done(self, status: str, reason: str = "", late_ms: float = 0.0) -> Send:
        response: dict[str, Any] = {"id": self._response, "status": status, "usage": {"total_tokens": 100}}
        response["status_details"] = {"type": status, "reason": reason} if reason else None
        self._response = ""
        return self._send("response.done", late_ms, response=response)

    def _item(self) -> str:
        self._items += 1
        return f"item_{self._items}"

    def _send(self, kind: str, late_ms: float = 0.0, **fields: object) -> Send:
        self._events += 1
        return Send(msgspec.json.encode({"type": kind, "event_id": f"sv_{self._events}", **fields}), late_ms)
