"""Asterisk's WebSocket channel, as a table."""

from __future__ import annotations

from typing import Final

from bridge.carriers.asterisk import AsteriskConfig
from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import (
    Audio,
    Binary,
    Digit,
    FlowResumed,
    FlowStopped,
    Ignored,
    MarkPlayed,
    Started,
)
from bridge.carriers.rest import basic
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, frame, urls_of

PASSWORD: Final = Secret("asterisk-password")
URLS: Final = urls_of("asterisk")
#: What ``Dial(WebSocket/bridge/c(ulaw)f(json)v(call=abc))`` asks for.
MEDIA: Final = f"{URLS.media}?call=abc"
HEADERS: Final = {**basic("asterisk", PASSWORD), "Sec-WebSocket-Protocol": "media"}
CALL_ID: Final = "1795260005.2"
CALLER_ID: Final = "1795260005.1"
#: What a channel is known by that tells no id.
CHANNEL: Final = "WebSocket-bridge-0x7f1c2c0062a0"
CONNECTION_ID: Final = "0a1b2c3d-1111-2222-3333-444455556666"
FORM: Final = {
    "connection_id": CONNECTION_ID,
    "caller": CALLER_ID,
    "from": "+15550001111",
    "to": "+15550002222",
}
TOLD: Final = {"call": "abc"}
INHERITED: Final = {"caller": CALLER_ID, "from": "+15550001111", "to": "+15550002222"}
HANDED_ON: Final = Started(
    CALLER_ID,
    CALL_ID,
    parameters={**INHERITED, **TOLD},
    from_number="+15550001111",
    to_number="+15550002222",
)
PAYLOAD: Final = bytes(range(160))


def sound(name: str) -> bytes:
    """A binary frame of the data."""
    return frame("asterisk", name)


CASES: Final = Cases(
    name="asterisk",
    section=AsteriskConfig(username="asterisk", password=PASSWORD, media_url="ws://asterisk.example:8088"),
    upgrade=Upgrade(url=MEDIA, headers=HEADERS, now_s=NOW_S),
    forged=(
        Upgrade(url=MEDIA, headers=basic("asterisk", Secret("another")), now_s=NOW_S),
        Upgrade(url=MEDIA, headers=basic("", PASSWORD), now_s=NOW_S),
        Upgrade(url=MEDIA, headers={"Authorization": "Basic"}, now_s=NOW_S),
        Upgrade(url=MEDIA, headers={"Authorization": f"Bearer {PASSWORD.reveal()}"}, now_s=NOW_S),
    ),
    webhook=Webhook(url=URLS.answer, headers=basic("asterisk", PASSWORD), form=FORM, now_s=NOW_S),
    signs_body=False,
    call=IncomingCall(CALLER_ID, "", "+15550001111", "+15550002222", "inbound", CONNECTION_ID),
    starts={
        "start": Started(CALL_ID, CALL_ID, parameters=TOLD),
        "start_plain": Started(CALL_ID, CALL_ID, parameters=TOLD),
        "start_alaw": Started(CALL_ID, CALL_ID, parameters=TOLD),
        "start_slin16": Started(CALL_ID, CALL_ID, parameters=TOLD),
        "start_bare": Started("pbx-1795260005.7", "pbx-1795260005.7", parameters=TOLD),
        "start_old_plain": Started(CHANNEL, CHANNEL, parameters=TOLD),
        "start_incoming": HANDED_ON,
        "start_inherited": HANDED_ON,
    },
    early={
        "media": Ignored("media_before_start"),
        "media_odd": Ignored("media_before_start"),
        "dtmf": Ignored("dtmf_before_start"),
        "mark": Ignored("mark_before_start"),
        "xoff_plain": Ignored("control_before_start"),
        "unknown": Ignored("unknown_event"),
        "unknown_plain": Ignored("unknown_event"),
    },
    on_stream={
        "media": Audio(sound("media")),
        "media_odd": Audio(sound("media_odd")),
        "media_empty": Audio(b""),
        "dtmf": Digit("5"),
        "dtmf_hash_plain": Digit("#"),
        "mark": MarkPlayed("1.1000"),
        "mark_plain": MarkPlayed("1.1000"),
        "mark_nameless_plain": MarkPlayed(""),
        "xoff": FlowStopped(),
        "xoff_plain": FlowStopped(),
        "xon": FlowResumed(),
        "xon_plain": FlowResumed(),
        "status": Ignored("status"),
        "status_plain": Ignored("status"),
        "drained": Ignored("queue_drained"),
        "drained_plain": Ignored("queue_drained"),
        "buffered": Ignored("buffering_completed"),
        "buffered_plain": Ignored("buffering_completed"),
        "error": Ignored("carrier_error"),
        "error_plain": Ignored("carrier_error"),
        "start": Ignored("duplicate_start"),
        "start_plain": Ignored("duplicate_start"),
        "unknown": Ignored("unknown_event"),
        "unknown_plain": Ignored("unknown_event"),
    },
    stop="",
    says={
        "opened": (b'{"command":"ANSWER"}',),
        "audio": (Binary(PAYLOAD),),
        "mark": (b'{"command":"MARK_MEDIA","correlation_id":"1.1000"}',),
        "clear": (b'{"command":"FLUSH_MEDIA"}', b'{"command":"CONTINUE_MEDIA"}'),
        "goodbye": (b'{"command":"HANGUP"}',),
    },
    payload=PAYLOAD,
    splits=False,
)
