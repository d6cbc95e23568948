"""Function calls, put together from the bits that they come in. Pure.

Strategy:

- A call is complete when Hydra says so, or when its answer is: the contract has a message for the first, and not every
  server sends it. Each is given once.
- What one answer may ask for is bounded, in calls and in characters: the bits come from outside.

Facts, from the AsyncAPI contract `hydra-ws.yaml`: the name comes with the first bit, `arguments` whole with the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.errors import ProtocolError
from bridge.hydra.messages import ArgumentsDelta, ArgumentsDone

MAX_CALLS: Final = 16
MAX_CHARACTERS: Final = 65_536


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Hydra wants `name` called with `arguments`, a JSON object or what should be one."""

    call_id: str
    name: str
    arguments: str


class FunctionCalls:
    """Those of one answer."""

    def __init__(self) -> None:
        self._open: dict[str, FunctionCall] = {}
        self._given: set[str] = set()
        self._characters = 0

    def add(self, bit: ArgumentsDelta) -> None:
        """More of one.

        Raises:
            ProtocolError: it is too much.
        """
        before = self._of(bit.call_id)
        self._characters += len(bit.delta or "")
        self._check()
        arguments = before.arguments + (bit.delta or "")
        self._open[bit.call_id] = FunctionCall(bit.call_id, bit.name or before.name, arguments)
        self._check()

    def complete(self, done: ArgumentsDone) -> FunctionCall | None:
        """One is complete. None when it was given before.

        Raises:
            ProtocolError: it is too much.
        """
        if done.call_id in self._given:
            return None
        before = self._of(done.call_id)
        self._characters += len(done.arguments or "")
        self._given.add(done.call_id)
        self._check()
        self._open.pop(done.call_id, None)
        return FunctionCall(done.call_id, done.name or before.name, done.arguments or before.arguments)

    def rest(self) -> list[FunctionCall]:
        """The answer is over: those that nobody said were complete."""
        rest = [call for call in self._open.values() if call.call_id not in self._given]
        self._given |= self._open.keys()
        self._open.clear()
        return rest

    def _of(self, call_id: str) -> FunctionCall:
        return self._open.get(call_id) or FunctionCall(call_id, "", "")

    def _check(self) -> None:
        if self._characters > 2 * MAX_CHARACTERS or len(self._open) + len(self._given) > MAX_CALLS:
            raise ProtocolError("too many function calls, or too long ones", peer="hydra", kind="too_much")
