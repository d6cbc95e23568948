"""How the emulated Hydra behaves, what it says, and what it has counted. Plain values; no I/O but to read a script."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType

from bridge.config_tree import Section, convert, read_toml
from bridge.emulators.switches import Switches


class Step(Section, frozen=True):
    """What is answered to one turn of the caller: words, or a function call and the words after its output."""

    say: str = ""
    #: The function.
    call: str = ""
    arguments: dict[str, Any] | UnsetType = UNSET
    #: Said when its output has come; ``{output}`` stands for that.
    then: str = ""

    def __post_init__(self) -> None:
        if bool(self.say) == bool(self.call):
            raise ValueError("a turn needs either `say` or `call`")


class HydraScript(Section, frozen=True):
    """What is said: `greeting` when Hydra is to speak first, a step for each turn, the last one again and again."""

    greeting: str = "Hello, how can I help you?"
    turns: Sequence[Step] = (Step(say="I see. Go on, please."),)

    def step(self, number: int) -> Step:
        """The answer to turn `number`, counted from 0."""
        return self.turns[min(number, len(self.turns) - 1)] if self.turns else Step(say="I see.")


def read_script(path: Path) -> HydraScript:
    """A script from a TOML file.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    return convert(read_toml(path), HydraScript, str(path))


@dataclass(slots=True, kw_only=True)
class HydraEmulatorOptions(Switches):
    """How the emulated Hydra behaves."""

    NOT_NEGATIVE = ("answer_ms", "realtime_factor", "concurrency", "faulty_sessions", "configure_ms", "flood")
    POSITIVE = ("chunk_ms", "idle_timeout_s", "silence_ms")

    #: From the end of the caller's turn, or the request for an answer, to its first sound.
    answer_ms: float = 0.0
    #: From `session.configure` to `session.configured`.
    configure_ms: float = 0.0
    #: How much faster than real time sound is delivered; 0 is as fast as the socket takes it.
    realtime_factor: float = 0.0
    #: Sound in one message.
    chunk_ms: float = 40.0
    #: Silence that ends the caller's turn.
    silence_ms: float = 400.0
    #: Quieter sound is silence.
    gate_dbfs: float = -45.0
    #: Sessions at once; the next gets `server_full` and 1013. 0 is no limit.
    concurrency: int = 0
    #: No message of the client for so long, and the session is closed with 1000.
    idle_timeout_s: float = 30.0
    #: Tell the words of answers too, as some servers do.
    transcripts: bool = False
    #: Do not say that a function call is complete; its answer's end must do.
    no_arguments_done: bool = False

    #: Only so many first sessions have any of these faults; 0 is all of them.
    faulty_sessions: int = 0
    #: Say `server_full` and close with 1013.
    full: bool = False
    #: Say nothing at all, from the handshake on.
    mute: bool = False
    #: Be configured, and then never answer.
    hang: bool = False
    #: Send what cannot be read instead of answers.
    garbage: bool = False
    #: Send so many useless messages with each answer.
    flood: int = 0
    #: Cut the connection after so much sound of an answer.
    drop_after_ms: float | None = None
    #: Send what is left of an answer although it was cancelled or interrupted.
    keeps_talking: bool = False
    #: Cut the sound in the middle of samples.
    odd_chunks: bool = False

    @classmethod
    def realistic(cls) -> HydraEmulatorOptions:
        """The pace that is claimed for the real one: voice to voice in 864 ms, then ten times real time."""
        return cls(answer_ms=464.0, realtime_factor=10.0)

    def is_faulty(self, number: int) -> bool:
        """Whether the handshake `number`, counted from 1, has the faults."""
        return not self.faulty_sessions or number <= self.faulty_sessions


@dataclass(slots=True)
class HydraEmulatorStats:
    """What happened, for tests to assert on."""

    handshakes: int = 0  #: with a key that is accepted
    refused_handshakes: int = 0
    open_sessions: int = 0
    idle_closed: int = 0
    over_concurrency: int = 0
    early_audio: int = 0  #: messages of audio before the session was configured, dropped
    audio_ms: float = 0.0  #: heard
    odd_sizes: int = 0  #: messages of audio that were not 20 to 40 ms
    turns: int = 0  #: of the caller
    answers: int = 0  #: begun
    completed: int = 0
    interrupted: int = 0  #: by the caller's voice
    cancelled: int = 0  #: by `response.cancel`
    errors: int = 0  #: error messages sent
    faults: int = 0
    #: The last `session.configure`.
    session: dict[str, Any] = field(default_factory=dict)
    #: What answers said, in order; and the outputs of function calls.
    said: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    outputs: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
