"""Calls through Twilio, all the way."""

from __future__ import annotations

from urllib.parse import parse_qsl

from bridge.emulators.carriers.twilio import SOME_ACCOUNT
from bridge.emulators.recording import Faulted
from bridge.emulators.twiml import Verb, parse_twiml
from bridge.errors import ListenOnly
from tests.support import agents
from tests.support.every_carrier import WithToken


class TestTwilio(WithToken):
    carrier = "twilio"

    async def test_a_call_that_is_only_listened_to_is_told_nothing_and_ended_through_rest(self) -> None:
        settings = {"listen_only": True, "account_sid": SOME_ACCOUNT}
        async with self.on_stage("finds_that_it_may_only_listen", **settings) as s:
            report = await self.call(s)
            (error,) = agents.log.pop(s.the_call.id)
            api = self.api
            assert api is not None
            await api.until_granted(lambda request: b"Status=completed" in request.body or None)
        assert isinstance(error, ListenOnly)
        assert (report.recording.arrivals, report.of(Faulted)) == ([], [])
        assert [verb.name for verb in report.verbs] == ["Pause"]

    async def test_a_caller_is_handed_on_by_new_twiml(self) -> None:
        async with self.on_stage("hands_the_caller_on", "+15550100009", account_sid=SOME_ACCOUNT) as s:
            report = await self.call(s)
            assert self.api is not None
            (changed,) = self.api.stand_in.granted
        assert s.the_call.ended == "transferred"
        twiml = dict(parse_qsl(changed.body.decode()))["Twiml"]
        assert parse_twiml(twiml).verbs[0] == Verb("Dial", text="+15550100009")
        assert changed.url.endswith(f"/Calls/{report.call_sid}.json")
