"""Who presses keys in a try: scripts and pipes in no time, and a terminal that is given back as it was."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from bridge.cli.keyboards import (
    ENTER,
    LEAVES,
    NOTHING,
    SPEAKS,
    TYPED_KEY_S,
    Press,
    Terminal,
    Typed,
    lines_of,
    raw,
    strokes_at_terminal,
    strokes_of,
    words_of,
)
from bridge.errors import ConfigError


@pytest.mark.parametrize(
    "word, strokes",
    [
        ("", []),
        ("12*#", ["1", "2", "*", "#"]),
        ("aD", ["A", "D"]),
        ("s", [SPEAKS]),
        ("24-", ["2", "4", NOTHING]),
    ],
)
def test_a_word_is_keys(word: str, strokes: list[str]) -> None:
    assert strokes_of(word) == strokes


@pytest.mark.parametrize(
    "word, sign", [("12x", "'x'"), ("E", "'E'"), ("S", "'S'"), ("1+", "'+'"), ("²", "'²'")]
)
def test_what_is_no_key_is_named(word: str, sign: str) -> None:
    with pytest.raises(ValueError, match="is no key") as error:
        strokes_of(word)
    assert sign in str(error.value)


@pytest.mark.parametrize(
    "data, strokes",
    [
        (b"12", ["1", "2"]),
        (b"\r", [ENTER]),
        (b"\n", [ENTER]),
        (b"\x04", [LEAVES]),
        (b"s-", [SPEAKS, NOTHING]),
        (b"a", ["A"]),
        (b"\x1b[A\x1b[1;5C\x1bOA5", ["5"]),
        (b"\x1b", []),
        (b"xyz \x7f\xff", []),
    ],
)
def test_what_a_terminal_sends(data: bytes, strokes: list[str]) -> None:
    assert strokes_at_terminal(data) == strokes


def script(*words: str) -> Typed:
    return Typed(words_of([strokes_of(word) for word in words]))


async def test_a_script_types_when_it_is_waited_for() -> None:
    keyboard = script("1", "23")
    assert await keyboard.during(9) == Press(after_s=9), "it lets others finish"
    assert await keyboard.awaited(5) == Press("1", TYPED_KEY_S)
    assert await keyboard.awaited(5, first=False) == Press(after_s=5), "the word is over"
    assert await keyboard.awaited(0.1) == Press("2", 0.1)
    assert await keyboard.during(9) == Press("3"), "typed ahead"
    assert (await keyboard.awaited(5)).key == LEAVES


async def test_what_was_typed_ahead_is_forgotten() -> None:
    keyboard = script("123", "4")
    await keyboard.awaited(5)
    keyboard.forget()
    assert (await keyboard.awaited(5)).key == "4"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


async def test_each_line_is_a_word(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"1 2\n\ns\n#")
    os.close(pipe[1])
    assert [word async for word in lines_of(pipe[0])] == [["1", "2"], [], ["s"], ["#"]]


async def test_an_empty_line_is_enter(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"\n")
    os.close(pipe[1])
    keyboard = Typed(lines_of(pipe[0]))
    assert (await keyboard.awaited(5)).key == ENTER
    assert (await keyboard.awaited(5)).key == LEAVES


async def test_a_line_that_holds_no_keys_is_named(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"1\nhello\n")
    os.close(pipe[1])
    with pytest.raises(ConfigError, match="standard input: line 2: 'h' is no key"):
        [word async for word in lines_of(pipe[0])]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Whoever types, and the terminal."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


async def test_a_terminal_gives_keys_at_once(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    with raw(slave):
        keyboard = Terminal(slave)
        os.write(master, b"5")
        press = await keyboard.awaited(60)
        assert press.key == "5"
        assert press.after_s < 60
        assert await keyboard.during(0) == Press()
        os.write(master, b"67\n")
        assert (await keyboard.during(60)).key == "6"
        assert (await keyboard.during(60)).key == "7"
        assert (await keyboard.during(60)).key == ENTER
        os.write(master, b"\x04")
        assert (await keyboard.during(60)).key == LEAVES


async def test_a_terminal_forgets(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    with raw(slave):
        keyboard = Terminal(slave)
        os.write(master, b"12")
        assert (await keyboard.awaited(60)).key == "1"
        keyboard.forget()
        os.write(master, b"3")
        assert (await keyboard.awaited(60)).key == "3"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_a_terminal_is_given_back_as_it_was(
    terminal: tuple[int, int], error: type[BaseException] | None
) -> None:
    slave = terminal[1]
    before = termios.tcgetattr(slave)

    def used() -> None:
        with raw(slave):
            flags = termios.tcgetattr(slave)[3]
            assert not flags & termios.ECHO
            assert not flags & termios.ICANON
            assert flags & termios.ISIG, "Ctrl-C works"
            if error:
                raise error

    if error:
        with pytest.raises(error):
            used()
    else:
        used()
    assert termios.tcgetattr(slave) == before
