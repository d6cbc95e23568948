"""Calls through Genesys, all the way: handed on, coming back, and probes that are no calls."""

from __future__ import annotations

import asyncio

from bridge.carriers.genesys import NO_CONVERSATION
from bridge.emulators.call_report import Outcome
from bridge.emulators.caller_plan import Misbehaviour
from bridge.emulators.carriers.genesys import GenesysExchange, GenesysLine, State
from bridge.emulators.recording import CallRecording, Faulted
from bridge.emulators.twiml import StreamOrder
from bridge.media.heard import Heard
from tests.support import agents
from tests.support.every_carrier import WholeCalls, words_in
from tests.support.hearing import SECOND
from tests.support.waiting import until


class TestGenesys(WholeCalls):
    carrier = "genesys"

    async def test_the_flow_learns_whom_to_connect(self) -> None:
        lines: list[GenesysLine] = []
        async with self.on_stage("hands_the_caller_on", "+15550100009") as s:
            report = await s.call(exchange=watched(lines))
            await until(lambda: bool(s.ended))
        (line,) = lines
        assert line.output_variables == {"outcome": "transfer", "transfer_to": "+15550100009"}
        assert (s.the_call.ended, s.the_call.transfer_to) == ("transferred", "+15550100009")
        assert (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1000)
        assert line.state is State.CLOSED, "closed came before the socket was closed, and Genesys closed it"
        assert report.of(Faulted) == []

    async def test_a_conversation_may_come_back(self) -> None:
        conversation = "7f3a5c1e-0000-4000-8000-000000000007"
        async with self.on_stage("says_its_texts", SECOND) as s:
            for _ in range(2):
                report = await s.call(call_sid=conversation)
                assert words_in(report.heard) == SECOND.split()
                assert report.of(Faulted) == []
                await until(lambda: not s.server.runtime.calls)
            learnt = [heard for heard in agents.log.pop(conversation) if isinstance(heard, Heard)]
        assert [(heard.text, heard.interrupted) for heard in learnt] == [(SECOND, False)] * 2
        assert [call.ended for call in s.ended] == ["agent", "agent"]
        assert {call.id for call in s.ended} == {conversation}

    async def test_who_is_turned_away_is_told_in_the_words_of_the_protocol(self) -> None:
        conversation = "7f3a5c1e-0000-4000-8000-000000000008"
        lines: list[GenesysLine] = []
        async with self.on_stage("waits_for_ever") as s:
            first = asyncio.create_task(s.call(call_sid=conversation))
            await until(lambda: conversation in s.server.runtime.calls)
            twin = await s.call(call_sid=conversation, exchange=watched(lines))
            assert s.server.runtime.stats.media_refused["second_stream"] == 1
            await s.server.runtime.calls[conversation].hang_up()
            await first
        (line,) = lines
        assert line.output_variables == {"outcome": "failed"}
        assert (line.state, twin.of(Faulted)) == (State.CLOSED, [])

    async def test_a_probe_is_no_call(self) -> None:
        lines: list[GenesysLine] = []
        probe = Misbehaviour(start_call_sid=NO_CONVERSATION)
        async with self.on_stage("says_its_texts", SECOND) as s:
            report = await s.call(exchange=watched(lines), misbehaviour=probe, hang_up_after_s=0.2)
            assert s.nothing_started
        assert [line.state for line in lines] == [State.CLOSED]
        assert (report.outcome, report.of(Faulted)) == (Outcome.HUNG_UP, [])


def watched(lines: list[GenesysLine]) -> type[GenesysExchange]:
    """Genesys, with its end of each session put into `lines`."""

    class Watched(GenesysExchange):
        def line(self, order: StreamOrder, recording: CallRecording) -> GenesysLine:
            lines.append(super().line(order, recording))
            return lines[-1]

    return Watched
