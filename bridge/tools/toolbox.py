"""Tools at work: with a deadline, off the event loop where they would block it, and never at the call's expense.

Strategy:

- Whatever a tool does, the model gets a text to go on from, and the call goes on. What exactly went wrong is for the
  log: a model repeats to the caller what it reads.
- Functions that are not async run in threads of their own. One that does not come back is left behind: its thread ends
  with the process, and there is a bound on such threads.
- Results are text or JSON, and no longer than a model can use.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from bridge.errors import BudgetSpent, CallEnded, ConfigError
from bridge.observe import timeline as tl
from bridge.observe.stats import AgentStats
from bridge.tools.schema import NAME, Description, describe

log = logging.getLogger(__name__)

T = TypeVar("T")
Outcome: TypeAlias = Literal["done", "failed", "late", "refused"]

#: How long a tool may take, unless it says otherwise: callers hear fillers meanwhile, and not for ever.
DEADLINE_S: Final = 15.0
#: What of a result a model gets to read, in characters.
MAX_RESULT: Final = 4000
#: What of the arguments is looked at, in characters.
MAX_ARGUMENTS: Final = 20_000
#: Threads of tools that have not come back, in the whole process.
MAX_THREADS: Final = 64
_THREADS: Final = threading.BoundedSemaphore(MAX_THREADS)


class ToolFailed(Exception):
    """Raised by a tool that could not do its work: its text is for the model, and so for the caller."""


class _Refused(Exception):
    """The model asked for what cannot be asked for; says why."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a tool: `text` is for the model."""

    text: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call.

    Attributes:
        name: letters, digits, ``_`` and ``-``.
        description: tells the model what it does, and when.
        parameters: JSON schema of an object.
        run: takes the arguments. Raises `msgspec.ValidationError` for those that are wrong, `ToolFailed` with a text
            for the model; anything else is a bug of the tool's.
        deadline_s: how long it may take.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[dict[str, Any]], Awaitable[object]]
    deadline_s: float = DEADLINE_S


def tool_of(
    function: Callable[..., object],
    given: Mapping[type, object] | None = None,
    *,
    deadline_s: float = DEADLINE_S,
    known: Description | None = None,
) -> Tool:
    """A tool of a typed function; one that is not async runs in a thread.

    Args:
        given: what parameters of these types get, which no model is asked for.
        known: what `describe` has made of it, so that it need not be asked again for every call.

    Raises:
        ConfigError: no model can be told of it.
    """
    given = given or {}
    known = known or describe(function, tuple(given))
    theirs = {name: given[kind] for name, kind in known.given.items()}
    is_async = inspect.iscoroutinefunction(function)

    async def run(wanted: dict[str, Any]) -> object:
        call = partial(function, **known.arguments(wanted), **theirs)
        result = call() if is_async else await _in_thread(call)
        return await result if isinstance(result, Awaitable) else result

    return Tool(known.name, known.description, known.parameters, run, deadline_s)


class Toolbox:
    """The tools of one call.

    Args:
        tools: what the model may call.
        stats: counts what came of them.
        note: puts an entry into the timeline.

    Raises:
        ConfigError: two tools have one name, or one has none that a model could use.
    """

    def __init__(self, tools: Iterable[Tool], stats: AgentStats, note: Callable[..., None]) -> None:
        self.tools: dict[str, Tool] = {}
        self._stats, self._note = stats, note
        for tool in tools:
            if tool.name in self.tools or not NAME.fullmatch(tool.name):
                raise ConfigError(f"{tool.name!r} cannot be the name of another tool")
            self.tools[tool.name] = tool

    def deadline_of(self, name: str) -> float:
        """How long the tool of that name may take."""
        return self.tools[name].deadline_s if name in self.tools else 0.0

    async def run(self, name: str, arguments: str) -> ToolResult:
        """Run the tool `name` with `arguments`, JSON as a model writes it.

        Raises:
            CallEnded: the tool ended the call, or found it ended.
            BudgetSpent: the call has cost what it may.
        """
        began_s = time.monotonic()
        result = await self._run(name, arguments)
        self._stats.tools[result.outcome] += 1
        took_ms = (time.monotonic() - began_s) * 1000
        self._note(
            tl.ToolRan, name=re.sub(r"[^\w-]", "?", name[:64]), took_ms=took_ms, outcome=result.outcome
        )
        return result

    async def _run(self, name: str, arguments: str) -> ToolResult:
        tool = self.tools.get(name)
        try:
            if tool is None:
                raise _Refused(f"there is no such tool; there are {', '.join(self.tools) or 'none'}")
            return ToolResult(_text(await _within(tool.deadline_s, tool.run(_decoded(arguments)))), "done")
        except (CallEnded, BudgetSpent):
            raise
        except TimeoutError:
            log.warning("tool %s took longer than %g s", name, tool.deadline_s if tool else 0)
            return ToolResult("failed: it took too long, and whether it was done is not known", "late")
        except (_Refused, msgspec.ValidationError) as error:
            return ToolResult(f"refused: {error}", "refused")
        except ToolFailed as error:
            return ToolResult(f"failed: {_text(str(error))}", "failed")
        except Exception:
            log.exception("tool %s failed", name)
            return ToolResult("failed: it did not work, and trying again will not help", "failed")


def _decoded(arguments: str) -> dict[str, Any]:
    if len(arguments) > MAX_ARGUMENTS:
        raise _Refused(f"the arguments are longer than {MAX_ARGUMENTS} characters")
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise _Refused(f"the arguments are not a JSON object: {error}") from None


def _text(result: object) -> str:
    """A result for the model to read."""
    if result is None:
        return "done"
    text = result if isinstance(result, str) else msgspec.json.encode(result, enc_hook=str).decode()
    text = text if len(text) <= MAX_RESULT else f"{text[:MAX_RESULT]}… (the rest is left out)"
    return text.encode(
        errors="replace"
    ).decode()  # half a character would keep the whole conversation from being sent


async def _within(deadline_s: float, work: Awaitable[T]) -> T:
    """What `work` returns. Work that will not be cancelled is left behind.

    Raises:
        TimeoutError: it takes longer than `deadline_s`.
    """
    task = asyncio.ensure_future(_contained(work))
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
        if not done:
            raise TimeoutError
    finally:
        task.cancel()
    return task.result()


async def _contained(work: Awaitable[T]) -> T:
    """A tool that wants to exit must not take the process along, nor one that was cancelled its call."""
    try:
        return await work
    except SystemExit as error:
        raise RuntimeError("it wanted to exit") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("it was cancelled") from error


async def _in_thread(call: Callable[[], T]) -> T:
    """What `call` returns, in a thread that keeps nobody from leaving."""
    if not _THREADS.acquire(blocking=False):
        raise RuntimeError(f"{MAX_THREADS} threads of tools have not come back")
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (call(), None)
        except BaseException as error:
            outcome = (None, RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
        finally:
            _THREADS.release()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=work, name="tool", daemon=True).start()
    return await future
