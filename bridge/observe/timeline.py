"""The timeline of one call: typed entries, in order, each with its time since the call began.

Strategy:

- The timeline is the one account of a call. The demo's table, a console, a transcript and a recording all read it;
  nothing else taps the call.
- Entries are plain data and serialise as they stand (``msgspec.json.encode``); the tag ``kind`` names them.
- It is bounded: a call of four hours keeps its newest entries and counts what it forgot.
- It may hold what was said, but nothing that was declared private: `HIDDEN` stands in for that. It lives in memory and
  is never logged at info or above.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from msgspec import Struct

MAX_ENTRIES: Final = 2000
#: What is shown instead of words that are private, however many.
HIDDEN: Final = "•••"


class _Entry(Struct, frozen=True, kw_only=True, tag_field="kind", tag=True):
    """Base of all: `at_ms` is milliseconds since the media stream was admitted."""

    at_ms: float


class CallStarted(_Entry, frozen=True, tag="call_started"):
    carrier: str
    call_id: str
    from_number: str = ""
    to_number: str = ""


class SpeakingAsked(_Entry, frozen=True, tag="speaking_asked"):
    """The agent asked for an utterance."""

    utterance: int
    text: str


class FirstAudio(_Entry, frozen=True, tag="first_audio"):
    """The first packet of an utterance went out, `after_ms` after the agent asked.

    `lightning_ms` is the part of it that Lightning took to answer with its first audio; None for a prompt.
    """

    utterance: int
    after_ms: float
    lightning_ms: float | None = None


class SpeakingEnded(_Entry, frozen=True, tag="speaking_ended"):
    """An utterance is over: heard whole, interrupted (`by` is ``speech`` or ``digit``), or failed."""

    utterance: int
    heard_ms: float
    total_ms: float
    heard_text: str
    by: str = ""


class BargeIn(_Entry, frozen=True, tag="barge_in"):
    """The caller took the floor. `onset_ms` is when the detector dates the first of it; None for a digit."""

    by: str
    dropped_ms: float
    onset_ms: float | None = None


class CallerSpoke(_Entry, frozen=True, tag="caller_spoke"):
    """The caller fell silent after having talked from `start_ms` to `end_ms`, and said `text` if that is known."""

    start_ms: float
    end_ms: float
    text: str = ""


class Backchannel(_Entry, frozen=True, tag="backchannel"):
    """The caller said too little to interrupt with."""

    text: str


class Resumed(_Entry, frozen=True, tag="resumed"):
    """The caller had interrupted and said no word: the rest of the utterance is said, from `heard_ms` on."""

    utterance: int
    heard_ms: float


class TurnTimed(_Entry, frozen=True, tag="turn"):
    """How long the caller waited for an answer. Milliseconds since the call began; None is what did not happen.

    Attributes:
        turn: number of the turn, from 1.
        speech_end_ms: the caller's last sound.
        transcript_ms: the words were final.
        token_ms: the agent had the first of its answer.
        audio_ms: the first audio of it came from Lightning.
        audible_ms: the caller could hear the first sound of it; silence at its beginning is counted.
        outcome: ``answered``, ``interrupted`` (the caller went on first), ``failed``, ``unanswered``.
    """

    turn: int
    speech_end_ms: float
    transcript_ms: float | None = None
    token_ms: float | None = None
    audio_ms: float | None = None
    audible_ms: float | None = None
    outcome: str = "answered"


class ToolRan(_Entry, frozen=True, tag="tool"):
    """The agent's model called a tool; `outcome` is ``done``, ``failed``, ``late`` or ``refused``."""

    name: str
    took_ms: float
    outcome: str


class ThinkingFailed(_Entry, frozen=True, tag="thinking_failed"):
    """What thinks for the agent was late or failed; `failure` is a short name."""

    failure: str


class BudgetSpent(_Entry, frozen=True, tag="budget_spent"):
    """The call has cost what it may: `limit` is the setting."""

    limit: str


class DigitPressed(_Entry, frozen=True, tag="digit"):
    digit: str


class DigitsSent(_Entry, frozen=True, tag="digits_sent"):
    """The agent pressed keys towards the caller."""

    digits: str


class MessageTaken(_Entry, frozen=True, tag="message"):
    """The caller left a message of `ms`; `by` is what ended it: ``silence``, ``digit``, ``limit``, ``hang_up``."""

    ms: int
    by: str


class Transferred(_Entry, frozen=True, tag="transferred"):
    """The agent handed the caller on to `to`."""

    to: str


class LineLost(_Entry, frozen=True, tag="line_lost"):
    """The media socket broke, and the carrier may open another one."""


class LineResumed(_Entry, frozen=True, tag="line_resumed"):
    """The carrier opened another media socket, and the call goes on over it."""


class FillerPlayed(_Entry, frozen=True, tag="filler"):
    """The first audio of the utterance was late: the caller heard "One moment, please." first."""

    utterance: int


class VoiceFailed(_Entry, frozen=True, tag="voice_failed"):
    """Lightning could not speak the utterance, even after a retry."""

    error: str


class AgentFailed(_Entry, frozen=True, tag="agent_failed"):
    """The agent's code raised."""

    error: str


class CallEnded(_Entry, frozen=True, tag="call_ended"):
    reason: str


Entry: TypeAlias = (
    CallStarted
    | SpeakingAsked
    | FirstAudio
    | SpeakingEnded
    | BargeIn
    | CallerSpoke
    | Backchannel
    | Resumed
    | TurnTimed
    | ToolRan
    | ThinkingFailed
    | BudgetSpent
    | DigitPressed
    | DigitsSent
    | MessageTaken
    | Transferred
    | LineLost
    | LineResumed
    | FillerPlayed
    | VoiceFailed
    | AgentFailed
    | CallEnded
)


class Timeline:
    """The entries of one call, newest last. Iterate to read it."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: deque[Entry] = deque(maxlen=max_entries)
        self._readers: list[Callable[[Entry], None]] = []
        #: Entries pushed out by newer ones.
        self.forgotten = 0

    def add(self, entry: Entry) -> None:
        """Append `entry` and hand it to whoever follows."""
        self.forgotten += len(self._entries) == self._entries.maxlen
        self._entries.append(entry)
        for reader in self._readers:
            reader(entry)

    def follow(self, reader: Callable[[Entry], None]) -> None:
        """Call `reader` with every later entry. It must return at once and not raise."""
        self._readers.append(reader)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def nobody(*_entry: object, **_fields: object) -> None:
    """Who is told of entries once the call is over."""
