"""A transcriber that says what a test has it say, and notes what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.transcribers.transcriber import Transcript, TranscriptSink


@dataclass
class ScriptedTranscription:
    """The words of one call: the test says them."""

    into: TranscriptSink
    able: bool = True
    heard: bytearray = field(default_factory=bytearray)
    #: How often words were asked for.
    finalizes: int = 0
    closed: bool = False
    #: What each `finalize` is answered with at once; None: the test answers.
    answer: str | None = None

    def push(self, mulaw: bytes) -> None:
        self.heard += mulaw

    def finalize(self) -> None:
        self.finalizes += 1
        if self.answer is not None:
            self.told(self.answer)

    def close(self) -> None:
        self.closed = True

    def guess(self, text: str) -> None:
        self.into(Transcript(text))

    def final(self, text: str) -> None:
        self.into(Transcript(text, final=True))

    def told(self, text: str = "", language: str = "") -> None:
        """Answer a `finalize`."""
        self.into(Transcript(text, final=True, finalised=True, language=language))


@dataclass
class ScriptedTranscriber:
    """Transcribes all calls of a test."""

    calls: dict[str, ScriptedTranscription] = field(default_factory=dict)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def open(self, call_id: str, into: TranscriptSink) -> ScriptedTranscription:
        self.calls[call_id] = ScriptedTranscription(into)
        return self.calls[call_id]
