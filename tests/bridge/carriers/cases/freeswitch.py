"""FreeSWITCH with mod_audio_stream, as a table."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final

from bridge.carriers.carrier import IncomingCall, Upgrade
from bridge.carriers.dialect import Audio, Digit, Ignored, Started, Stopped
from bridge.carriers.freeswitch import FreeswitchConfig
from bridge.carriers.rest import basic, bearer
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, frame, urls_of

TOKEN: Final = Secret("freeswitch-token")
PASSWORD: Final = Secret("freeswitch-password")
URLS: Final = urls_of("freeswitch")
CALL_ID: Final = "3f0c9b1e-58a1-4c0e-9f6e-1b1f6d6c2a77"
STARTED: Final = Started(CALL_ID, CALL_ID, from_number="+15550001111", to_number="+15550002222")
#: 200 ms of PCM16 at 8 kHz.
PAYLOAD: Final = bytes(range(256)) * 12 + bytes(128)


def sound(name: str) -> bytes:
    """A binary frame of the data."""
    return frame("freeswitch", name)


SECTION: Final = FreeswitchConfig(
    token=TOKEN,
    username="switch",
    password=PASSWORD,
    api_url="http://switch.example:8080/",
    api_username="bridge",
    api_password=Secret("api-password"),
    endpoint="sofia/gateway/trunk/{to}",
)

CASES: Final = Cases(
    name="freeswitch",
    section=SECTION,
    upgrade=Upgrade(url=URLS.media, headers=bearer(TOKEN), now_s=NOW_S),
    forged=(
        Upgrade(url=URLS.media, headers=bearer(Secret("another")), now_s=NOW_S),
        Upgrade(url=URLS.media, headers=bearer(Secret("")), now_s=NOW_S),
        Upgrade(url=URLS.media, headers=bearer(PASSWORD), now_s=NOW_S),
        Upgrade(url=URLS.media, headers=basic("switch", TOKEN), now_s=NOW_S),
        Upgrade(url=f"{URLS.media}?token={TOKEN.reveal()}", now_s=NOW_S),
    ),
    webhook=None,
    call=IncomingCall(CALL_ID, "", "+15550001111", "+15550002222", "inbound"),
    starts={
        "start": STARTED,
        "start_uuid": Started(CALL_ID, CALL_ID),
        "start_event": Started(CALL_ID, CALL_ID),
    },
    early={
        "dtmf": Ignored("dtmf_before_start"),
        "stop": Ignored("stop_before_start"),
        "unknown": Ignored("unknown_event"),
    },
    on_stream={
        "media": Audio(sound("media")),
        "media_odd": Audio(sound("media_odd")[:320]),
        "media_empty": Audio(b""),
        "dtmf": Digit("5"),
        "dtmf_star": Digit("*"),
        "start_event": Ignored("duplicate_start"),
        "unknown": Ignored("unknown_event"),
        "stop": Stopped(),
    },
    late={
        "media": Ignored("media_after_stop"),
        "dtmf": Ignored("dtmf_after_stop"),
        "stop": Ignored("stop_after_stop"),
        "start_event": Ignored("start_after_stop"),
        "start_other_call": Ignored("start_after_stop"),
        "unknown": Ignored("unknown_event"),
    },
    says={
        "opened": (),
        "audio": (
            b'{"type":"streamAudio","data":{"audioDataType":"raw","sampleRate":8000,"audioData":"%b"}}'
            % b2a_base64(PAYLOAD, newline=False),
        ),
        "goodbye": (),
    },
    payload=PAYLOAD,
)
