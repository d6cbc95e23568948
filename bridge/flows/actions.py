"""Between a flow and whoever carries it out: what is to be done, and what came of it. Pure data.

A flow is a generator: it yields an `Action` and is sent the `Outcome` that belongs to it.

    Announce  -> Announced        PlaySound -> Announced      Collect -> Collected     TakeMessage -> Message
    PlayMessage -> Announced
    Fetch     -> Fetched          Connect   -> NotConnected   RunAgent -> Done         ForgetKeys  -> Done
    HangUp ends it. So does a caller who hangs up: then the generator is closed, whatever it was waiting for.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bridge.config import BargeInMode

# -- what is to be done ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Say a prompt.

    Attributes:
        prompt: its id.
        variables: what fills it in.
        language: which of its languages; empty is the first.
        private: names of `variables` whose sound must not be kept on disk, nor their words logged.
        barge_in: what cuts it short. Unless ``off`` or ``speech``, it is not said at all when keys wait already.
    """

    prompt: str
    variables: Mapping[str, str] = field(default_factory=dict)
    language: str = ""
    private: frozenset[str] = frozenset()
    barge_in: BargeInMode = "digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaySound:
    """Play a sound: a recorded prompt, or one of `bridge.prompts.sounds`.

    Attributes:
        seconds: over and over for so long; 0 is once, to its end.
    """

    sound: str
    seconds: float = 0.0
    barge_in: BargeInMode = "digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayMessage:
    """Play back what `TakeMessage` took; `path` is where that is."""

    path: str
    barge_in: BargeInMode = "digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect:
    """Wait for keys. Those typed ahead count.

    Attributes:
        digits: how many at most.
        first_timeout_s: how long to wait for the first one.
        next_timeout_s: how long for each further one.
        finish_on: keys that end it; not part of what is collected.
        masked: neither logs nor the timeline may show them.
        until_speech: the caller's speech ends it, too.
    """

    digits: int
    first_timeout_s: float = 5.0
    next_timeout_s: float = 3.0
    finish_on: str = "#"
    masked: bool = False
    until_speech: bool = False


@dataclass(frozen=True, slots=True)
class ForgetKeys:
    """Drop what was typed ahead: after a mistake it no longer means what the caller meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeMessage:
    """Record what the caller says.

    Attributes:
        beep: sound one before.
        max_s: no longer than this.
        silence_s: so much silence ends it.
        finish_on: keys that end it.
        instead_of: the path of the one that it takes the place of, when it was kept; empty is none.
    """

    beep: bool = True
    max_s: float = 120.0
    silence_s: float = 4.0
    finish_on: str = "#"
    instead_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Ask the user's own API.

    Attributes:
        url: complete; what variables put into it is percent-encoded.
        body: what is sent as JSON; None sends nothing.
        bearer_env: the environment variable that holds the token; empty is none.
        deadline_s: for all tries together.
        retries: further tries after one that got no answer, or 429, 500, 502, 503 or 504.
        hold: what the caller hears meanwhile, as `PlaySound.sound`; empty is silence.
    """

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    bearer_env: str = ""
    deadline_s: float = 3.0
    retries: int = 1
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Connect:
    """Transfer the caller. When it works, that is the end of the flow."""

    to: str


@dataclass(frozen=True, slots=True)
class RunAgent:
    """Hand the call to an agent, ``module:function``. It may end the call; else the flow goes on when it returns."""

    entrypoint: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call, and the flow."""


Action: TypeAlias = (
    Announce
    | PlaySound
    | PlayMessage
    | Collect
    | ForgetKeys
    | TakeMessage
    | Fetch
    | Connect
    | RunAgent
    | HangUp
)

# -- what came of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Announced:
    """`by` is what cut it short: ``digit``, ``speech``, or empty when it was heard whole."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """The keys, which `repr` does not show; whether a `finish_on` key ended it; whether the caller spoke instead."""

    keys: str = field(default="", repr=False)
    finished: bool = False
    spoke: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """Where the recording is, and how long; `path` is empty when nothing was said, or it could not be kept."""

    path: str = ""
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """HTTP status and JSON; status 0 with `error` when there was no answer, or none that is JSON."""

    status: int = 0
    body: Any = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class NotConnected:
    """Why the caller could not be transferred, in words without secrets."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """It is done."""


Outcome: TypeAlias = Announced | Collected | Message | Fetched | NotConnected | Done

#: What a flow is while it runs: see above.
Running: TypeAlias = Generator[Action, Outcome, None]
