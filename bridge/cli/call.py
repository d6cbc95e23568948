"""``bridge call``: an agent calls somebody.

Where a bridge runs on this machine, it is asked to place the call. Where none does, one runs here until the call is
over: the callee's voice needs a server to come to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from bridge.cli.account import note, show_table
from bridge.cli.installation import checked_number, the_carrier
from bridge.cli.local_bridge import LocalBridge, local_bridge
from bridge.cli.running import ConfigPath, Text, log_to_stderr, run
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.call import Call
    from bridge.config import Config
    from bridge.server.runtime import Runtime

#: What the bridge that runs here gets to place a call: its own deadline for the carrier, and a little.
PLACED_WITHIN_S: Final = 20.0
#: How a call ends when nothing went wrong.
_WELL: Final = frozenset({"agent", "carrier"})


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to call, from which number, by which carrier, and who is to talk; empty is the configured agent."""

    via: str
    to: str
    from_number: str
    agent: str = ""


def call(
    *,
    via: str,
    to: str,
    from_number: Annotated[str, Parameter(name="--from")],
    agent: Text = "",
    answered_within_s: Annotated[float, Parameter(validator=Number(gt=0))] = 90.0,
    config: ConfigPath = None,
) -> int:
    """Have an agent call somebody.

    If a bridge runs on this machine (at server.port), it places the call, with the same server.admin_token if it has
    one, and the call's id is printed. Otherwise a bridge runs here until the call is over, and how it went is printed;
    Ctrl-C hangs up. Exit code 1 means that the call was not placed, not answered, or did not end well.

    Args:
        via: the carrier: twilio, telnyx, ...
        to: whom to call: +15550100001, or a SIP address where the carrier takes one.
        from_number: the number that the callee sees; one that the carrier lets you call from.
        agent: who talks, as module:function, instead of agent.entrypoint.
        answered_within_s: how long it may ring.
        config: a TOML file; BRIDGE_SECTION__KEY in the environment is read on top of it.
    """
    from bridge.config import load_config

    log_to_stderr("error")
    order = Order(via, checked_number(to, "--to"), checked_number(from_number, "--from"), agent)
    settings, source = load_config(config), str(config or "environment")
    _refuse_what_cannot_be(settings, order, source)
    return run(_place(settings, order, source, answered_within_s))


def _refuse_what_cannot_be(config: Config, order: Order, source: str) -> None:
    """Before anything is started or costs money.

    Raises:
        ConfigError: the carrier is not configured, or the agent cannot be loaded.
        Unsupported: the carrier places no calls.
    """
    from msgspec.structs import replace

    from bridge.agents.loader import load_agent
    from bridge.carriers.capabilities import How
    from bridge.errors import Unsupported

    carrier = the_carrier(config, order.via, source, option="--via")
    if carrier.capabilities.place_calls is How.NO:
        raise Unsupported("calls cannot be placed through it", carrier=order.via)
    if order.agent:
        load_agent(replace(config.agent, entrypoint=order.agent), "--agent")


async def _place(config: Config, order: Order, source: str, answered_within_s: float) -> int:
    async with local_bridge(config, PLACED_WITHIN_S) as bridge:
        if bridge is not None:
            print(f"call {await _ask_for_it(bridge, order)} is placed by the bridge at {bridge.url}")
            return 0
    return await _place_ourselves(config, order, source, answered_within_s)


async def _ask_for_it(bridge: LocalBridge, order: Order) -> str:
    """The id of the call that `bridge` has placed.

    Raises:
        ConfigError: it does not take our word.
        BridgeError: it has not placed it.
    """
    from bridge.carriers.rest import text_at

    asked = {"via": order.via, "to": order.to, "from": order.from_number, "agent": order.agent}
    answer, error = await bridge.post("/calls", asked, refusal="which places calls for nobody else")
    call_id = text_at(answer, "call_id")
    if answer.status == 202 and call_id:
        return call_id
    why = text_at(answer, "error") or error or f"HTTP {answer.status}"
    raise BridgeError(f"the bridge at {bridge.url} did not place the call: {why}")


# -- by one that runs for this call ------------------------------------------------------------------------------------


async def _place_ourselves(config: Config, order: Order, source: str, within_s: float) -> int:
    from bridge.server.serve import running

    async with running(config, source=source) as server:
        over = _Over(server.runtime)
        call_id = await server.runtime.place_call(order.via, order.to, order.from_number, order.agent)
        note(f"call {call_id}: ringing; Ctrl-C hangs up")
        async with _hanging_up(server.runtime, call_id):
            ended = await over.of(call_id, within_s)
    if ended is None:
        raise BridgeError(f"call {call_id} was not answered within {within_s:g} s, or did not come here")
    _tell(ended)
    return 0 if ended.ended in _WELL else 1


class _Over:
    """Waits for the end of a call, which may be known before the carrier has told the call's id."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ended: dict[str, Call] = {}
        self._news = asyncio.Event()
        runtime.on_ended.append(self._note)

    def _note(self, call: Call) -> None:
        self._ended[call.id] = call
        if call.placed_as:
            self._ended[call.placed_as] = call
        self._news.set()

    async def of(self, call_id: str, within_s: float) -> Call | None:
        """The call once it is over; None when it has not begun within `within_s`."""
        try:
            async with asyncio.timeout(within_s):
                await self._until(call_id)
        except TimeoutError:
            if self._runtime.live(call_id) is None:
                return None
            await self._until(call_id)
        return self._ended[call_id]

    async def _until(self, call_id: str) -> None:
        while call_id not in self._ended:
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def _hanging_up(runtime: Runtime, call_id: str) -> AsyncIterator[None]:
    """A Ctrl-C in the block hangs up, and shows how far the call has come."""
    try:
        yield
    except asyncio.CancelledError:
        live = runtime.live(call_id)
        if live is None:
            note(f"call {call_id} has not been answered; it may go on ringing for a while")
        else:
            await live.hang_up()
            _tell(live)
        raise


def _tell(call: Call) -> None:
    """How it went, in order."""
    from bridge.cli.demo_report import seen_by_bridge

    moments = ((f"{entry.at_ms:.0f}", seen_by_bridge(entry)) for entry in call.timeline)
    show_table(("MS", "WHAT"), [moment for moment in moments if moment[1]])
