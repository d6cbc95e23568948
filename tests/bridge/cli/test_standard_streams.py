"""Standard input and output that make nobody wait: over real pipes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.standard_streams import PipeWriter, text_from
from bridge.errors import ConfigError
from tests.support.waiting import PATIENCE_S

#: More than a pipe holds, however it is set up.
BIG = 1 << 21


class Pipe:
    """Both ends of one."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._open = {self.reader, self.writer}

    def close(self, fd: int) -> None:
        self._open.discard(fd)
        os.close(fd)

    def close_all(self) -> None:
        for fd in list(self._open):
            self.close(fd)


@contextlib.contextmanager
def a_pipe() -> Iterator[Pipe]:
    made = Pipe()
    try:
        yield made
    finally:
        made.close_all()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with a_pipe() as made:
        yield made


# -- text in -----------------------------------------------------------------------------------------------------------


async def test_each_bit_of_text_is_there_before_the_next_is_written(pipe: Pipe) -> None:
    async with aclosing(text_from(pipe.reader)) as text, asyncio.timeout(PATIENCE_S):
        for bit in ("Grüß", " ", "dich.", "\n", "नमस्ते"):
            os.write(pipe.writer, bit.encode())
            assert await anext(text) == bit
        pipe.close(pipe.writer)
        assert [rest async for rest in text] == []


async def read_all(*chunks: bytes) -> list[str]:
    """What is read of `chunks`, each written when all of the one before has been read."""
    texts = []
    with a_pipe() as pipe:
        async with aclosing(text_from(pipe.reader)) as text, asyncio.timeout(PATIENCE_S):
            waiting = asyncio.create_task(anext(text, None))
            for chunk in chunks:
                os.write(pipe.writer, chunk)
            pipe.close(pipe.writer)
            while (bit := await waiting) is not None:
                texts.append(bit)
                waiting = asyncio.create_task(anext(text, None))
    return texts


@given(st.text(max_size=40).filter(lambda text: not text.startswith("\ufeff")), st.data())
async def test_a_character_cut_in_two_is_one(text: str, data: st.DataObject) -> None:
    encoded = text.encode()
    cut = data.draw(st.integers(0, len(encoded)))
    with a_pipe() as pipe:
        async with aclosing(text_from(pipe.reader)) as arriving, asyncio.timeout(PATIENCE_S):
            first = encoded[:cut].decode(errors="ignore")
            os.write(pipe.writer, encoded[:cut])
            assert not first or await anext(arriving) == first
            os.write(pipe.writer, encoded[cut:])
            pipe.close(pipe.writer)
            assert first + "".join([bit async for bit in arriving]) == text


@pytest.mark.parametrize(
    "chunks, text",
    [
        ([b"\xef\xbb\xbfHi"], "Hi"),
        ([b"\xef", b"\xbb\xbfHi"], "Hi"),
        (["Hi\ufeff".encode()], "Hi\ufeff"),
        (["\ufeff\ufeffHi".encode()], "\ufeffHi"),
        ([b"\xef\xbb\xbf"], ""),
        ([], ""),
    ],
)
async def test_a_byte_order_mark_is_no_text_at_the_beginning(chunks: list[bytes], text: str) -> None:
    assert "".join(await read_all(*chunks)) == text


@pytest.mark.parametrize(
    "data, at",
    [
        (b"\xff", 0),
        (b"Hi \xff", 3),
        (b"Gr\xc3\xbc\xc3", 4),
        (b"Gr\xc3(", 2),
        (b"\xef\xbb\xbfHi\x80", 5),
        (b"euro \xe2\x82", 5),
    ],
)
async def test_what_is_not_utf_8_is_told_with_its_place(data: bytes, at: int) -> None:
    with pytest.raises(ConfigError, match=f"^standard input: byte {at} is not UTF-8$"):
        await read_all(data)


async def test_its_place_counts_from_the_beginning_however_it_is_cut(pipe: Pipe) -> None:
    async with aclosing(text_from(pipe.reader)) as text, asyncio.timeout(PATIENCE_S):
        os.write(pipe.writer, b"\xef\xbb\xbfHi \xc3")
        assert await anext(text) == "Hi "
        os.write(pipe.writer, b"(")
        with pytest.raises(ConfigError, match="byte 6 is not UTF-8"):
            await anext(text)


