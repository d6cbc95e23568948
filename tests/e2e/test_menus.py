"""The examples of config/ivr.toml, dialled: what callers hear, and what becomes of what they press and say.

Each on two carriers: one that takes mu-law and answers marks, and one that takes linear audio and answers none. Of the
two the first cannot transfer here, for want of the settings, so that both ways out of a transfer are taken. Calls are
in real time, so those to one example are on side by side.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import pytest

from bridge.emulators.call_report import Outcome
from bridge.emulators.caller_script import Action, Cue, Press, Utterance
from bridge.keypad import MASK
from bridge.observe.timeline import DigitPressed
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import read_wav
from tests.support.examples import CLOSED, Dialled, Rendered, Telephone
from tests.support.log import tracebacks

MULAW: Final = "twilio"
LINEAR: Final = "vonage"
#: As soon as the bridge listens.
NOW: Final = Cue(at_s=0.0)
#: When the bridge has said what it has to say, and waits.
ANSWERING: Final = Cue(after_bridge_silent_ms=1000)
PIN: Final = "4321"


async def on_both(
    telephone: Telephone, flow: str, *actions: Action, **changes: Any
) -> tuple[Dialled, Dialled]:
    """The same call through both carriers."""
    first, second = await asyncio.gather(
        telephone.dial(flow, MULAW, *actions, **changes), telephone.dial(flow, LINEAR, *actions, **changes)
    )
    return first, second


# -- the clinic --------------------------------------------------------------------------------------------------------


async def test_the_clinic(
    telephone: Telephone, caller_voice: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.gather(
        an_appointment_is_found_offered_and_booked(telephone),
        who_speaks_at_the_menu_gets_a_person(telephone, caller_voice),
        nobody_is_asked_anything_when_it_is_closed(telephone),
    )
    assert "19800101" not in caplog.text
    assert tracebacks(caplog) == []


async def an_appointment_is_found_offered_and_booked(telephone: Telephone) -> None:
    keys = Press("119800101", NOW)
    for clinic in await on_both(telephone, "clinic", keys, Press("1", ANSWERING)):
        assert clinic.hears("Welcome to Elm Street Clinic. If this is an emergency, hang up and dial")
        assert clinic.hears("The next free appointment is on December 1, 2026, at 9:30 AM.")
        assert clinic.hears("To take it, press one. For the reception, press zero.")
        assert clinic.hears("It is booked. We will see you on December 1, 2026. Goodbye.")
        assert clinic.menu.api.booked == ["20261201-0930"]
        assert (clinic.report.outcome, clinic.report.close_code) == (Outcome.BRIDGE_CLOSED, 1000)
        assert clinic.call.ended == "agent"


async def who_speaks_at_the_menu_gets_a_person(telephone: Telephone, caller_voice: bytes) -> None:
    speaks = Utterance.from_wav(caller_voice, Cue(after_bridge_speaks_ms=3300))
    alone, connected = await on_both(telephone, "clinic", speaks)
    for clinic in (alone, connected):
        assert clinic.hears("hang up and dial nine nine nine.")
        assert not clinic.hears("For the reception, press zero."), "it stops when the caller talks"
        assert clinic.hears("I will put you through to the reception.")
    assert (connected.call.ended, connected.handed_to) == ("transferred", ["15550100010"])
    assert alone.hears("Nobody at the reception can take your call just now. Please call again later.")
    assert alone.call.ended == "agent"


async def nobody_is_asked_anything_when_it_is_closed(telephone: Telephone) -> None:
    clinic = await telephone.dial("clinic", MULAW, at=CLOSED)
    assert clinic.hears("The desk is closed now. We open at eight o'clock, from Monday to Friday.")
    assert clinic.call.ended == "agent"


# -- the bank ----------------------------------------------------------------------------------------------------------


async def test_the_bank(
    telephone: Telephone, prompts: Rendered, caller_voice: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await asyncio.gather(
        a_balance_is_told(telephone),
        a_balance_is_told_to_who_presses_keys_as_tones(telephone),
        three_wrong_pins_lock_the_account(telephone),
        who_speaks_instead_gets_a_colleague(telephone, caller_voice),
    )
    assert not any(tells(record.getMessage(), PIN) for record in caplog.records)
    assert tracebacks(caplog) == []
    kept = b"".join(path.read_bytes() for path in prompts.cache.glob("*.wav"))
    assert b"Your balance is" in kept
    assert b"Ada" not in kept and b"1,234.50" not in kept, "what is private is not kept"


async def a_balance_is_told(telephone: Telephone) -> None:
    for bank in await on_both(telephone, "bank", Press(f"12345678#{PIN}", NOW), hang_up_on_silence_s=0.7):
        told_in_private(bank)


async def a_balance_is_told_to_who_presses_keys_as_tones(telephone: Telephone) -> None:
    keys = Press(f"12345678#{PIN}", NOW, in_band=True)
    always = {"dtmf": {"in_band": "always"}}
    told_in_private(
        await telephone.dial("bank", MULAW, keys, sections=always, hang_up_on_silence_s=0.7),
    )


def told_in_private(bank: Dialled) -> None:
    assert bank.hears("Hello Ada. Your balance is 1,234.50 euros.")
    assert bank.hears("To hear it again, press one. For a person, press zero. Or just hang up.")
    assert bank.report.outcome is Outcome.HUNG_UP
    pressed = [entry.digit for entry in bank.call.timeline if isinstance(entry, DigitPressed)]
    assert pressed == [MASK] * len(f"12345678#{PIN}")
    assert not tells(bank.metrics, PIN)
    assert not any(tells(repr(entry), PIN) for entry in bank.call.timeline)


def tells(text: str, secret: str) -> bool:
    """Whether `text` has `secret` in it, and not as a part of a longer number by chance."""
    return re.search(rf"(?<![0-9a-fA-F.]){secret}(?![0-9a-fA-F])", text) is not None


async def three_wrong_pins_lock_the_account(telephone: Telephone) -> None:
    bank = await telephone.dial("bank", LINEAR, Press("12345678#111122223333", NOW))
    assert bank.hears("Your account is locked, because of too many wrong PINs.")
    assert (bank.call.ended, bank.handed_to) == ("transferred", ["15550100020"])


async def who_speaks_instead_gets_a_colleague(telephone: Telephone, caller_voice: bytes) -> None:
    speaks = Utterance.from_wav(caller_voice, Cue(after_bridge_speaks_ms=1200))
    alone, connected = await on_both(telephone, "bank", speaks)
    for bank in (alone, connected):
        assert not bank.hears("and then press the hash key.")
        assert bank.hears("I will connect you to a colleague.")
    assert connected.call.ended == "transferred"
    assert alone.hears("I am sorry, all of my colleagues are busy. Please call again.")


# -- the voicemail -----------------------------------------------------------------------------------------------------

AFTER_THE_TONE: Final = Cue(after_bridge_silent_ms=700)


async def test_the_voicemail(
    telephone: Telephone, caller_voice: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    speaks = Utterance.from_wav(caller_voice, AFTER_THE_TONE)
    await asyncio.gather(
        a_message_is_ended_with_a_key(telephone, speaks),
        a_message_is_kept_of_who_just_hangs_up(telephone, speaks),
        silence_is_no_message(telephone),
    )
    assert tracebacks(caplog) == []


async def a_message_is_ended_with_a_key(telephone: Telephone, speaks: Utterance) -> None:
    for voicemail in await on_both(telephone, "voicemail", speaks, Press("#", NOW), at=CLOSED):
        assert voicemail.hears("Nobody is here now. Please leave a message after the tone.")
        assert voicemail.hears("Thank you. We will call you back.")
        (path,) = voicemail.menu.messages
        message = read_wav(path)
        assert message.format == MULAW_8K
        assert loud_ms(message.audio) == pytest.approx(loud_ms(speaks.audio), abs=200)
        assert path.name.startswith("20261125T013000") and path.name.endswith("-leave_message.wav")


async def a_message_is_kept_of_who_just_hangs_up(telephone: Telephone, speaks: Utterance) -> None:
    for voicemail in await on_both(telephone, "voicemail", speaks, at=CLOSED, hang_up_on_silence_s=0.2):
        assert voicemail.report.outcome is Outcome.HUNG_UP
        (path,) = voicemail.menu.messages
        assert loud_ms(read_wav(path).audio) == pytest.approx(loud_ms(speaks.audio), abs=200)


async def silence_is_no_message(telephone: Telephone) -> None:
    edits = {"silence_s = 4": "silence_s = 0.5"}
    voicemail = await telephone.dial("voicemail", MULAW, at=CLOSED, edits=edits)
    assert voicemail.hears("I did not hear anything. Goodbye.")
    assert voicemail.menu.messages == []


def loud_ms(mulaw: bytes) -> float:
    """How much of it is louder than a quiet line."""
    packets = (mulaw[at : at + 160] for at in range(0, len(mulaw), 160))
    return 20.0 * sum(1 for packet in packets if min(code & 0x7F for code in packet) < 0x50)
