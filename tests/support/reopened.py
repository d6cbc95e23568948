"""Calls whose socket is lost and opened again, by a carrier that does so: derive `Reopened`, as of `WholeCalls`."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.caller_plan import Misbehaviour, new_sid
from bridge.emulators.caller_script import Action, Cue, Press
from bridge.emulators.caller_webhooks import Answer
from bridge.emulators.exchange import Exchange, exchange_type
from bridge.emulators.twiml import StreamOrder
from tests.support.bridge import Stage
from tests.support.every_carrier import WithToken, told, words_in
from tests.support.hearing import FIRST, SECOND


class Reopened(WithToken):
    """The tests."""

    async def test_a_socket_that_is_opened_again_goes_on_with_its_call(self) -> None:
        async with self.on_stage("says_its_texts_when_a_key_is_pressed", SECOND) as s:
            lost, again = await self._twice(s, 0.3, Press("5", Cue(at_s=0.1)))
            (heard,) = told(s)
        assert lost.stream_sid != again.stream_sid
        assert again.outcome is Outcome.BRIDGE_CLOSED
        assert words_in(again.heard) == heard.text.split() == SECOND.split()
        assert s.server.runtime.stats.calls_started == 1

    async def test_what_was_being_said_goes_on_too(self) -> None:
        async with self.on_stage("says_its_texts", FIRST) as s:
            lost, again = await self._twice(s, 1.0)
            (heard,) = told(s)
        before, after = words_in(lost.heard), words_in(again.heard)
        assert before and after
        assert FIRST.startswith(" ".join(before)) and FIRST.endswith(" ".join(after))
        assert 0 <= len(FIRST.split()) - len(before) - len(after) <= 2, (
            "but for what the lost line still held"
        )
        assert (heard.text, heard.interrupted) == (FIRST, False)
        assert (again.outcome, s.the_call.ended) == (Outcome.BRIDGE_CLOSED, "agent")

    async def _twice(
        self, s: Stage, vanishes_after_s: float, *actions: Action
    ) -> tuple[CallReport, CallReport]:
        """One call on two sockets, of which the first breaks; `actions` are for the second."""
        call_id, ordered = new_sid(""), Ordered(exchange_type(self.carrier))
        lost = await s.call(
            exchange=ordered.first(),
            call_sid=call_id,
            hang_up_after_s=vanishes_after_s,
            misbehaviour=Misbehaviour(vanish=True),
        )
        return lost, await s.call(*actions, exchange=ordered.again(), call_sid=call_id)


@dataclass
class Ordered:
    """What the webhook's answer asked for, which the carrier, a `kind` of exchange, keeps for the next socket."""

    kind: type[Exchange]
    orders: list[StreamOrder] = field(default_factory=list)

    def first(self) -> type[Exchange]:
        """The carrier, with its ears open."""
        orders, kind = self.orders, self.kind

        class First(kind):  # type: ignore[valid-type,misc]
            def understand(self, answer: Answer | None) -> StreamOrder | None:
                order: StreamOrder | None = super().understand(answer)
                orders.extend([order] if order else [])
                return order

        return First

    def again(self) -> type[Exchange]:
        """The carrier, which has lost a socket."""
        (order,), kind = self.orders, self.kind

        class Again(kind):  # type: ignore[valid-type,misc]
            def announce(self) -> None:
                return None

            def understand(self, answer: Answer | None) -> StreamOrder | None:
                return order

        return Again
