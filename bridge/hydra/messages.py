"""The wire shapes of `/waves/v1/s2s`. No I/O, no clock.

Strategy:

- What comes in is decoded once, into one struct per kind that matters; msgspec decodes the base64. Kinds without use
  are `Unused`, whatever else is in them: the vendor adds kinds.
- What cannot be decoded is a `ProtocolError` and nothing else, whatever the bytes are.
- Ids that we send back are checked here: nothing that came from outside goes out unchecked.
- Every field may be missing or null but for those without which a message means nothing. Numbers may be text.

Facts, from the AsyncAPI contract `hydra-ws.yaml` and the vendor's own demo (`hydra-realtime-demo`): kinds and fields.
The contract says that there are no transcripts; `response.output_audio_transcript.delta` was seen by others, and is
read where it comes. It gives the output's rate as 48000 and lets `session.configured` say another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.errors import ProtocolError

#: Voices of hydra-v1.1.
VOICES: Final = ("zoe", "maya", "elena", "ivy", "grace", "alex", "aria", "leo", "sam", "kai")
#: What Hydra wants to hear, and what it answers in unless it says otherwise. Both linear PCM16, mono.
INPUT_HZ: Final = 16_000
OUTPUT_HZ: Final = 48_000

#: Ids are the server's; ours is only to echo them.
Id: TypeAlias = Annotated[str, Meta(pattern=r"^[\w.:\-]{1,128}$")]
_PEER: Final = "hydra"


class Created(Struct, frozen=True, tag="session.created"):
    """The socket is a session: configure it."""


class _Session(Struct, frozen=True):
    output_audio_sample_rate: int | None = None


class Configured(Struct, frozen=True, tag="session.configured"):
    """From now on audio is heard."""

    session: _Session | None = None

    @property
    def output_hz(self) -> int:
        """The rate of the audio to come."""
        return (self.session and self.session.output_audio_sample_rate) or OUTPUT_HZ


class SpeechStarted(Struct, frozen=True, tag="input_audio_buffer.speech_started"):
    """The caller has begun to speak: what is being said is not wanted any more."""


class SpeechStopped(Struct, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """The caller has ended, `audio_end_ms` into the audio of this session."""

    audio_end_ms: float | None = None


class _Response(Struct, frozen=True):
    id: Id


class ResponseCreated(Struct, frozen=True, tag="response.created"):
    """An answer begins."""

    response: _Response


class AudioDelta(Struct, frozen=True, tag="response.output_audio.delta"):
    """More of the answer's sound."""

    delta: bytes
    response_id: Id | None = None


class AudioDone(Struct, frozen=True, tag="response.output_audio.done"):
    """That was all of its sound."""

    response_id: Id | None = None


class TranscriptDelta(Struct, frozen=True, tag="response.output_audio_transcript.delta"):
    """More of the answer's words. Undocumented: most servers send none."""

    delta: str
    response_id: Id | None = None


class ArgumentsDelta(Struct, frozen=True, tag="response.function_call_arguments.delta"):
    """More of the arguments of a function call. The first one of each has its name."""

    call_id: Id
    delta: str | None = None
    name: str | None = None
    response_id: Id | None = None


class ArgumentsDone(Struct, frozen=True, tag="response.function_call_arguments.done"):
    """The function call is complete."""

    call_id: Id
    arguments: str | None = None
    name: str | None = None
    response_id: Id | None = None


class _Usage(Struct, frozen=True):
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _StatusDetails(Struct, frozen=True):
    reason: str | None = None


class _EndedResponse(_Response, frozen=True):
    status: str | None = None
    status_details: _StatusDetails | None = None
    usage: _Usage | None = None


