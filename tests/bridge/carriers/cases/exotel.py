"""Exotel, as a table."""

from __future__ import annotations

import struct
from binascii import b2a_base64
from typing import Final

from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Connected, Digit, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.exotel import ExotelConfig
from bridge.carriers.rest import basic
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, urls_of

USERNAME: Final = "exotel"
PASSWORD: Final = Secret("a-pass:word")
BASIC: Final = basic(USERNAME, PASSWORD)
URLS: Final = urls_of("exotel")
MEDIA_URL: Final = f"{URLS.media}?sample-rate=8000"
CALL_ID: Final = "56b1234567abcdef89abcdef12345678"
STREAM_ID: Final = "6f048d2e897a0d2d4029560f3f541947"
ACCOUNT: Final = "exotel1"
CALLER: Final = "+919800011111"
CALLEE: Final = "+918000022222"
#: What is in the media files: 200 ms of linear audio at 8 kHz, the shortest message.
PAYLOAD: Final = struct.pack("<1600h", *((i * 197) % 65536 - 32768 for i in range(1600)))
IDS: Final = b'"stream_sid":"%b","streamSid":"%b"' % ((STREAM_ID.encode(),) * 2)


def started(parameters: dict[str, str] | None = None) -> Started:
    """The start of the ordinary stream, with these parameters of its URL."""
    return Started(CALL_ID, STREAM_ID, ACCOUNT, True, parameters or {}, CALLER, CALLEE)


STARTED: Final = started({"k": "v"})

CASES: Final = Cases(
    name="exotel",
    section=ExotelConfig(username=USERNAME, password=PASSWORD),
    upgrade=Upgrade(url=MEDIA_URL, headers=BASIC, now_s=NOW_S),
    forged=(
        Upgrade(url=MEDIA_URL, now_s=NOW_S),
        Upgrade(url=MEDIA_URL, headers=basic(USERNAME, Secret("another")), now_s=NOW_S),
        Upgrade(url=MEDIA_URL, headers=basic("another", PASSWORD), now_s=NOW_S),
        Upgrade(url=MEDIA_URL, headers={"Authorization": "Basic"}, now_s=NOW_S),
        Upgrade(url=MEDIA_URL, headers={"Authorization": f"Bearer {PASSWORD.reveal()}"}, now_s=NOW_S),
    ),
    webhook=Webhook(
        url=f"{URLS.answer}?CallSid={CALL_ID}&CallFrom=%2B919800011111&CallTo=%2B918000022222"
        f"&AccountSid={ACCOUNT}&Direction=incoming",
        method="GET",
        headers=BASIC,
        now_s=NOW_S,
    ),
    call=IncomingCall(CALL_ID, ACCOUNT, CALLER, CALLEE, "inbound"),
    before=("connected",),
    starts={
        "start": STARTED,
        "start_camel": started(),
        "start_numbers": STARTED,
        "start_slin": STARTED,
        "start_mulaw": STARTED,
        "start_16k": STARTED,
        "start_24k": STARTED,
        "start_parameters_null": started(),
        "start_stream_at_top_only": Started(CALL_ID, STREAM_ID),
        "start_nulls": Started(CALL_ID, STREAM_ID),
    },
    early={
        "connected": Connected(),
        "media": Ignored("media_before_start"),
        "dtmf": Ignored("dtmf_before_start"),
        "mark": Ignored("mark_before_start"),
        "stop": Ignored("stop_before_start"),
        "unknown_event": Ignored("unknown_event"),
    },
    on_stream={
        "media": Audio(PAYLOAD, 200),
        "media_20ms": Audio(PAYLOAD[:320], 220),
        "media_numbers": Audio(PAYLOAD, 200),
        "media_camel": Audio(PAYLOAD, 200),
        "media_no_stream": Audio(PAYLOAD, 200),
        "media_extra_fields": Audio(PAYLOAD, 200),
        "media_empty": Audio(b"", 200),
        "media_foreign": Ignored("foreign_stream"),
        "media_foreign_camel": Ignored("foreign_stream"),
        "dtmf": Digit("5"),
        "dtmf_star": Digit("*"),
        "mark": MarkPlayed("label"),
        "connected": Ignored("connected_after_start"),
        "start": Ignored("duplicate_start"),
        "start_camel": Ignored("duplicate_start"),
        "stop": Stopped("callended"),
        "stop_bare": Stopped(),
        "stop_body_text": Stopped(),
        "stop_body_null": Stopped(),
        "stop_foreign": Ignored("foreign_stream"),
        "unknown_event": Ignored("unknown_event"),
    },
    late={
        "connected": Ignored("connected_after_stop"),
        "start": Ignored("start_after_stop"),
        "start_other_call": Ignored("start_after_stop"),
        "media": Ignored("media_after_stop"),
        "dtmf": Ignored("dtmf_after_stop"),
        "mark": Ignored("mark_after_stop"),
        "stop": Ignored("stop_after_stop"),
        "unknown_event": Ignored("unknown_event"),
    },
    says={
        "opened": (),
        "audio": (
            b'{"event":"media",%b,"sequence_number":"1","media":{"chunk":"1","timestamp":"0","payload":"%b"}}'
            % (IDS, b2a_base64(PAYLOAD, newline=False)),
        ),
        "mark": (b'{"event":"mark",%b,"sequence_number":"1","mark":{"name":"1.1000"}}' % IDS,),
        "clear": (b'{"event":"clear",%b,"sequence_number":"1"}' % IDS,),
        "goodbye": (),
    },
    payload=PAYLOAD,
    signs_body=False,
)
