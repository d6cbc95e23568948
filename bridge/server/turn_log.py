"""How long callers waited: of the calls that are on, and of the last ones that ended. No word of theirs is in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from bridge.call import Call
from bridge.observe.latency import CallTurns

#: Calls that ended and are remembered.
REMEMBERED_CALLS: Final = 200
#: Names the newest call.
LAST: Final = "last"


class TurnLog:
    """The waits of the calls of a process.

    Args:
        live: the calls that are on, by their ids.
    """

    def __init__(self, live: Mapping[str, Call]) -> None:
        self._live = live
        self._ended: OrderedDict[str, tuple[float, CallTurns]] = OrderedDict()

    def keep(self, call: Call) -> None:
        """The call is over."""
        self._ended[call.id] = (call.started_s, _turns_of(call))
        self._ended.move_to_end(call.id)
        if len(self._ended) > REMEMBERED_CALLS:
            self._ended.popitem(last=False)

    def of(self, call_id: str) -> CallTurns | None:
        """The turns of a call, by its id, by what `place_call` returned for it, or by `LAST`; None: unknown."""
        if call_id == LAST:
            return self._newest()
        for call in self._live.values():
            if call_id in (call.id, call.placed_as):
                return _turns_of(call)
        return self._ended[call_id][1] if call_id in self._ended else None

    def _newest(self) -> CallTurns | None:
        begun = [(call.started_s, _turns_of(call)) for call in self._live.values()]
        newest = max((*begun, *self._ended.values()), key=lambda each: each[0], default=None)
        return newest[1] if newest else None


def _turns_of(call: Call) -> CallTurns:
    return CallTurns(call.id, call.carrier, call.ended, list(call.turn_clock.records))
