"""An event loop whose clock is set by its timers: hours pass in no time, and always in the same way."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

#: Longer than anything that a test waits for, in the loop's own seconds.
FOR_EVER_S = 300.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """When nothing is left to do, the time of the next timer has come. Only for what needs no sockets."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__(_Instant(self))

    def time(self) -> float:
        return self.now_s


class _Instant(selectors.SelectSelector):
    """Waits by setting the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits, and for nothing that will ever come")
        # A turn of the loop takes time, though hardly any. A clock that stood still would trap whoever looks too early
        # by less than floating point can add, and sets a timer for the rest.
        self._loop.now_s = math.nextafter(self._loop.now_s + max(0.0, timeout), math.inf)
        return super().select(0)


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main` to its end on a loop of its own.

    Raises:
        TimeoutError: it has waited for ever.
    """

    async def bounded() -> T:
        async with asyncio.timeout(FOR_EVER_S):
            return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test, or a scenario of one, in virtual time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtually(lambda: test(*args, **kwargs))

    return run
