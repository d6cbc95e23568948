"""A transcriber of somebody else's: when it raises, that costs a call its words, and never the call."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bridge.transcribers.transcriber import Transcriber, Transcription, TranscriptSink

log = logging.getLogger(__name__)


class Guarded:
    """`transcriber`, of which no call need fear anything. What it raises at start and end is for the operator."""

    def __init__(self, transcriber: Transcriber) -> None:
        self.transcriber = transcriber
        self.start, self.close = transcriber.start, transcriber.close

    def open(self, call_id: str, into: TranscriptSink) -> GuardedTranscription:
        """Begin to transcribe a call; one that cannot be begun is never able."""
        guarded = GuardedTranscription(call_id)
        guarded.attempt(lambda: guarded.begin(self.transcriber.open(call_id, into)))
        return guarded


class GuardedTranscription:
    """The words of one call, until what finds them raises: told in the log, once, and it is not asked again."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._inner: Transcription | None = None

    def begin(self, inner: Transcription) -> None:
        """From now on, `inner` finds them."""
        self._inner = inner

    @property
    def able(self) -> bool:
        """Whether words can be expected."""
        told: list[bool] = []
        if self._inner is not None:
            inner = self._inner
            self.attempt(lambda: told.append(inner.able))
        return any(told)

    def push(self, mulaw: bytes) -> None:
        """Take the caller's next audio."""
        if self._inner is not None:
            inner = self._inner
            self.attempt(lambda: inner.push(mulaw))

    def finalize(self) -> None:
        """Ask for the words of all that was pushed."""
        if self._inner is not None:
            self.attempt(self._inner.finalize)

    def close(self) -> None:
        """The call is over."""
        if self._inner is not None:
            self.attempt(self._inner.close)

    def attempt(self, what: Callable[[], object]) -> None:
        """Do `what`, of which nobody knows what it may raise."""
        try:
            what()
        except Exception:
            log.exception("call %s: the transcriber failed, and is not asked again", self._call_id)
            self._inner = None
