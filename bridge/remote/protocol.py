"""What the bridge and an agent elsewhere tell each other: events out, commands in. Pure.

Strategy:

- JSON objects, told apart by ``type``. An event says what happened and bears a number; a command says what to do
  and may bear an id, which what comes of it then names.
- Every command that is heard, or waits for something, comes to exactly one end: `spoken`, `played`, `gathered`,
  `interrupted` or `failed`.
- Fields that are not known are ignored, so both sides may learn new ones. A command that is not known, or is not as it
  must be, is a `Refusal` of that command: those beside it count.
- Everything is bounded: how many commands, how long each text, how many keys.
- What is no JSON, or none of commands, is a ProtocolError.

Names follow those of Twilio's ConversationRelay and jambonz where they have one for the same thing.

Facts, from Twilio's "WebSocket messages" of ConversationRelay, and jambonz' WebSocket API (session:new, ack, command).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from bridge.errors import ProtocolError

#: Raised when what was right no longer is; new fields, events and commands do not raise it.
VERSION: Final = 1

MAX_MESSAGE_BYTES: Final = 64 * 1024
#: In one message.
MAX_COMMANDS: Final = 32
#: Of one command, and of one streamed utterance.
MAX_TEXT: Final = 5000
MAX_STREAMED: Final = 20_000
_MAX_DETAIL: Final = 200

BargeIn: TypeAlias = Literal["off", "digits", "speech", "both"]
#: Why a command came to nothing.
Reason: TypeAlias = Literal[
    "unknown_command",  # no such type
    "bad_command",  # a field is missing, or is not as it must be
    "unsupported",  # not over this door, or not with this carrier
    "too_many",  # too many commands wait
    "too_long",  # a streamed utterance without end
    "stale",  # it answers a turn that is no longer the last one
    "stopped",  # `stop` came first
    "not_allowed",  # a transfer to whom the configuration does not name
    "no_such_prompt",
    "carrier",  # the carrier did not do it
    "voice",  # it could not be spoken; the caller has heard an apology
]

# -- events ------------------------------------------------------------------------------------------------------------


class _Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all: `seq` counts the events of a call from 1."""

    call_id: str = ""
    seq: int = 0


class Start(_Event, frozen=True, tag="start"):
    """The call is there; or, with `resumed`, a new connection is, and the call goes on.

    Attributes:
        hears: whether turns have text.
        can: the commands that work in this call.
        transfer_to: the names that `transfer` takes.
        custom: the table ``custom`` of the agent's options.
        acknowledged: the last event that was acknowledged.
    """

    version: int = VERSION
    carrier: str = ""
    from_: str = msgspec.field(default="", name="from")
    to: str = ""
    hears: bool = False
    can: list[str] = []
    transfer_to: list[str] = []
    custom: dict[str, Any] = {}
    resumed: bool = False
    acknowledged: int = 0


class Turn(_Event, frozen=True, tag="turn"):
    """The caller has said something and is done. `text` is empty where nobody can tell what; times are of the call."""

    number: int = 0
    text: str = ""
    language: str = ""
    start_ms: int = 0
    end_ms: int = 0


class Digits(_Event, frozen=True, tag="digits"):
    """The caller pressed a key, and no `gather` runs or waits."""

    digits: str = ""


class Spoken(_Event, frozen=True, tag="spoken"):
    """A `say` was heard to its end."""

    id: str = ""
    text: str = ""
    ms: int = 0


class Played(_Event, frozen=True, tag="played"):
    """A `play` was heard to its end."""

    id: str = ""
    ms: int = 0


class Interrupted(_Event, frozen=True, tag="interrupted"):
    """A `say` or `play` was cut short, or not begun because one before it was.

    Attributes:
        by: ``speech``, ``digit``, or ``stop`` (the command).
        text: what was heard of it; `ms` is how long that was, of `total_ms` that had been made.
    """

    id: str = ""
    by: str = ""
    text: str = ""
    ms: int = 0
    total_ms: int = 0


class Gathered(_Event, frozen=True, tag="gathered"):
    """A `gather` is over. `by` is ``digits`` (as many as wanted), ``finish_on`` or ``timeout``."""

    id: str = ""
    digits: str = ""
    by: str = ""


class Failed(_Event, frozen=True, tag="failed"):
    """A command came to nothing. `detail` is for people."""

    id: str = ""
    reason: Reason = "bad_command"
    detail: str = ""


class Idle(_Event, frozen=True, tag="idle"):
    """The caller has said nothing for a while, `times` in a row."""

    times: int = 0


class End(_Event, frozen=True, tag="end"):
    """The call is over. Nothing follows, and no command does anything any more."""

    reason: str = ""
    duration_ms: int = 0


Event: TypeAlias = Start | Turn | Digits | Spoken | Played | Interrupted | Gathered | Failed | Idle | End
#: The agent must do something about these: a command, or `listen`.
QUESTIONS: Final = (Start, Turn, Gathered)

# -- commands ----------------------------------------------------------------------------------------------------------

_Id: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{0,64}\Z")]
_Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT)]
_Keys: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9A-D*#]{0,16}\Z")]


