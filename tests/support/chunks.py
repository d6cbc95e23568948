"""One stream, cut in every way: what comes out of a streaming stage must not depend on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Stage(Protocol):
    def feed(self, chunk: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def cut(stream: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """`stream` in chunks of `sizes`, taken in turns; empty chunks are as good as others."""
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        yield stream[at : at + size]
        at, turn = at + size, turn + 1


def run(stage: Stage, chunks: Iterator[bytes]) -> bytes:
    return b"".join(map(stage.feed, chunks)) + stage.flush()
