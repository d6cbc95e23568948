"""Calls through jambonz, all the way: at two rates, and handed on."""

from __future__ import annotations

from bridge.emulators.recording import Faulted
from bridge.emulators.twiml import Verb
from bridge.secret import Secret
from tests.support.every_carrier import WithToken


class TestJambonz(WithToken):
    carrier = "jambonz"

    async def test_a_caller_is_handed_on_by_the_answer_to_the_action_hook_alone(self) -> None:
        async with self.on_stage(
            "hands_the_caller_on", "+15550100009", account_sid="ee09d8c0", api_key=Secret("an-api-key")
        ) as s:
            report = await self.call(s)
            assert self.api is not None
            assert self.api.stand_in.granted == []
        assert report.verbs == (Verb("dial", text="+15550100009"), Verb("hangup"))
        assert s.the_call.ended == "transferred"
        assert report.of(Faulted) == []


class TestJambonzAt16kHz(WithToken):
    """Where samples of -1 do occur: the resampler makes them."""

    carrier = "jambonz"
    settings = {"rate_hz": 16000}