class _Command(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all. One that has the id of an earlier one is that one, come again."""

    id: _Id = ""


class _Answer(_Command, frozen=True, kw_only=True):
    """With `turn`: an answer to that one, and void when it is no longer the last."""

    turn: Annotated[int, Meta(ge=0)] = 0


class Say(_Answer, frozen=True, tag="say"):
    """Speak. `more`: the text goes on in `say_more`."""

    text: _Text = ""
    more: bool = False
    barge_in: BargeIn | None = None


class SayMore(_Command, frozen=True, tag="say_more"):
    """More of the text of the `say` with this id; `last` ends it."""

    text: _Text = ""
    last: bool = False


class Play(_Answer, frozen=True, tag="play"):
    """Play a prompt of the prompt files, or a sound that is always there; `for_s`: over and over for so long."""

    prompt: Annotated[str, Meta(min_length=1, max_length=128)]
    variables: Annotated[dict[str, str | int | float], Meta(max_length=32)] = {}
    language: Annotated[str, Meta(max_length=32)] = ""
    for_s: Annotated[float, Meta(ge=0, le=600)] = 0.0
    barge_in: BargeIn | None = None


class Gather(_Answer, frozen=True, tag="gather"):
    """Say `text`, if any, and collect keys. With `mask` they are not shown in the timeline."""

    digits: Annotated[int, Meta(ge=1, le=64)] = 1
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 5.0
    finish_on: _Keys = "#"
    text: _Text = ""
    mask: bool = False


class Transfer(_Answer, frozen=True, tag="transfer"):
    """Hand the caller on to one of the names of `transfer_to`."""

    to: Annotated[str, Meta(min_length=1, max_length=256)]


class SendDigits(_Answer, frozen=True, tag="send_digits"):
    """Press keys; ``w`` is a pause."""

    digits: Annotated[str, Meta(pattern=r"^[0-9A-D*#w]{1,64}\Z")]


class HangUp(_Answer, frozen=True, tag="hang_up"):
    """End the call."""


class Stop(_Command, frozen=True, tag="stop"):
    """Be silent at once, and forget what waits."""


class Listen(_Answer, frozen=True, tag="listen"):
    """Nothing is to be said to that: go on listening."""


class Set(_Command, frozen=True, tag="set"):
    """What may interrupt whatever is said or played from now on and does not say otherwise."""

    barge_in: BargeIn


class Ack(_Command, frozen=True, tag="ack"):
    """Events up to `seq` have come."""

    seq: Annotated[int, Meta(ge=0)]


Command: TypeAlias = (
    Say | SayMore | Play | Gather | Transfer | SendDigits | HangUp | Stop | Listen | Set | Ack
)
#: Done one after the other; the others are done at once.
Queued: TypeAlias = Say | Play | Gather | Transfer | SendDigits | HangUp

_COMMANDS: Final = (Say, SayMore, Play, Gather, Transfer, SendDigits, HangUp, Stop, Listen, Set, Ack)
#: The names of the commands.
NAMES: Final = tuple(str(command.__struct_config__.tag) for command in _COMMANDS)
#: Those that need a connection which stays.
NEED_A_SOCKET: Final = frozenset({"say_more", "ack"})


class Refusal(Struct, frozen=True):
    """A command that is none: what the agent is told of it."""

    id: str
    reason: Reason
    detail: str


# -- on the wire -------------------------------------------------------------------------------------------------------


class _Envelope(Struct):
    """What any object may have that is taken for commands."""

    commands: list[Raw] | None = None
    type: Any = None
    id: Any = None


_encoder: Final = msgspec.json.Encoder()
_command: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command, strict=False)
_list: Final = msgspec.json.Decoder(list[Raw])
_envelope: Final = msgspec.json.Decoder(_Envelope)
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def encode(event: Event) -> bytes:
    """An event as it is sent."""
    return _encoder.encode(event)


def encode_all(events: list[Event]) -> bytes:
    """Events as they are posted: ``{"events": [...]}``."""
    return _encoder.encode({"events": events})


def decode(raw: bytes) -> list[Command | Refusal]:
    """The commands in a message: one object, a list of them, or ``{"commands": [...]}``. Nothing is none.

    Raises:
        ProtocolError: no JSON, none of commands, or far too many.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise _broken(f"more than {MAX_MESSAGE_BYTES} bytes", "too_big")
    body = raw.strip()
    if not body:
        return []
    try:
        items = _items(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise _broken("is no JSON of commands", "garbage") from None
    if len(items) > MAX_COMMANDS:
        raise _broken(f"has {len(items)} commands, more than {MAX_COMMANDS}", "too_many")
    return [_one(bytes(item)) for item in items]


def _items(body: bytes) -> list[Raw]:
    if body.startswith(b"["):
        return _list.decode(body)
    envelope = _envelope.decode(body)
    return [Raw(body)] if envelope.commands is None else envelope.commands


def _one(raw: bytes) -> Command | Refusal:
    try:
        return _command.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        return _refusal(raw, str(error))


def _refusal(raw: bytes, why: str) -> Refusal:
    try:
        known = _envelope.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return Refusal("", "bad_command", "is no object")
    named = known.id if isinstance(known.id, str) and _ID.fullmatch(known.id) else ""
    if known.type not in NAMES:
        return Refusal(named, "unknown_command", f"type must be one of {', '.join(NAMES)}")
    return Refusal(named, "bad_command", f"{known.type}: {why}"[:_MAX_DETAIL])


def _broken(reason: str, kind: str) -> ProtocolError:
    return ProtocolError(f"the answer {reason}", peer="agent", kind=kind)
