"""Calls through Plivo, all the way, those that we placed too."""

from __future__ import annotations

from bridge.emulators.call_report import Outcome
from bridge.emulators.carriers.plivo import PlivoPlacedExchange
from tests.support.every_carrier import told, words_in
from tests.support.hearing import SECOND
from tests.support.reopened import Reopened

CALLEE, OURS = "+15550003333", "+15550002222"


class TestPlivo(Reopened):
    carrier = "plivo"
    settings = {"auth_id": "MAXXXXXXXXXXXXXXXXXX"}

    async def test_a_call_that_was_placed_is_known_by_its_request(self) -> None:
        async with self.on_stage("waits_for_ever", SECOND) as s:
            placed = await s.server.runtime.place_call(
                "plivo", CALLEE, OURS, "tests.support.agents:says_its_texts"
            )
            report = await s.call(exchange=PlivoPlacedExchange, api=self.api)
            (heard,) = told(s)
        assert (s.the_call.id, s.the_call.placed_as) == (report.call_sid, placed)
        assert report.call_sid != placed
        assert report.outcome is Outcome.BRIDGE_CLOSED
        assert words_in(report.heard) == heard.text.split() == SECOND.split()
