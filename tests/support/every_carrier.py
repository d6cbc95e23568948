"""Whole calls through a carrier, over real sockets: derive `WholeCalls`, name the carrier, and the tests are there.

Strategy:

- The same calls for all of them. Where carriers differ it is their own `Capabilities` that say so: no keys, so the
  caller speaks; no clear, so what was sent before the interruption is heard.
- Lightning speaks in tones, so what reached the caller is known word by word, whatever format was on the wire.
- What is judged is bytes and their order. What the agent was told is held against what the carrier's buffer played.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any, ClassVar, Final

import msgspec
import pytest

from bridge.carriers.capabilities import How
from bridge.carriers.carrier import Carrier
from bridge.carriers.registry import carrier_types
from bridge.config_tree import Section
from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.caller_plan import Misbehaviour
from bridge.emulators.caller_script import Action, Cue, Press, Utterance
from bridge.emulators.caller_webhooks import Signature
from bridge.emulators.exchange import Exchange
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.recording import ClearReceived, Faulted
from bridge.emulators.rest_stand_in import EmulatedRest, RestStandIn
from bridge.errors import CallEnded
from bridge.media.heard import Heard
from telephony_codecs.formats import MULAW_8K
from tests.support import agents
from tests.support.bridge import Stage, stage
from tests.support.carrier_cases import all_cases
from tests.support.hearing import FIRST, SECOND, VOCABULARY, VOICE, sent_to
from tests.support.tone_words import tones_in
from tests.support.waiting import until

#: So much of the bridge the caller listens to before interrupting it.
PATIENCE_MS: Final = 400.0
#: Audio comes faster than it is heard, but not so fast that it has all come when the caller interrupts.
PACED: Final = EmulatorOptions(first_byte_ms=50.0, realtime_factor=2.0)
_LIGHTNING: Final = {"voice_id": VOICE, "hedge_after_s": 0.0}


class WholeCalls:
    """The tests. Collected from classes that derive from this one and name a carrier."""

    carrier: ClassVar[str]
    #: How it calls, where that is not its first way.
    exchange: ClassVar[type[Exchange] | None] = None
    #: What else its section needs for these calls, besides what the table of cases has: for REST, say.
    settings: ClassVar[Mapping[str, object]] = {}
    #: Its REST API, once on stage, where it has one.
    api: EmulatedRest | None = None

    @property
    def kind(self) -> type[Carrier]:
        """What the bridge knows of the carrier."""
        return carrier_types()[self.carrier]

    def section(self) -> Section:
        """Its configuration, with secrets in it that its emulator knows."""
        return msgspec.structs.replace(all_cases()[self.carrier].section, **self.settings)

    @asynccontextmanager
    async def on_stage(self, agent: str, *texts: str, **settings: object) -> AsyncIterator[Stage]:
        """A bridge that serves this carrier, whose REST API is a stand-in on loopback where it has one."""
        section = msgspec.structs.replace(self.section(), **settings)
        async with AsyncExitStack() as stack:
            if (stand_in := stand_in_of(self.carrier, section)) is not None:
                self.api = await stack.enter_async_context(EmulatedRest(stand_in))
                section = msgspec.structs.replace(section, api_url=self.api.url)
            s = await stack.enter_async_context(
                stage(
                    f"tests.support.agents:{agent}",
                    lightning=PACED,
                    sections={"lightning": _LIGHTNING, "agent": {"options": {"texts": list(texts)}}},
                    carrier=self.carrier,
                    section=section,
                )
            )
            yield s

    async def call(self, s: Stage, *actions: Action, **changes: Any) -> CallReport:
        """Place a call, to its end."""
        return await s.call(*actions, exchange=self.exchange, api=self.api, **changes)

    # -- the tests -------------------------------------------------------------------------------------

    async def test_the_caller_hears_every_word_and_the_agent_hangs_up(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with self.on_stage("says_its_texts", SECOND) as s:
            report = await self.call(s)
            (heard,) = told(s)
            if self.kind.capabilities.hang_up is How.REST:
                await until(lambda: bool(self.api and self.api.stand_in.granted))
        assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert report.of(Faulted) == []
        assert words_in(sent_to(report)) == SECOND.split()
        assert words_in(report.heard) == SECOND.split()
        assert (heard.text, heard.interrupted) == (SECOND, False)
        assert (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1000)
        assert s.the_call.ended == "agent"

    async def test_an_interruption_is_silence_and_what_was_heard_is_known(
        self, request: pytest.FixtureRequest
    ) -> None:
        async with self.on_stage("answers_when_it_is_quiet", FIRST, SECOND) as s:
            report = await self.call(s, self._interruption(request))
            first, second = told(s)
        assert report.of(Faulted) == []
        assert first.by == ("digit" if self.kind.capabilities.dtmf else "speech")
        assert (second.text, second.interrupted) == (SECOND, False)
        assert report.outcome is Outcome.BRIDGE_CLOSED

        really, afterwards = self._apart(report)
        assert afterwards == SECOND.split(), "all of the new, and nothing of the old"
        assert really == FIRST.split()[: len(really)] and len(really) < len(FIRST.split())
        # The last word may have been cut just where it ended, or told a moment before it did.
        assert FIRST.startswith(first.text)
        assert len(really) - 1 <= len(first.text.split()) <= len(really) + 1

    async def test_the_caller_hangs_up(self) -> None:
        async with self.on_stage("waits_for_ever") as s:
            report = await self.call(s, hang_up_after_s=0.4)
            await until(lambda: bool(s.ended))
            (error,) = agents.log.pop(s.the_call.id)
        assert report.of(Faulted) == []
        assert (report.outcome, report.ok) == (Outcome.HUNG_UP, True)
        assert isinstance(error, CallEnded)
        assert s.the_call.ended in {"carrier", "carrier_lost"}
        assert s.server.runtime.stats.calls_started == 1

    @pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
    async def test_who_does_not_know_the_secret_is_turned_away(self, signature: Signature) -> None:
        wrong = Misbehaviour(webhook_signature=signature, upgrade_signature=signature)
        async with self.on_stage("says_its_texts", SECOND) as s:
            report = await self.call(s, hang_up_after_s=2.0, misbehaviour=wrong)
            assert s.nothing_started
        assert isinstance(self, WithToken) is self.kind.needs_token
        assert report.outcome in {Outcome.WEBHOOK_REFUSED, Outcome.STREAM_REFUSED}

    # -- where they differ -----------------------------------------------------------------------------

    def _interruption(self, request: pytest.FixtureRequest) -> Action:
        cue = Cue(after_bridge_speaks_ms=PATIENCE_MS)
        if self.kind.capabilities.dtmf:
            return Press("5", cue)
        return Utterance.from_wav(request.getfixturevalue("caller_voice"), cue)

    def _apart(self, report: CallReport) -> tuple[list[str], list[str]]:
        """The words that were heard of the utterance that was interrupted, and all that came after that."""
        if self.kind.capabilities.clear:
            (clear,) = report.of(ClearReceived)
            at = MULAW_8K.bytes_in(clear.at_ms - report.recording.began_ms)
            sent = [arrival.payload for arrival in report.recording.arrivals if arrival.at_ms > clear.at_ms]
            return words_in(report.heard[:at]), words_in(b"".join(sent))
        assert report.of(ClearReceived) == []
        words = words_in(report.heard)  # all that was sent is heard: the one follows the other
        first = next((n for n, word in enumerate(words) if word in SECOND.split()), len(words))
        return words[:first], words[first:]


class WithToken(WholeCalls):
    """The same, of a carrier whose streams must bring their call's one-time token."""

    @pytest.mark.parametrize("token", ["", "another"])
    async def test_a_stream_without_its_calls_token_is_turned_away(self, token: str) -> None:
        async with self.on_stage("says_its_texts", SECOND) as s:
            report = await self.call(s, hang_up_after_s=2.0, misbehaviour=Misbehaviour(token=token))
            assert s.nothing_started
        assert not report.ok


def told(s: Stage) -> list[Heard]:
    """What the agent of the one call learnt of its utterances."""
    learnt = agents.log.pop(s.the_call.id)
    return [heard for heard in learnt if isinstance(heard, Heard)]


def words_in(mulaw: bytes) -> list[str]:
    """The words that are heard whole in `mulaw`; each of them once, or this fails."""
    words = [word for word in VOCABULARY.words(tones_in(mulaw)) if word.whole]
    assert all(word.times == 1 for word in words)
    return [word.text for word in words]


def stand_in_of(carrier: str, section: Any) -> RestStandIn | None:
    """The carrier's REST API, if it has one that is stood in for."""
    name = f"bridge.emulators.carriers.{carrier}_rest"
    if find_spec(name) is None or not hasattr(section, "api_url"):
        return None
    made: RestStandIn = importlib.import_module(name).STAND_IN(section)
    return made
