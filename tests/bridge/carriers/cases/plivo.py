"""Plivo, as a table."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final
from urllib.parse import urlencode

from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Digit, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.plivo import NONCE_HEADER, SIGNATURE_HEADERS, PlivoConfig, sign
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, urls_of

KEY: Final = "plivo-auth-token"
URLS: Final = urls_of("plivo")
CALL_ID: Final = "97ceeb52-58b6-11e1-86da-77300b68f8bb"
STREAM_ID: Final = "b77e037d-4119-44b5-902d-25826b654539"
ACCOUNT_ID: Final = "MAXXXXXXXXXXXXXXXXXX"
NONCE: Final = "05429567804466091622"
#: The 160 bytes of mu-law in the media files.
PAYLOAD: Final = bytes((0x7F + i * 7) % 256 for i in range(160))
FORM: Final = {
    "CallStatus": "ringing",
    "CallUUID": CALL_ID,
    "Direction": "inbound",
    "Event": "StartApp",
    "From": "+15550001111",
    "ParentAuthID": ACCOUNT_ID,
    "To": "+15550002222",
}
HEADERS: Final = {
    SIGNATURE_HEADERS[0]: sign(KEY, "POST", URLS.answer, FORM.items(), NONCE),
    NONCE_HEADER: NONCE,
    "Content-Type": "application/x-www-form-urlencoded",
}
STREAM: Final = STREAM_ID.encode()

CASES: Final = Cases(
    name="plivo",
    section=PlivoConfig(auth_token=Secret(KEY)),
    upgrade=Upgrade(url=f"{URLS.media}/one-time", token="one-time", now_s=NOW_S),  # noqa: S106 - a test's
    webhook=Webhook(
        url=URLS.answer, headers=HEADERS, form=FORM, body=urlencode(FORM).encode("ascii"), now_s=NOW_S
    ),
    call=IncomingCall(CALL_ID, ACCOUNT_ID, "+15550001111", "+15550002222", "inbound"),
    starts={
        "start": Started(CALL_ID, STREAM_ID),
        "start_bare": Started(CALL_ID, STREAM_ID),
        "start_l16": Started(CALL_ID, STREAM_ID),
    },
    early={
        "media": Ignored("media_before_start"),
        "dtmf": Ignored("dtmf_before_start"),
        "played": Ignored("mark_before_start"),
        "cleared": Ignored("control_before_start"),
        "stop": Ignored("stop_before_start"),
        "unknown_event": Ignored("unknown_event"),
    },
    on_stream={
        "media": Audio(PAYLOAD, 20),
        "media_numbers": Audio(PAYLOAD, 20),
        "media_unix_time": Audio(PAYLOAD, 0),
        "media_no_stream": Audio(PAYLOAD, 0),
        "media_empty": Audio(b"", 20),
        "media_outbound": Ignored("outbound_track"),
        "media_foreign": Ignored("foreign_stream"),
        "dtmf": Digit("5"),
        "dtmf_star": Digit("*"),
        "played": MarkPlayed("cp1"),
        "played_string": MarkPlayed("cp1"),
        "played_of_old": MarkPlayed("cp1"),
        "played_unicode": MarkPlayed("h\u00e9\u4f60\U0001f600"),
        "cleared": Ignored("cleared_audio"),
        "incorrect_payload": Ignored("incorrect_payload"),
        "start": Ignored("duplicate_start"),
        "stop": Stopped("call ended"),
        "stop_bare": Stopped(),
        "stop_foreign": Ignored("foreign_stream"),
        "unknown_event": Ignored("unknown_event"),
    },
    # Its pages know no `stop`; its own server kit does.
    stop="stop",
    late={
        "start": Ignored("start_after_stop"),
        "start_other_call": Ignored("start_after_stop"),
        "media": Ignored("media_after_stop"),
        "dtmf": Ignored("dtmf_after_stop"),
        "played": Ignored("mark_after_stop"),
        "cleared": Ignored("control_after_stop"),
        "stop": Ignored("stop_after_stop"),
        "unknown_event": Ignored("unknown_event"),
    },
    says={
        "opened": (),
        "audio": (
            b'{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"%b"}}'
            % b2a_base64(PAYLOAD, newline=False),
        ),
        "mark": (b'{"event":"checkpoint","streamId":"%b","name":"1.1000"}' % STREAM,),
        "clear": (b'{"event":"clearAudio","streamId":"%b"}' % STREAM,),
        "send_digits": (b'{"event":"sendDTMF","dtmf":"12#"}',),
        "goodbye": (),
    },
    payload=PAYLOAD,
)
