"""A transcriber of somebody else's may raise wherever it likes: the call hears of it as words that do not come."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.transcribers.guarded import Guarded
from bridge.transcribers.transcriber import Transcript, TranscriptSink


class Fragile:
    """Says back how much it was given, until it is asked what it raises at."""

    def __init__(self, raises_at: str) -> None:
        self.raises_at = raises_at
        self.asked: list[str] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def open(self, _call_id: str, into: TranscriptSink) -> Any:
        self._asked("open")
        transcriber = self

        class Words:
            @property
            def able(self) -> bool:
                transcriber._asked("able")
                return True

            def push(self, mulaw: bytes) -> None:
                transcriber._asked("push")
                into(Transcript(f"{len(mulaw)} bytes"))

            def finalize(self) -> None:
                transcriber._asked("finalize")

            def close(self) -> None:
                transcriber._asked("close")

        return Words()

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        if what == self.raises_at:
            raise RuntimeError("no licence")


def a_call(fragile: Fragile) -> tuple[list[bool], list[Transcript]]:
    """Whether it was able, at first and at last, and the words that came."""
    words: list[Transcript] = []
    transcription = Guarded(fragile).open("CA1", words.append)
    able = [transcription.able]
    for _ in range(2):
        transcription.push(b"\xff" * 160)
        transcription.finalize()
    able.append(transcription.able)
    transcription.close()
    return able, words


def test_one_that_does_not_raise_is_as_if_by_itself() -> None:
    fragile = Fragile("")
    assert a_call(fragile) == ([True, True], [Transcript("160 bytes")] * 2)
    assert fragile.asked == ["open", "able", "push", "finalize", "push", "finalize", "able", "close"]


@pytest.mark.parametrize(
    "raises_at, able, words",
    [
        ("open", [False, False], 0),
        ("able", [False, False], 0),
        ("push", [True, False], 0),
        ("finalize", [True, False], 1),
        ("close", [True, True], 2),
    ],
)
def test_one_that_raises_costs_its_words_and_is_not_asked_again(
    raises_at: str, able: list[bool], words: int, caplog: pytest.LogCaptureFixture
) -> None:
    fragile = Fragile(raises_at)
    told = a_call(fragile)
    assert (told[0], len(told[1])) == (able, words)
    assert fragile.asked[-1] == raises_at
    assert [record.getMessage() for record in caplog.records] == [
        "call CA1: the transcriber failed, and is not asked again"
    ]
