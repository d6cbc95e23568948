"""What the dialplan around Asterisk's WebSocket channel gets to see of a call, all the way."""

from __future__ import annotations

from bridge.call import Call
from bridge.emulators.call_report import Outcome
from bridge.emulators.carriers.asterisk import AsteriskExchange, AsteriskLine, Channel
from bridge.emulators.recording import CallRecording, Faulted
from bridge.emulators.twiml import StreamOrder, Verb
from tests.support.bridge import stage
from tests.support.carrier_cases import all_cases
from tests.support.every_carrier import WholeCalls
from tests.support.waiting import until

SECTION = all_cases()["asterisk"].section


class PlainText16k(AsteriskExchange):
    """``c(slin16)f(plain-text)``."""

    codec = "slin16"
    json_control = False


class TestAsteriskInPlainText(WholeCalls):
    """The same calls with control as lines of plain text, and linear sound at 16 kHz."""

    carrier = "asterisk"
    exchange = PlainText16k


class Eager(AsteriskExchange):
    """One that sends sound before MEDIA_START, as happens under load."""

    def line(self, order: StreamOrder, recording: CallRecording) -> AsteriskLine:
        class EagerLine(AsteriskLine):
            def opening(self) -> list[str | bytes]:
                return [b"\xff" * 160, b"\xff" * 160, *super().opening()]

        return EagerLine(Channel(f"{self.call_id}.2"), recording)


async def hands_on(call: Call) -> None:
    await call.transfer("+15550009999")


async def test_a_transfer_is_what_the_dialplan_is_told_to_dial() -> None:
    async with stage(f"{__name__}:hands_on", carrier="asterisk", section=SECTION) as s:
        report = await s.call()
        await until(lambda: bool(s.ended))
    assert (report.outcome, report.verbs) == (Outcome.BRIDGE_CLOSED, (Verb("Dial", text="+15550009999"),))
    assert s.the_call.ended == "transferred"
    assert report.of(Faulted) == []


async def test_sound_before_media_start_is_counted_and_the_call_goes_on() -> None:
    async with stage("tests.support.agents:says_hello", carrier="asterisk", section=SECTION) as s:
        report = await s.call(exchange=Eager)
        await until(lambda: bool(s.ended))
        ignored = s.server.runtime.stats.ignored_messages["media_before_start"]
    assert (ignored, report.outcome) == (2, Outcome.BRIDGE_CLOSED)
    assert report.verbs == ()
    assert report.recording.arrivals
