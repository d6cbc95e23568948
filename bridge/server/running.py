"""An agent's run, to its end: its faults end its call and nothing else, and the caller is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final

from bridge.call import Call
from bridge.errors import BudgetSpent, CallEnded, LightningError, ListenOnly
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats
from bridge.plain_text import plain
from bridge.prompts import Prompt, apology, goodbye

log = logging.getLogger(__name__)

#: More of what an agent raised is for the log.
_MAX_CHARS: Final = 300


async def run_agent(call: Call, agent: Awaitable[None], stats: BridgeStats) -> None:
    """Wait for `agent`, which talks on `call`, and hang up. Raises nothing but its own cancellation."""
    try:
        await agent
    except CallEnded:
        return  # the ordinary way out when the caller hangs up first
    except ListenOnly as error:
        log.warning("%s", error)
        return  # the stream may go on being listened to
    except BudgetSpent:  # which the call has said in the log
        await _say(call, goodbye())
    except LightningError as error:
        log.error("call %s: the voice failed: %s", call.id, error)  # the caller has heard the apology
    except asyncio.CancelledError:
        if not call.ended:  # not our doing: it awaited something that was cancelled
            stats.agent_errors += 1
            log.error("call %s: the agent was cancelled", call.id)
            call.note(tl.AgentFailed, error="it was cancelled")
            await call.hang_up()
        raise
    except (Exception, SystemExit) as error:  # an agent that wants to exit must not take the process along
        stats.agent_errors += 1
        log.exception("call %s: the agent failed", call.id)
        call.note(tl.AgentFailed, error=plain(f"{type(error).__name__}: {error}", _MAX_CHARS))
        call.note_failed()
        await _say(call, apology())
    await call.hang_up()


async def _say(call: Call, last: Prompt) -> None:
    try:
        await call.play(last, interruptible=False, answers=False)
    except (CallEnded, ListenOnly):
        return
