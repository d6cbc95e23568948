"""SignalWire, as a table."""

from __future__ import annotations

import struct
from binascii import b2a_base64
from typing import Final

from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Connected, Digit, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.signalwire import SIGNATURE_HEADER, SignalWireConfig, sign_form
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, urls_of

KEY: Final = "PSK_signing-key"
URLS: Final = urls_of("signalwire")
CALL_ID: Final = "0703574f-b151-465d-aedb-28972eb513c7"
STREAM_ID: Final = "c0c7d1f4-3a0b-4d41-9a52-5a2f35f6d1b9"
PROJECT: Final = "6bfbbe86-a901-4197-8759-2a0de1fa319d"
PARAMETERS: Final = {"token": "one-time", "from": "+15550001111", "to": "+15550002222"}
#: What is in the media files: 20 ms of mu-law, and of linear audio at 16 kHz.
PAYLOAD: Final = bytes((0x7F + i * 7) % 256 for i in range(160))
PCM: Final = struct.pack("<320h", *((i * 197) % 65536 - 32768 for i in range(320)))
FORM: Final = {
    "AccountSid": PROJECT,
    "CallSid": CALL_ID,
    "CallStatus": "ringing",
    "Direction": "inbound",
    "From": "+15550001111",
    "To": "+15550002222",
}
STREAM: Final = STREAM_ID.encode()
STARTED: Final = Started(CALL_ID, STREAM_ID, PROJECT, True, PARAMETERS)

CASES: Final = Cases(
    name="signalwire",
    section=SignalWireConfig(signing_key=Secret(KEY)),
    upgrade=Upgrade(url=URLS.media, headers={"Authorization": "Bearer one-time"}, now_s=NOW_S),
    forged=(
        Upgrade(url=URLS.media, now_s=NOW_S),
        Upgrade(url=URLS.media, headers={"Authorization": "Bearer "}, now_s=NOW_S),
        Upgrade(url=URLS.media, headers={"Authorization": "Basic b25lLXRpbWU="}, now_s=NOW_S),
    ),
    webhook=Webhook(
        url=URLS.answer,
        headers={SIGNATURE_HEADER: sign_form(KEY, URLS.answer, FORM.items())},
        form=FORM,
        now_s=NOW_S,
    ),
    call=IncomingCall(CALL_ID, PROJECT, "+15550001111", "+15550002222", "inbound"),
    before=("connected",),
    starts={
        "start": STARTED,
        "start_bare": Started(CALL_ID, STREAM_ID),
        "start_with_stream_at_top": STARTED,
        "start_l16_8k": STARTED,
        "start_l16_16k": STARTED,
        "start_l16_24k": STARTED,
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
        "media": Audio(PAYLOAD, 5),
        "media_numbers": Audio(PAYLOAD, 5),
        "media_extra_fields": Audio(PAYLOAD, 5),
        "media_with_stream": Audio(PAYLOAD, 5),
        "media_empty": Audio(b"", 5),
        "media_outbound": Ignored("outbound_track"),
        "media_foreign": Ignored("foreign_stream"),
        "dtmf": Digit("5"),
        "dtmf_letter": Digit("D"),
        "dtmf_hash": Digit("#"),
        "mark": MarkPlayed("label"),
        "mark_with_stream": MarkPlayed("label"),
        "mark_unicode": MarkPlayed("h\u00e9\u4f60\U0001f600"),
        "connected": Ignored("connected_after_start"),
        "start": Ignored("duplicate_start"),
        "stop": Stopped(),
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
            b'{"event":"media","streamSid":"%b","media":{"payload":"%b"}}'
            % (STREAM, b2a_base64(PAYLOAD, newline=False)),
        ),
        "mark": (b'{"event":"mark","streamSid":"%b","mark":{"name":"1.1000"}}' % STREAM,),
        "clear": (b'{"event":"clear","streamSid":"%b"}' % STREAM,),
        "send_digits": tuple(
            b'{"event":"dtmf","streamSid":"%b","dtmf":{"digit":"%b"}}' % (STREAM, digit)
            for digit in (b"1", b"2", b"#")
        ),
        "goodbye": (),
    },
    payload=PAYLOAD,
)
