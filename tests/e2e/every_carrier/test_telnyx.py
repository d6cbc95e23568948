"""Calls through Telnyx, all the way: TeXML, Call Control, and a socket that is lost and opened again."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.emulators.call_report import Outcome
from bridge.emulators.caller_plan import Misbehaviour, new_sid
from bridge.emulators.caller_script import Cue, Press
from bridge.emulators.caller_webhooks import Answer
from bridge.emulators.carriers.telnyx import TelnyxControlExchange, TelnyxExchange
from bridge.emulators.twiml import StreamOrder
from bridge.secret import Secret
from tests.support.every_carrier import WithToken, told, words_in
from tests.support.hearing import SECOND


class TestTelnyx(WithToken):
    carrier = "telnyx"
    settings = {"api_key": Secret("KEY0")}

    async def test_a_socket_that_is_opened_again_goes_on_with_its_call(self) -> None:
        call_id, ordered = new_sid("v3:"), Ordered()
        async with self.on_stage("says_its_texts_when_a_key_is_pressed", SECOND) as s:
            lost = await s.call(
                exchange=ordered.first(),
                call_sid=call_id,
                hang_up_after_s=0.3,
                misbehaviour=Misbehaviour(vanish=True),
            )
            again = await s.call(Press("5", Cue(at_s=0.1)), exchange=ordered.again(), call_sid=call_id)
            (heard,) = told(s)
        assert lost.stream_sid != again.stream_sid
        assert again.outcome is Outcome.BRIDGE_CLOSED
        assert words_in(again.heard) == heard.text.split() == SECOND.split()
        assert s.server.runtime.stats.calls_started == 1


class TestTelnyxCallControl(WithToken):
    carrier = "telnyx"
    exchange = TelnyxControlExchange
    settings = {"api_key": Secret("KEY0")}


@dataclass
class Ordered:
    """What the webhook's answer asked for, which Telnyx keeps for the next socket."""

    orders: list[StreamOrder] = field(default_factory=list)

    def first(self) -> type[TelnyxExchange]:
        """Telnyx, with its ears open."""
        orders = self.orders

        class First(TelnyxExchange):
            def understand(self, answer: Answer | None) -> StreamOrder | None:
                order = super().understand(answer)
                orders.extend([order] if order else [])
                return order

        return First

    def again(self) -> type[TelnyxExchange]:
        """Telnyx, which has lost a socket."""
        (order,) = self.orders

        class Again(TelnyxExchange):
            def announce(self) -> None:  # type: ignore[override]
                return None

            def understand(self, answer: Answer | None) -> StreamOrder | None:
                return order

        return Again
