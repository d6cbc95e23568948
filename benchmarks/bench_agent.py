"""The agent that the benchmark calls: silent until a key is pressed, then talking without end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.call import Call

#: Silence after an interruption, so that audio which comes late cannot be taken for the next utterance.
PAUSE_S = 1.5


async def agent(call: Call) -> None:
    """Listen until a digit comes (unless it is to begin at once), then speak; pause and speak again when interrupted.

    The text carries the number of the call: so the mock's first byte is matched with the line's first packet.
    """
    text = f"This is call {int(call.from_number[-7:])} and it has a good deal to say."
    if not call.options.get("at_once"):
        await call.gather(digits=1, timeout_s=3600)
    while True:
        heard = await call.say(text)
        if heard.interrupted:
            await asyncio.sleep(PAUSE_S)