class ResponseDone(Struct, frozen=True, tag="response.done"):
    """An answer is over: said, cut short, or failed."""

    response: _EndedResponse

    @property
    def completed(self) -> bool:
        """Whether nothing cut it short."""
        return self.response.status in (None, "completed")

    @property
    def reason(self) -> str:
        """What cut it short: ``interrupted``, ``client_cancelled``, ...; empty when nothing did, or nothing is said."""
        details = self.response.status_details
        return (details and details.reason) or ""

    @property
    def tokens(self) -> int:
        """What it cost, in and out."""
        usage = self.response.usage or _Usage()
        return max(0, usage.total_tokens or (usage.input_tokens or 0) + (usage.output_tokens or 0))


class _Fault(Struct, frozen=True):
    code: str | None = None
    type: str | None = None
    message: str | None = None


class Failed(Struct, frozen=True, tag="error"):
    """Something went wrong; not fatal unless the socket is closed after it."""

    error: _Fault | None = None

    @property
    def code(self) -> str:
        """Its short name."""
        fault = self.error or _Fault()
        return fault.code or fault.type or "unknown"


class Unused(Struct, frozen=True):
    """Well-formed, and of no use to us."""

    type: str


_Used: TypeAlias = (
    Created
    | Configured
    | SpeechStarted
    | SpeechStopped
    | ResponseCreated
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | ArgumentsDelta
    | ArgumentsDone
    | ResponseDone
    | Failed
)
Message: TypeAlias = _Used | Unused

_decoder: Final = msgspec.json.Decoder(_Used, strict=False)
_kind_decoder: Final = msgspec.json.Decoder(Unused)
_KINDS: Final = frozenset(
    str(kind.__struct_config__.tag) for kind in _Used.__args__ if kind.__struct_config__.tag is not None
)


def decode(raw: bytes | str) -> Message:
    """One message of Hydra.

    Raises:
        ProtocolError: it is no message of this protocol. What it holds is not quoted.
    """
    try:
        message: _Used = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _unused(raw)
    return message


def _unused(raw: bytes | str) -> Unused:
    try:
        unused = _kind_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError("no JSON object with a type", peer=_PEER, kind="bad_json") from None
    if unused.type in _KINDS:
        raise ProtocolError(f"a field of {unused.type} is missing or wrong", peer=_PEER, kind="bad_message")
    return unused


# -- what we say -------------------------------------------------------------------------------------------------------


class Function(Struct, frozen=True, tag="function"):
    """A tool that Hydra may call. `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class _SessionConfig(Struct):
    instructions: str
    voice: str
    tools: Sequence[Function]
    generate_initial_response: bool


class _Configure(Struct, tag="session.configure"):
    session: _SessionConfig


class _Append(Struct, tag="input_audio_buffer.append"):
    audio: bytes


class _Cancel(Struct, tag="response.cancel"):
    response_id: str


class _Create(Struct, tag="response.create"):
    pass


class _FunctionOutput(Struct, tag="function_call_output"):
    call_id: str
    output: str


class _CreateItem(Struct, tag="conversation.item.create"):
    item: _FunctionOutput


_encoder: Final = msgspec.json.Encoder()

#: Asks for an answer: Hydra waits for it once the outputs of its function calls are there.
CREATE_RESPONSE: Final = _encoder.encode(_Create())


def encode_configure(
    instructions: str, voice: str, tools: Sequence[Function] = (), *, speaks_first: bool = False
) -> bytes:
    """The message that a session begins with. `speaks_first`: Hydra does not wait for the caller."""
    return _encoder.encode(_Configure(_SessionConfig(instructions, voice, tools, speaks_first)))


def encode_audio(pcm: bytes) -> bytes:
    """More of the caller's voice: PCM16 at `INPUT_HZ`, 20 to 40 ms of it."""
    return _encoder.encode(_Append(pcm))


def encode_cancel(response_id: str) -> bytes:
    """Stop that answer."""
    return _encoder.encode(_Cancel(response_id))


def encode_output(call_id: str, output: str) -> bytes:
    """What came of a function call."""
    return _encoder.encode(_CreateItem(_FunctionOutput(call_id, output)))
