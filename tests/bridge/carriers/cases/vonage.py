"""Vonage, as a table."""

from __future__ import annotations

import json
from typing import Final

from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Binary, Digit, Ignored, MarkPlayed, Started
from bridge.carriers.vonage import VonageConfig
from bridge.carriers.vonage_tokens import webhook_header
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, frame, urls_of

KEY: Final = Secret("a-signature-secret-of-thirty-two-or-more-characters")
ACCOUNT: Final = {"api_key": "abcd1234", "application_id": "78d335fa-323d-0114-9c3d-d6f0d48968cf"}
URLS: Final = urls_of("vonage")
CALL_ID: Final = "63f61863-4a51-4f6b-86e1-46edebcf9356"
FIELDS: Final = {
    "uuid": CALL_ID,
    "conversation_uuid": "CON-f972836a-550f-45fa-956c-12a2ab5b7d22",
    "from": "15550100001",
    "to": "15550100002",
}
BODY: Final = json.dumps(FIELDS).encode()
TOKEN: Final = {"token": "one-time-t0ken"}
FRAME: Final = frame("vonage", "media")

CASES: Final = Cases(
    name="vonage",
    section=VonageConfig(
        signature_secret=KEY, api_key=ACCOUNT["api_key"], application_id=ACCOUNT["application_id"]
    ),
    upgrade=Upgrade(url=URLS.media, now_s=NOW_S),
    webhook=Webhook(
        url=URLS.answer,
        headers={"Content-Type": "application/json", **webhook_header(KEY, BODY, NOW_S, **ACCOUNT)},
        body=BODY,
        now_s=NOW_S,
    ),
    call=IncomingCall(CALL_ID, ACCOUNT["api_key"], "15550100001", "15550100002", "inbound"),
    starts={
        "connected": Started(CALL_ID, CALL_ID, parameters=TOKEN),
        "connected_16k": Started(CALL_ID, CALL_ID, parameters=TOKEN),
        "connected_24k": Started(CALL_ID, CALL_ID, parameters=TOKEN),
        "connected_bare": Started(CALL_ID, CALL_ID),
    },
    early={
        "media": Ignored("media_before_start"),
        "dtmf": Ignored("dtmf_before_start"),
        "notify": Ignored("mark_before_start"),
        "cleared": Ignored("control_before_start"),
        "unknown_event": Ignored("unknown_event"),
    },
    on_stream={
        "media": Audio(FRAME, 0),
        "media_short": Audio(FRAME[:100], 0),
        "media_long": Audio(frame("vonage", "media_long"), 0),
        "media_empty": Audio(b"", 0),
        "dtmf": Digit("5"),
        "dtmf_hash": Digit("#"),
        "dtmf_nested": Digit("7"),
        "notify": MarkPlayed("1.1000"),
        "notify_unicode": MarkPlayed("h\u00e9\u4f60\U0001f600"),
        "cleared": Ignored("cleared"),
        "connected": Ignored("duplicate_start"),
        "unknown_event": Ignored("unknown_event"),
    },
    stop="",
    says={
        "opened": (),
        "audio": (Binary(FRAME),),
        "mark": (b'{"action":"notify","payload":{"mark":"1.1000"}}',),
        "clear": (b'{"action":"clear"}',),
        "goodbye": (),
    },
    payload=bytes(FRAME),
)
