"""A rendition as one speech: what is ready and what has yet to be spoken, in order and without a gap.

Strategy:

- To whoever hears it, it is a `Speech` like any other: what interrupts, cancels or holds up one does so here.
- What is ready is handed on whole as soon as its turn comes. So the synthesis behind it begins at once, while it is
  still being heard; and there is one synthesis at a time, as in any utterance.
- A part that the call's voice has spoken is worth keeping only if all of it came, from the first entry and at the first
  attempt. Whoever gave it is told once, one way or the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

from bridge.errors import CLOSED, Unavailable
from bridge.lightning.speech import PieceEnded, PieceStarted, Speech, SpeechAudio, SpeechPart
from bridge.lightning.voice import CallVoice
from bridge.prompts.prompt import Prompt
from bridge.prompts.rendition import Part, Rendition, ToSpeak


def recite(voice: CallVoice, rendition: Rendition) -> Speech:
    """Say `rendition`, where it is not ready by `voice`. Returns at once."""
    return _Recital(voice, rendition)


def parts_of(prompt: Prompt) -> tuple[SpeechPart, ...]:
    """A recording, as a speech has it."""
    return PieceStarted(prompt.text), SpeechAudio(prompt.audio), PieceEnded()


class _Recital(Speech):
    """The speech of a rendition, and the task behind it."""

    def __init__(self, voice: CallVoice, rendition: Rendition) -> None:
        super().__init__(self._stop)
        self._voice = voice
        self._left: deque[Part] = deque(rendition.parts)
        self._sounded = False
        #: Of the part that is being spoken.
        self._inner: Speech | None = None
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._done)
        voice.voice.note_speaking(self._task)

    def wake(self) -> None:
        """Say that the backlog has shrunk."""
        super().wake()
        if self._inner is not None:
            self._inner.wake()

    def _stop(self) -> None:
        if self._inner is not None:
            self._inner.cancel()
        self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._say_all()
        except Exception as error:  # the reader must know
            self.finish(error)
        else:
            self.finish()

    def _done(self, _task: asyncio.Task[None]) -> None:
        """Called also for a task that was cancelled before it began."""
        self.finish(Unavailable("the voice is closed", code=CLOSED))  # if nothing else has ended it
        while self._left:
            part = self._left.popleft()
            if isinstance(part, ToSpeak):
                part.on_spoken(None)

    async def _say_all(self) -> None:
        while self._left:
            part = self._left[0]
            if isinstance(part, Prompt):
                self._left.popleft()
                for ready in parts_of(part):
                    self._hand_on(ready)
            else:
                audio = await self._speak(part)
                self._left.popleft()
                part.on_spoken(audio)

    async def _speak(self, part: ToSpeak) -> bytes | None:
        """Have the voice speak it. Returns all of its audio; None when that is not worth keeping."""
        if not part.text.strip():
            return None
        audio: list[bytes] = []
        inner = self._inner = self._voice.speak(part.text, **part.options)
        take = partial(self._take, inner, audio, part.private)
        inner.hand_over(take, lambda: self.backlog_ms, self.take_back)
        await inner.finished()
        return b"".join(audio) if inner.as_asked else None

    def _take(self, inner: Speech, audio: list[bytes], private: bool, part: SpeechPart) -> None:
        if isinstance(part, SpeechAudio):
            audio.append(part.payload)
            if not self._sounded:  # the caller waits for Lightning, and for nothing else
                self.requested_at_s, self.first_audio_at_s = inner.requested_at_s, inner.first_audio_at_s
        elif private and isinstance(part, PieceStarted):
            part = PieceStarted(part.text, private=True)
        self._hand_on(part)

    def _hand_on(self, part: SpeechPart) -> None:
        self._sounded |= isinstance(part, SpeechAudio)
        self.deliver(part)
