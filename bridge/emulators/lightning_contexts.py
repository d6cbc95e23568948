"""Continuations: text that comes bit by bit under one `context_id`, and when it is spoken. No I/O, no clock.

Strategy:

- What is released is a *segment*, and a segment is a synthesis of its own. Text goes out up to the last end of a
  sentence that makes it long enough, up to a word's end where it has outgrown a chunk, and all of it when its
  time is up or its context is closed (lightning.md 3.8).
- The segments of one context are spoken one after the other. The wait for the first byte of a segment runs while
  the one before it is spoken, as it would in a service that works ahead.
- How long is long enough is not documented. `MIN_SENTENCE_CHARS` is a choice.
- Blank text is never spoken, and gives no answer.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.emulators.lightning_protocol import Begin, Synthesis
from bridge.emulators.lightning_requests import SpeechRequest

#: Lightning's biggest chunk: more text than this is not kept waiting.
MAX_BUFFERED_CHARS: Final = 250
MIN_SENTENCE_CHARS: Final = 20

# A full stop after a digit, with nothing behind it yet, may still become the point of a number.
_SENTENCE_END: Final = re.compile(
    r"""(?:[?!…।॥]|(?<!\d)\.)[.?!…।॥]*["'”’)\]»]*\Z"""
    r"""|[.?!…।॥]+["'”’)\]»]*(?=\s)"""
    r"""|[。！？]["'”’」』）]*"""
)


@dataclass(slots=True)
class FragmentBuffer:
    """Text that waits for the end of its sentence."""

    text: str = ""
    #: When what waits is released, sentence or not; None while nothing waits.
    release_at: float | None = None

    def add(self, text: str, delay_ms: float, now: float) -> list[str]:
        """Keep `text`, for at most `delay_ms`, and return the segments that it completes."""
        had_text = bool(self.text)
        self.text += text
        segments = []
        while end := _segment_end(self.text):
            segments.append(self.text[:end])
            self.text = self.text[end:]
        if not self.text:
            self.release_at = None
        elif segments or not had_text:
            self.release_at = now + delay_ms / 1000
        return _spoken(segments) + self.expire(now)

    def expire(self, now: float) -> list[str]:
        """What waited too long."""
        return self.drain() if self.release_at is not None and now >= self.release_at else []

    def drain(self) -> list[str]:
        """All that waits."""
        text, self.text, self.release_at = self.text, "", None
        return _spoken([text])


def _segment_end(text: str) -> int:
    """Where the next segment of `text` ends; 0 when there is none yet."""
    # What lies beyond cannot end a segment, but an end needs one character behind it to be seen.
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, MAX_BUFFERED_CHARS + 2)]
    if fitting := [end for end in ends if MIN_SENTENCE_CHARS <= end <= MAX_BUFFERED_CHARS]:
        return fitting[-1]
    if len(text) <= MAX_BUFFERED_CHARS:
        return 0
    # After the space, so that joining the segments gives the text again.
    return text.rfind(" ", 0, MAX_BUFFERED_CHARS) + 1 or MAX_BUFFERED_CHARS


def _spoken(segments: list[str]) -> list[str]:
    return [segment for segment in segments if segment.strip()]


@dataclass(slots=True, eq=False)
class Context:
    """One context of a socket: what waits to be released, what waits to be spoken, what is spoken now.

    It is held from its first text until it is closed and all of it is out. Text after that opens it anew.
    """

    name: str
    buffer: FragmentBuffer = field(default_factory=FragmentBuffer)
    #: What its text is spoken with: what was told last about each field.
    fields: Mapping[str, object] = field(default_factory=dict)
    is_open: bool = True
    speaking: Synthesis | None = None
    #: Released, and when.
    waiting: deque[tuple[Synthesis, float]] = field(default_factory=deque)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return not (self.is_open or self.buffer.text or self.waiting or self.speaking)

    def take(self, request: SpeechRequest, now: float) -> list[str]:
        """Keep the text of `request`, close the context if it says so, and return the segments to speak."""
        self.is_open = request.continues and not request.context_close
        segments = self.buffer.add(request.text, request.max_buffer_delay_ms, now)
        return segments if self.is_open else segments + self.buffer.drain()

    def proceed(self, now: float) -> list[Begin]:
        """The next segment's turn, where one waits and none is spoken."""
        if self.speaking or not self.waiting:
            return []
        self.speaking, released_at = self.waiting.popleft()
        return [Begin(self.speaking, waited_s=now - released_at)]

    def drop_text(self) -> None:
        """Forget what was not released yet, and hold the context no longer than its audio lasts."""
        self.buffer.drain()
        self.is_open = False

    def drop_audio(self) -> None:
        """Forget what was released."""
        self.speaking = None
        self.waiting.clear()
