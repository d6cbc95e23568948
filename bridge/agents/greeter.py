"""The built-in agent: greets, stops when interrupted, and answers when the caller falls silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from bridge.call import Call


class GreeterOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``[agent.options]`` of the greeter."""

    greeting: str = (
        "Hello! You are speaking with Lightning, over a plain telephone line. How can I help you today?"
    )
    reply: str = "Thank you. I have heard you, and I stopped talking the moment you began."
    #: Hang up when the caller has said nothing for this long; 0 waits for ever.
    goodbye_after_s: Annotated[float, Meta(ge=0)] = 30.0


async def greeter(call: Call) -> None:
    """Say `greeting`; each time the caller has spoken and fallen silent, say `reply`; hang up when nobody speaks."""
    options = msgspec.convert(dict(call.options), GreeterOptions)
    await call.say(options.greeting)
    async for _turn in call.turns(timeout_s=options.goodbye_after_s or None):
        await call.say(options.reply)
    await call.hang_up()


#: Lets a wrong ``[agent.options]`` be refused at start instead of in the first call.
greeter.options_type = GreeterOptions  # type: ignore[attr-defined]