async def all_of(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        return "".join([bit async for bit in text_from(fd)])
    finally:
        os.close(fd)


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x" * 200_000)
    assert await all_of(tmp_path / "text") == "x" * 200_000
    assert await all_of(Path(os.devnull)) == ""


async def test_what_cannot_be_read_is_told(pipe: Pipe) -> None:
    with pytest.raises(ConfigError, match="standard input: cannot be read: Bad file descriptor"):
        await anext(text_from(pipe.writer))


async def test_nobody_waits_for_text_that_never_comes(pipe: Pipe) -> None:
    waiting = asyncio.ensure_future(anext(text_from(pipe.reader)))
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait([waiting])
    assert waiting.cancelled()


# -- bytes out ---------------------------------------------------------------------------------------------------------


async def taken(fd: int, size: int) -> bytes:
    """`size` bytes of what is read there."""
    data = b""
    while len(data) < size:
        data += await asyncio.to_thread(os.read, fd, size - len(data))
    return data


async def test_all_is_written_in_order(pipe: Pipe) -> None:
    chunks = [bytes([number]) * (BIG // 8) for number in range(8)]
    reading = asyncio.create_task(taken(pipe.reader, BIG))
    async with asyncio.timeout(PATIENCE_S), PipeWriter(pipe.writer, most_bytes=1000) as out:
        for chunk in chunks:
            await out.write(chunk)
        await out.write(b"")
    assert await reading == b"".join(chunks)


async def test_each_chunk_is_there_before_the_next_is_given(pipe: Pipe) -> None:
    async with asyncio.timeout(PATIENCE_S), PipeWriter(pipe.writer, most_bytes=BIG) as out:
        for chunk in (b"a", b"bc"):
            await out.write(chunk)
            assert await taken(pipe.reader, len(chunk)) == chunk


async def test_whoever_writes_waits_for_a_slow_player_and_nobody_else_does(pipe: Pipe) -> None:
    async with asyncio.timeout(PATIENCE_S), PipeWriter(pipe.writer, most_bytes=BIG) as out:
        await out.write(bytes(BIG))  # fills the pipe, and this much may wait
        more = asyncio.create_task(out.write(bytes(BIG)))
        await taken(pipe.reader, 1000)
        assert not more.done()
        await taken(pipe.reader, BIG)
        await more
        await taken(pipe.reader, BIG - 1000)


@pytest.mark.parametrize("error", [None, ConfigError("of what comes next")])
async def test_at_its_end_it_waits_until_all_is_written(pipe: Pipe, error: ConfigError | None) -> None:
    async def write() -> None:
        with contextlib.suppress(ConfigError):
            async with PipeWriter(pipe.writer, most_bytes=BIG) as out:
                await out.write(bytes(BIG))
                if error:
                    raise error

    async with asyncio.timeout(PATIENCE_S):
        writing = asyncio.create_task(write())
        await taken(pipe.reader, 1000)
        assert not writing.done()
        await taken(pipe.reader, BIG - 1000)
        await writing


async def test_a_player_that_leaves_is_a_broken_pipe(pipe: Pipe) -> None:
    pipe.close(pipe.reader)
    with pytest.raises(BrokenPipeError):
        async with asyncio.timeout(PATIENCE_S), PipeWriter(pipe.writer, most_bytes=BIG) as out:
            await out.write(b"audio")


async def test_what_cannot_be_written_is_told(pipe: Pipe) -> None:
    with pytest.raises(ConfigError, match="standard output: cannot be written: Bad file descriptor"):
        async with asyncio.timeout(PATIENCE_S), PipeWriter(pipe.reader, most_bytes=BIG) as out:
            await out.write(b"audio")


async def test_after_a_failure_nobody_waits_for_the_player(pipe: Pipe) -> None:
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(PATIENCE_S), PipeWriter(pipe.writer, most_bytes=BIG) as out:
            await out.write(bytes(BIG))
            raise ZeroDivisionError
