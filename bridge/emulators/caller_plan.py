"""What a simulated call is to be like: whom to call, what to say and when, and what to do wrong."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.config_tree import Section
from bridge.emulators.caller_script import Action
from bridge.emulators.caller_webhooks import Signature
from bridge.emulators.recording import CallRecording

if TYPE_CHECKING:
    from bridge.emulators.exchange import Exchange
    from bridge.emulators.rest_stand_in import EmulatedRest


def new_sid(prefix: str) -> str:
    """A fresh identifier as Twilio writes them: two letters and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """What to do wrong, for tests of the bridge.

    Attributes:
        webhook_signature, upgrade_signature: how requests are signed.
        token: bring this one-time token instead of the answer's, or none at all when it is empty.
        omit_parameters: leave the answer's parameters, the token among them, out of the start.
        parameters: put these there instead; another call's token, say.
        start_call_sid: claim to be this call in the start.
        skip_connected, skip_start: leave out what comes before the start, or the start.
        repeat_start: send it twice.
        media_before_start: frames to send too early.
        after_start: further messages, right or wrong; `bytes` go out as binary ones.
        after_stop: messages to send when the call is over.
        mute: send no audio at all.
        vanish: break the connection instead of hanging up.
    """

    webhook_signature: Signature = Signature.VALID
    upgrade_signature: Signature = Signature.VALID
    token: str | None = None
    omit_parameters: bool = False
    parameters: Mapping[str, str] | None = None
    start_call_sid: str = ""
    skip_connected: bool = False
    skip_start: bool = False
    repeat_start: bool = False
    media_before_start: int = 0
    after_start: Sequence[str | bytes] = ()
    after_stop: Sequence[str | bytes] = ()
    mute: bool = False
    vanish: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """One call to make.

    Attributes:
        answer_url: the bridge's webhook, ``http://127.0.0.1:8080/carriers/twilio/answer``. Of a carrier that has
            none it tells where the bridge is.
        section: the carrier's section of the bridge's configuration: its secrets sign what is sent.
        carrier: who calls, by name.
        exchange: how it calls, where it has more ways than one; by default the first.
        api: the carrier's REST API, as the bridge has it, where the bridge answers the call through it.
        public_url: the bridge's `server.public_url`, where that is not the beginning of `answer_url`.
        actions: what the caller does, in order.
        hang_up_after_s: the call lasts no longer.
        hang_up_on_silence_s: hang up when all actions are done and the bridge is silent for so long.
        give_up_after_s: hang up when the next action waits for the bridge, and the bridge is silent for so long.
        noise_dbfs: comfort noise on the caller's line; None: digital silence.
        buffer_ms: the carrier's jitter buffer, filled before it plays.
        call_sid: the call, as the carrier names it.
        recording: takes all that happens, for who looks on while the call lasts; by default one of its own.
    """

    answer_url: str
    section: Section
    carrier: str = "twilio"
    exchange: type[Exchange] | None = None
    api: EmulatedRest | None = None
    public_url: str = ""
    actions: Sequence[Action] = ()
    hang_up_after_s: float = 30.0
    hang_up_on_silence_s: float | None = None
    give_up_after_s: float | None = None
    noise_dbfs: float | None = -65.0
    buffer_ms: float = 40.0
    from_number: str = "+15550100001"
    to_number: str = "+15550100002"
    call_sid: str = field(default_factory=lambda: new_sid("CA"))
    recording: CallRecording | None = None
    misbehaviour: Misbehaviour = Misbehaviour()
