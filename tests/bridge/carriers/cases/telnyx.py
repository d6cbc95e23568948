"""Telnyx, as a table."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final
from urllib.parse import urlencode

from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Connected, Digit, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.telnyx import TEXML, TelnyxConfig
from bridge.emulators.carriers.telnyx import PUBLIC_KEY, SOME_ACCOUNT, signed_headers
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, urls_of

URLS: Final = urls_of("telnyx")
CALL_ID: Final = "v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ"
STREAM_ID: Final = "32de0dea-53cb-4b21-89a4-9e1819c043bc"
#: The 160 bytes of mu-law in the media files.
PAYLOAD: Final = bytes((0x7F + i * 7) % 256 for i in range(160))
FORM: Final = {
    "AccountSid": SOME_ACCOUNT,
    "CallSid": CALL_ID,
    "CallStatus": "ringing",
    "Direction": "inbound",
    "From": "+15550001111",
    "To": "+15550002222",
}
BODY: Final = urlencode(FORM).encode("ascii")
PARAMETERS: Final = {"call_id": "v3:texml-call", "k": "v"}

CASES: Final = Cases(
    name="telnyx",
    section=TelnyxConfig(public_key=Secret(PUBLIC_KEY)),
    upgrade=Upgrade(url=f"{URLS.media}/one-time", token="one-time", now_s=NOW_S),  # noqa: S106 - a test's
    webhook=Webhook(
        url=URLS.answer,
        headers={**signed_headers(BODY, NOW_S), "Content-Type": "application/x-www-form-urlencoded"},
        form=FORM,
        body=BODY,
        now_s=NOW_S,
    ),
    call=IncomingCall(CALL_ID, SOME_ACCOUNT, "+15550001111", "+15550002222", "inbound", TEXML),
    before=("connected",),
    starts={
        "start": Started(CALL_ID, STREAM_ID),
        "start_bare": Started(CALL_ID, STREAM_ID),
        "start_parameters": Started("v3:texml-call", STREAM_ID, "", True, PARAMETERS),
        "start_parameters_listed": Started("v3:texml-call", STREAM_ID, "", True, PARAMETERS),
        "start_parameters_camel": Started("v3:texml-call", STREAM_ID, "", True, PARAMETERS),
        "start_parameters_odd_call": Started(CALL_ID, STREAM_ID, "", True, {"call_id": "../../etc"}),
        "start_pcma": Started(CALL_ID, STREAM_ID),
        "start_l16": Started(CALL_ID, STREAM_ID),
    },
    early={
        "connected": Connected(),
        "media": Ignored("media_before_start"),
        "dtmf": Ignored("dtmf_before_start"),
        "mark": Ignored("mark_before_start"),
        "error": Ignored("control_before_start"),
        "stop": Ignored("stop_before_start"),
        "unknown_event": Ignored("unknown_event"),
    },
    on_stream={
        "media": Audio(PAYLOAD, 5),
        "media_numbers": Audio(PAYLOAD, 5),
        "media_no_chunk": Audio(PAYLOAD, 0),
        "media_no_stream": Audio(PAYLOAD, 5),
        "media_later": Audio(PAYLOAD, 94200),
        "media_empty": Audio(b"", 5),
        "media_outbound": Ignored("outbound_track"),
        "media_foreign": Ignored("foreign_stream"),
        "dtmf": Digit("1"),
        "dtmf_hash": Digit("#"),
        "mark": MarkPlayed("label"),
        "mark_unicode": MarkPlayed("h\u00e9\u4f60\U0001f600"),
        "error": Ignored("error_100004"),
        "error_rate": Ignored("error_100005"),
        "error_other": Ignored("error_unknown"),
        "error_bare": Ignored("error_unknown"),
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
        "error": Ignored("control_after_stop"),
        "stop": Ignored("stop_after_stop"),
        "unknown_event": Ignored("unknown_event"),
    },
    says={
        "opened": (),
        "audio": (b'{"event":"media","media":{"payload":"%b"}}' % b2a_base64(PAYLOAD, newline=False),),
        "mark": (b'{"event":"mark","mark":{"name":"1.1000"}}',),
        "clear": (b'{"event":"clear"}',),
        "goodbye": (),
    },
    payload=PAYLOAD,
)
