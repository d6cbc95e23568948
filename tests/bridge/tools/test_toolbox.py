"""Tools at work: whatever they do, the model gets a text, and the call goes on."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bridge.errors import BudgetSpent, CallEnded, ConfigError
from bridge.observe import timeline as tl
from bridge.observe.stats import AgentStats
from bridge.tools import Tool, Toolbox, ToolFailed, tool_of
from bridge.tools.toolbox import MAX_ARGUMENTS, MAX_RESULT

release = threading.Event()


def add(a: int, b: int = 1) -> dict[str, int]:
    """Add."""
    return {"sum": a + b}


async def add_later(a: int) -> str:
    """Add."""
    await asyncio.sleep(0)
    return str(a + 1)


def says_nothing() -> None:
    """Do."""


def says_much() -> str:
    """Do."""
    return "x" * 10_000


def says_half_a_character() -> str:
    """Do."""
    return "half \ud83d"


def says_an_object() -> object:
    """Do."""
    return {"at": threading.Lock}


def cannot() -> None:
    """Do."""
    raise ToolFailed("no table is free at eight")


def is_broken() -> None:
    """Do."""
    raise ValueError("postgres://user:password@db")


def exits() -> None:
    """Do."""
    sys.exit(3)


async def is_cancelled() -> None:
    """Do."""
    raise asyncio.CancelledError


async def exits_later() -> None:
    """Do."""
    sys.exit(3)


def blocks() -> None:
    """Do."""
    release.wait(10)


async def hangs() -> None:
    """Do."""
    await asyncio.get_running_loop().create_future()


async def will_not_be_cancelled() -> None:
    """Do."""
    while not release.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue


class Noted:
    """A toolbox, and what it has noted."""

    def __init__(self, *functions: Callable[..., object], deadline_s: float = 5.0) -> None:
        self.stats, self.ran = AgentStats(), list[tuple[str, str]]()
        tools = [tool_of(function, deadline_s=deadline_s) for function in functions]
        self.box = Toolbox(tools, self.stats, self._note)

    def _note(self, kind: object, *, name: str, took_ms: float, outcome: str) -> None:
        assert kind is tl.ToolRan
        assert took_ms >= 0
        self.ran.append((name, outcome))


FAILED = "failed: it did not work, and trying again will not help"


@pytest.mark.parametrize(
    "function, arguments, text, outcome",
    [
        (add, '{"a": 2}', '{"sum":3}', "done"),
        (add, '{"a": "2", "b": 5}', '{"sum":7}', "done"),
        (add_later, '{"a": 2}', "3", "done"),
        (says_nothing, "", "done", "done"),
        (says_much, "{}", "x" * MAX_RESULT + "… (the rest is left out)", "done"),
        (says_half_a_character, "{}", "half ?", "done"),
        (says_an_object, "{}", None, "done"),
        (cannot, "{}", "failed: no table is free at eight", "failed"),
        (is_broken, "{}", FAILED, "failed"),
        (exits, "{}", FAILED, "failed"),
        (exits_later, "{}", FAILED, "failed"),
        (is_cancelled, "{}", FAILED, "failed"),
        (add, "{}", "refused: Object missing required field `a`", "refused"),
        (add, '{"a": "x"}', "refused: Expected `int`, got `str` - at `$.a`", "refused"),
        (add, "not json", None, "refused"),
        (add, "[1]", None, "refused"),
        (add, "[" * 5000, None, "refused"),
        (add, '{"a": "\ud800"}', None, "refused"),
        (add, " " * (MAX_ARGUMENTS + 1), None, "refused"),
    ],
)  # fmt: skip
async def test_what_the_model_reads(
    function: Callable[..., object], arguments: str, text: str | None, outcome: str
) -> None:
    noted = Noted(function)
    result = await noted.box.run(function.__name__, arguments)
    assert (result.text if text is not None else None, result.outcome) == (text, outcome)
    assert noted.ran == [(function.__name__, outcome)]
    assert noted.stats.tools == {outcome: 1}
    assert "password" not in result.text


async def test_a_tool_that_is_not_there() -> None:
    noted = Noted(add, cannot)
    result = await noted.box.run("rm -rf /\n", "{}")
    assert result.text == "refused: there is no such tool; there are add, cannot"
    assert noted.ran == [("rm?-rf???", "refused")]


@pytest.mark.parametrize("function", [blocks, hangs, will_not_be_cancelled])
async def test_one_that_does_not_come_back_is_left_behind(function: Callable[..., object]) -> None:
    release.clear()
    noted = Noted(function, deadline_s=0.05)
    result = await noted.box.run(function.__name__, "")
    assert result.outcome == "late"
    assert result.text == "failed: it took too long, and whether it was done is not known"
    release.set()
    await asyncio.sleep(0.03)


async def test_a_blocking_tool_holds_up_nobody() -> None:
    release.clear()
    noted = Noted(blocks)
    task = asyncio.create_task(noted.box.run("blocks", ""))
    await asyncio.sleep(0)
    release.set()
    assert (await task).outcome == "done"


@pytest.mark.parametrize("error", [CallEnded("over"), BudgetSpent("tokens_per_call")])
async def test_what_ends_the_call_is_let_through(error: Exception) -> None:
    async def ends() -> None:
        """Do."""
        raise error

    with pytest.raises(type(error)):
        await Noted(ends).box.run("ends", "")


async def test_who_is_cancelled_cancels_its_tool() -> None:
    ended: list[str] = []

    async def waits() -> None:
        """Do."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("ended")

    task = asyncio.create_task(Noted(waits).box.run("waits", ""))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert task.cancelled()
    assert ended == ["ended"]


async def test_a_parameter_of_the_calls_type_is_given_the_call() -> None:
    class Line:
        number = "+1555"

    async def who(line: Line, polite: bool = False) -> str:
        """Tell."""
        return f"{line.number} {polite}"

    box = Toolbox([tool_of(who, {Line: Line()})], AgentStats(), lambda *_a, **_k: None)
    assert (await box.run("who", '{"polite": true}')).text == "+1555 True"
    assert (await box.run("who", '{"line": "+1900"}')).outcome == "refused"


@pytest.mark.parametrize("names", [("a", "a"), ("a b",), ("",)])
def test_names_must_be_ones(names: tuple[str, ...]) -> None:
    async def run(_arguments: dict[str, Any]) -> None: ...

    with pytest.raises(ConfigError, match="cannot be the name of another tool"):
        Toolbox([Tool(name, "", {}, run) for name in names], AgentStats(), lambda *_a, **_k: None)
