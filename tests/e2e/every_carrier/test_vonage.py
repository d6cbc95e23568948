"""Calls through Vonage, all the way: at all its rates, asked with GET, and handed on."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import msgspec

from bridge.carriers.vonage_tokens import webhook_header
from bridge.emulators.call_report import Outcome
from bridge.emulators.carriers.vonage import VonageExchange
from bridge.emulators.exchange import HttpAsk
from bridge.emulators.recording import Faulted
from bridge.emulators.twiml import Verb
from tests.support.every_carrier import WithToken, words_in
from tests.support.hearing import SECOND


class TestVonage(WithToken):
    carrier = "vonage"

    async def test_a_call_may_be_announced_with_get(self) -> None:
        async with self.on_stage("says_its_texts", SECOND) as s:
            report = await s.call(exchange=AsksWithGet)
        assert words_in(report.heard) == SECOND.split()
        assert (s.the_call.from_number, s.the_call.to_number) == ("anonymous & co.", "15550100002")
        assert s.the_call.ended == "agent"

    async def test_a_get_whose_query_was_changed_is_refused(self) -> None:
        async with self.on_stage("says_its_texts", SECOND) as s:
            report = await s.call(exchange=ChangesItsMind)
            assert s.nothing_started
        assert report.outcome is Outcome.WEBHOOK_REFUSED

    async def test_a_caller_is_handed_on_by_the_answer_to_the_socket_s_end(self) -> None:
        async with self.on_stage("hands_the_caller_on", "+15550100009") as s:
            plan = s.plan()
            report = await self.call(s)
        ours = plan.to_number.lstrip("+")
        assert report.verbs == (Verb("connect", {"from": ours}, "15550100009"),)
        assert s.the_call.ended == "transferred"
        assert report.of(Faulted) == []


class TestVonageAt16kHz(WithToken):
    """Every message must have 640 bytes, or the simulated Vonage drops the socket as the real one does."""

    carrier = "vonage"
    settings = {"rate_hz": 16000}


class TestVonageAt24kHz(WithToken):
    """The same with 960."""

    carrier = "vonage"
    settings = {"rate_hz": 24000}


class AsksWithGet(VonageExchange):
    """An application whose answer webhook is left as it comes: GET."""

    def announce(self) -> HttpAsk:
        fields = {
            "to": "15550100002",
            "from": "anonymous & co.",
            "uuid": self.call_id,
            "conversation_uuid": f"CON-{self.call_id}",
            "SipHeader_X-Name": "Zoë",
        }
        section = self.section
        claims = {"api_key": section.api_key, "application_id": section.application_id}
        proof = webhook_header(section.signature_secret, msgspec.json.encode(fields), time.time(), **claims)
        return HttpAsk(f"{self.addresses.answer_url}?{urlencode(fields)}", "GET", proof)


class ChangesItsMind(AsksWithGet):
    """Somebody in between, who has seen a request that was signed."""

    def announce(self) -> HttpAsk:
        ask = super().announce()
        return HttpAsk(ask.url.replace("15550100002", "15550100003"), "GET", ask.headers)
