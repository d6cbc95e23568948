"""Who presses the keys in ``bridge flows try``: somebody at a terminal, a pipe, or a script.

Strategy:

- A keyboard is the clock, too: it tells what was pressed, and how long that took of the call's time. At a terminal
  that is real time. Who reads from a file answers at once, and when a flow waits for nothing, that takes no time.
- What is typed is decoded here: letters that no telephone has are not keys, and an arrow of the terminal is no ``A``.
- A terminal is given back as it was found, whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Final, Protocol

from bridge.cli.standard_streams import text_from
from bridge.errors import ConfigError

#: What is no key of a telephone, and means something all the same.
ENTER: Final = "\n"
NOTHING: Final = "-"
SPEAKS: Final = "s"
LEAVES: Final = "\x04"

#: How long somebody who types from a script takes for a key.
TYPED_KEY_S: Final = 0.25

_STROKES: Final = re.compile(r"[0-9A-Da-d*#s-]*")
_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|.)?")
_READ_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Press:
    """What the caller did after `after_s` seconds; an empty `key` is nothing, for all that time."""

    key: str = ""
    after_s: float = 0.0


class Keyboard(Protocol):
    """Whoever is on the line."""

    async def during(self, seconds: float) -> Press:
        """What is pressed while something plays that lasts so long."""

    async def awaited(self, seconds: float, *, first: bool = True) -> Press:
        """What is pressed while the caller is waited for, so long at most. `first`: nothing of it came so far."""

    def forget(self) -> None:
        """Drop what was typed and not asked for yet."""


def strokes_of(word: str) -> list[str]:
    """What somebody does who is given `word`: keys, ``-`` for nothing, ``s`` for speech.

    Raises:
        ValueError: it holds something else; says what.
    """
    if not _STROKES.fullmatch(word):
        wrong = next(sign for sign in word if not _STROKES.fullmatch(sign))
        raise ValueError(f"{wrong!r} is no key: write 0-9, *, #, A-D, - for nothing, or s for speech")
    return [stroke if stroke == SPEAKS else stroke.upper() for stroke in word]


class Typed:
    """A caller who types a word each time that the flow waits, and hangs up when there is none left.

    What is left of a word when the flow has enough is typed ahead.

    Args:
        words: each time the next; an empty one is Enter.
    """

    def __init__(self, words: AsyncIterator[list[str]]) -> None:
        self._words = words
        self._pending: deque[str] = deque()

    async def during(self, seconds: float) -> Press:
        return Press(self._pending.popleft()) if self._pending else Press(after_s=seconds)

    async def awaited(self, seconds: float, *, first: bool = True) -> Press:
        if first and not self._pending:
            self._pending.extend(await anext(self._words, [LEAVES]) or [ENTER])
        if self._pending:
            return Press(self._pending.popleft(), min(TYPED_KEY_S, seconds))
        return Press(after_s=seconds)

    def forget(self) -> None:
        self._pending.clear()


async def words_of(script: Sequence[list[str]]) -> AsyncIterator[list[str]]:
    """The words of a script, each at its time."""
    for word in script:
        yield word


async def lines_of(fd: int) -> AsyncIterator[list[str]]:
    """What each line holds that arrives at `fd`, as soon as it is there.

    Raises:
        ConfigError: a line holds what is no key.
    """
    number, rest = 1, ""
    async for text in text_from(fd):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            yield _strokes_of_line(line, number)
            number += 1
    if rest:
        yield _strokes_of_line(rest, number)


def _strokes_of_line(line: str, number: int) -> list[str]:
    try:
        return strokes_of("".join(line.split()))
    except ValueError as error:
        raise ConfigError(f"line {number}: {error}", source="standard input") from None


class Terminal:
    """Somebody at a terminal, in real time. Use it within `raw`.

    Args:
        fd: of the terminal.
        pace: how many times as fast as on a telephone what is played goes by; the caller has real time always.
    """

    def __init__(self, fd: int, pace: float = 1.0) -> None:
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._strokes: asyncio.Queue[str] = asyncio.Queue()
        Thread(target=self._read_all, args=(fd,), daemon=True).start()

    async def during(self, seconds: float) -> Press:
        return await self._next(seconds, self._pace)

    async def awaited(self, seconds: float, *, first: bool = True) -> Press:
        return await self._next(seconds, 1.0)

    def forget(self) -> None:
        while not self._strokes.empty():
            self._strokes.get_nowait()

    async def _next(self, seconds: float, pace: float) -> Press:
        began_s = self._loop.time()
        try:
            async with asyncio.timeout(seconds / pace):
                key = await self._strokes.get()
        except TimeoutError:
            return Press(after_s=seconds)
        return Press(key, min(seconds, (self._loop.time() - began_s) * pace))

    def _take(self, strokes: list[str]) -> None:
        for stroke in strokes:
            self._strokes.put_nowait(stroke)

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _read_all(self, fd: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            while True:
                try:
                    data = os.read(fd, _READ_BYTES)
                except OSError:
                    data = b""  # the terminal is gone
                self._loop.call_soon_threadsafe(self._take, strokes_at_terminal(data) if data else [LEAVES])
                if not data:
                    return


def strokes_at_terminal(data: bytes) -> list[str]:
    """What was pressed, of the bytes that a terminal sends; what means nothing is left out."""
    text = _ESCAPE_SEQUENCE.sub("", data.decode("utf-8", "replace")).replace("\r", ENTER)
    known = (ENTER, LEAVES, NOTHING, SPEAKS)
    return [
        sign if sign in known else sign.upper() for sign in text if sign in known or _STROKES.fullmatch(sign)
    ]


@contextlib.contextmanager
def raw(fd: int) -> Iterator[None]:
    """Within it, the terminal `fd` gives each key as it is pressed, and shows none. Ctrl-C works as ever.

    Where there are no such terminals, nothing changes: keys come with Enter.
    """
    restore = _unbuffered(fd)
    try:
        yield
    finally:
        restore()


def _unbuffered(fd: int) -> Callable[[], None]:
    try:
        import termios
        import tty
    except ImportError:  # Windows
        return lambda: None
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    return lambda: termios.tcsetattr(fd, termios.TCSAFLUSH, before)
