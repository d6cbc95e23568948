"""Twilio, as a table."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final

from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Connected, Digit, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.form_signature import sign
from bridge.carriers.twilio import SIGNATURE_HEADER, TwilioConfig
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, urls_of
from tests.support.twilio_frames import ACCOUNT_ID, CALL_ID, PARAMETERS, PAYLOAD, STREAM_ID

KEY: Final = "twilio-auth-token"
URLS: Final = urls_of("twilio")
FORM: Final = {
    "AccountSid": ACCOUNT_ID,
    "CallSid": CALL_ID,
    "CallStatus": "ringing",
    "Direction": "inbound",
    "From": "+15550001111",
    "To": "+15550002222",
}
STREAM: Final = STREAM_ID.encode()
LISTENING: Final = {"direction": "unidirectional"}

CASES: Final = Cases(
    name="twilio",
    section=TwilioConfig(auth_token=Secret(KEY)),
    upgrade=Upgrade(url=URLS.media, headers={SIGNATURE_HEADER: sign(KEY, URLS.media)}, now_s=NOW_S),
    forged=(
        Upgrade(url=URLS.media, headers={SIGNATURE_HEADER: sign("another", URLS.media)}, now_s=NOW_S),
        Upgrade(url=URLS.media, headers={SIGNATURE_HEADER: sign(KEY, URLS.answer)}, now_s=NOW_S),
    ),
    webhook=Webhook(
        url=URLS.answer, headers={SIGNATURE_HEADER: sign(KEY, URLS.answer, FORM)}, form=FORM, now_s=NOW_S
    ),
    call=IncomingCall(CALL_ID, ACCOUNT_ID, "+15550001111", "+15550002222", "inbound"),
    before=("connected",),
    starts={
        "start": Started(CALL_ID, STREAM_ID, ACCOUNT_ID, True, PARAMETERS),
        "start_bare": Started(CALL_ID, STREAM_ID),
        "start_listening": Started(CALL_ID, STREAM_ID, ACCOUNT_ID, False),
        "start_listening_by_parameter": Started(CALL_ID, STREAM_ID, ACCOUNT_ID, False, LISTENING),
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
        "media_empty": Audio(b"", 5),
        "media_outbound": Ignored("outbound_track"),
        "media_foreign": Ignored("foreign_stream"),
        "dtmf": Digit("1"),
        "dtmf_hash": Digit("#"),
        "mark": MarkPlayed("label"),
        "mark_unicode": MarkPlayed("h\u00e9\u4f60\U0001f600"),
        "connected": Ignored("connected_after_start"),
        "start": Ignored("duplicate_start"),
        "stop": Stopped(),
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
        "goodbye": (),
    },
    payload=PAYLOAD,
)
