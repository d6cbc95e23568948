"""What a model may do with the call itself: end it, hand the caller on, press keys.

Strategy:

- A caller can talk a model into anything. So what it may do is settled here: it names a target of the allow-list, and
  never a number; it presses keys, and few.
- Nothing cuts short what the caller is hearing: each of them waits until that has been heard.

Facts, from the shared reference on reliability, threat T13 (transfer targets by name).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from bridge.errors import CarrierError
from bridge.tools import Tool, ToolFailed, tool_of

if TYPE_CHECKING:
    from bridge.call import Call

HANG_UP: Final = "hang_up"
#: What the tools of a call may be named: no other tool may.
NAMES: Final = frozenset({HANG_UP, "send_digits", "transfer"})
#: After these a model need not say anything: a machine at the other end goes on by itself.
NEED_NO_WORDS: Final = frozenset({"send_digits"})
#: The goodbye is heard within it.
DEADLINE_S: Final = 120.0
#: Keys that a model may press at once.
MAX_KEYS: Final = 20


def call_tools(
    call: Call, transfer_to: Mapping[str, str], when_heard: Callable[[], Awaitable[None]]
) -> list[Tool]:
    """The tools of `call`.

    Args:
        transfer_to: whom the caller may be handed on to: a name, and a number or what else the carrier can dial.
        when_heard: returns when the caller has heard what has been said so far.
    """

    async def hang_up() -> None:
        """End the call. Say goodbye first, in the same answer; it is heard to its end."""
        await when_heard()
        await call.hang_up()

    async def send_digits(
        digits: Annotated[str, "0-9, *, #, A-D; w is a pause of half a second"],
    ) -> str:
        """Press keys on the telephone, for a machine at the other end."""
        if len(digits) > MAX_KEYS:
            raise ToolFailed(f"no more than {MAX_KEYS} keys at once")
        await when_heard()
        try:
            await call.send_digits(digits.replace(" ", ""))
        except ValueError as error:
            raise ToolFailed(str(error)) from None
        except CarrierError:
            raise ToolFailed("keys cannot be pressed on this line") from None
        return "pressed"

    tools = [tool_of(hang_up, deadline_s=DEADLINE_S), tool_of(send_digits, deadline_s=DEADLINE_S)]
    return [*tools, _transfer(call, transfer_to, when_heard)] if transfer_to else tools


def _transfer(call: Call, transfer_to: Mapping[str, str], when_heard: Callable[[], Awaitable[None]]) -> Tool:
    async def transfer(to: str) -> str:
        """Hand the caller on to somebody else. Say so first, in the same answer. It ends your part of the call."""
        await when_heard()
        try:
            await call.transfer(transfer_to[to])
        except CarrierError:
            raise ToolFailed(f"{to} cannot be reached now; the caller is still with you") from None
        return "handed on"

    names: Any = Literal[tuple(transfer_to)]
    transfer.__annotations__["to"] = Annotated[names, "whom to"]
    return tool_of(transfer, deadline_s=DEADLINE_S)
