"""jambonz, as a table."""

from __future__ import annotations

import json
from typing import Final

from bridge.carriers.carrier import IncomingCall, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Binary, Digit, Ignored, MarkPlayed, Started
from bridge.carriers.jambonz import SIGNATURE_HEADER, JambonzConfig, sign
from bridge.carriers.rest import basic
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, frame, urls_of

KEY: Final = Secret("wh_secret_of_the_account")
PASSWORD: Final = Secret("of-the-media-socket")
URLS: Final = urls_of("jambonz")
CALL_ID: Final = "63f61863-4a51-4f6b-86e1-46edebcf9356"
ACCOUNT_ID: Final = "9351f46a-678c-43f5-b8a6-d4eb58d131af"
FIELDS: Final = {
    "call_sid": CALL_ID,
    "account_sid": ACCOUNT_ID,
    "direction": "inbound",
    "from": "+15550100001",
    "to": "+15550100002",
    "call_status": "trying",
    "sip_status": 100,
}
BODY: Final = json.dumps(FIELDS, separators=(",", ":")).encode()
TOKEN: Final = {"token": "one-time-t0ken"}
STARTED: Final = Started(
    CALL_ID, CALL_ID, ACCOUNT_ID, parameters=TOKEN, from_number="+15550100001", to_number="+15550100002"
)
FRAME: Final = frame("jambonz", "media")

CASES: Final = Cases(
    name="jambonz",
    section=JambonzConfig(webhook_secret=KEY, account_sid=ACCOUNT_ID, username="bridge", password=PASSWORD),
    upgrade=Upgrade(url=URLS.media, headers=basic("bridge", PASSWORD), now_s=NOW_S),
    forged=(
        Upgrade(url=URLS.media, headers=basic("bridge", Secret("guessed")), now_s=NOW_S),
        Upgrade(url=URLS.media, headers=basic("bridge", Secret()), now_s=NOW_S),
        Upgrade(url=URLS.media, now_s=NOW_S),
    ),
    webhook=Webhook(
        url=URLS.answer,
        headers={"Content-Type": "application/json", SIGNATURE_HEADER: sign(KEY, BODY, int(NOW_S))},
        body=BODY,
        now_s=NOW_S,
    ),
    call=IncomingCall(CALL_ID, ACCOUNT_ID, "+15550100001", "+15550100002", "inbound"),
    starts={
        "attributes": STARTED,
        "attributes_16k": STARTED,
        "attributes_snake": Started(CALL_ID, CALL_ID, ACCOUNT_ID, from_number="<sip:a@b>"),
        "attributes_bare": Started(CALL_ID, CALL_ID),
    },
    early={
        "media": Ignored("media_before_start"),
        "media_empty": Ignored("media_before_start"),
        "dtmf": Ignored("dtmf_before_start"),
        "mark": Ignored("mark_before_start"),
        "play_done": Ignored("play_done"),
        "unknown_event": Ignored("unknown_event"),
        "unknown_type": Ignored("unknown_event"),
    },
    on_stream={
        "media": Audio(FRAME, 0),
        "media_short": Audio(FRAME[:100], 0),
        "media_empty": Ignored("empty_media"),
        "dtmf": Digit("5"),
        "dtmf_star": Digit("*"),
        "mark": MarkPlayed("1.1000"),
        "mark_cleared": Ignored("mark_cleared"),
        "mark_unicode": MarkPlayed("h\u00e9\u4f60\U0001f600"),
        "play_done": Ignored("play_done"),
        "attributes": Ignored("duplicate_start"),
        "unknown_event": Ignored("unknown_event"),
        "unknown_type": Ignored("unknown_event"),
    },
    stop="",
    says={
        "opened": (),
        "audio": (Binary(FRAME),),
        "mark": (b'{"type":"mark","data":{"name":"1.1000"}}',),
        "clear": (b'{"type":"killAudio"}',),
        "goodbye": (b'{"type":"disconnect"}',),
    },
    payload=bytes(FRAME),
)
