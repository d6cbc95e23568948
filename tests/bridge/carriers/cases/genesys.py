"""Genesys Cloud Audio Connector, as a table."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Final

from bridge.carriers.carrier import IncomingCall, Upgrade
from bridge.carriers.dialect import (
    Audio,
    Binary,
    Digit,
    FlowStopped,
    Ignored,
    Respond,
    Several,
    Started,
    Stopped,
)
from bridge.carriers.genesys import SIGNED_COMPONENTS, GenesysConfig
from bridge.carriers.http_signatures import Parameter, Request, sign
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, Cases, urls_of

#: Key, secret and ids are those of AudioHook's own documentation.
API_KEY: Final = "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"
CLIENT_SECRET: Final = "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU="  # noqa: S105 - published, as an example
ORGANIZATION: Final = "d7934305-0972-4844-938e-9060eef73d05"
SESSION: Final = "30b0e395-84d3-4570-ac13-9a62d8f514c0"
CONVERSATION: Final = "090eaa2f-72fa-480a-83e0-8667ff89c0ec"
FROM, TO = "+15550001111", "+15550002222"
SECTION: Final = GenesysConfig(api_key=Secret(API_KEY), client_secret=Secret(CLIENT_SECRET))
MEDIA_URL: Final = urls_of("genesys").media
HEADERS: Final = {
    "Audiohook-Organization-Id": ORGANIZATION,
    "Audiohook-Session-Id": SESSION,
    "Audiohook-Correlation-Id": "e160e428-53e2-487c-977d-96989bf5c99d",
    "X-API-KEY": API_KEY,
}
KEY: Final = b64decode(CLIENT_SECRET)
PARAMETERS: Final[dict[str, Parameter]] = {
    "keyid": API_KEY,
    "nonce": "VGhpc0lzQVVuaXF1ZU5vbmNl",
    "alg": "hmac-sha256",
    "created": int(NOW_S),
    "expires": int(NOW_S) + 10,
}


def upgrade(
    key: bytes = KEY,
    url: str = MEDIA_URL,
    headers: dict[str, str] = HEADERS,
    components: tuple[str, ...] = SIGNED_COMPONENTS,
    **parameters: Parameter | None,
) -> Upgrade:
    """A signed upgrade; a parameter that is None is left out."""
    said = {name: value for name, value in {**PARAMETERS, **parameters}.items() if value is not None}
    signed = sign(Request(url, headers), key, components, said)
    return Upgrade(url=url, headers={**headers, **signed}, now_s=NOW_S)


UPGRADE: Final = upgrade()
STARTED: Final = Started(
    CONVERSATION,
    SESSION,
    ORGANIZATION,
    parameters={"queue": "front desk"},
    from_number=FROM,
    to_number=TO,
)
PCMU: Final = b'{"type":"audio","format":"PCMU","channels":["external"],"rate":8000}'
PAYLOAD: Final = bytes(range(200)) * 8


def ours(kind: bytes, parameters: bytes = b"{}", client_seq: int = 1, seq: int = 1) -> bytes:
    """A message of ours."""
    return b'{"version":"2","id":"%b","type":"%b","seq":%d,"clientseq":%d,"parameters":%b}' % (
        SESSION.encode(),
        kind,
        seq,
        client_seq,
        parameters,
    )


def opened(media: bytes = PCMU) -> bytes:
    """Our answer to `open`."""
    return ours(b"opened", b'{"media":[%b],"startPaused":false}' % media)


PONG: Final = Respond((ours(b"pong", client_seq=2),))
CLOSED: Final = Respond((ours(b"closed", client_seq=2),))
UNSERVABLE: Final = Respond(
    (
        ours(
            b"disconnect",
            b'{"reason":"error","info":"no media on offer can be served","outputVariables":{}}',
        ),
    )
)

CASES: Final = Cases(
    name="genesys",
    section=SECTION,
    upgrade=UPGRADE,
    forged=(
        upgrade(key=b"another"),
        upgrade(key=b""),
        replace(UPGRADE, url=MEDIA_URL + "?x=1"),
        replace(UPGRADE, url="wss://elsewhere.example/carriers/genesys/media"),
        replace(UPGRADE, headers={**UPGRADE.headers, "Audiohook-Session-Id": CONVERSATION}),
        replace(UPGRADE, headers={**UPGRADE.headers, "X-API-KEY": "another"}),
        replace(UPGRADE, headers=HEADERS),
        replace(UPGRADE, now_s=NOW_S + 60),
        replace(UPGRADE, now_s=NOW_S - 60),
    ),
    webhook=None,
    call=IncomingCall(CONVERSATION, ORGANIZATION, FROM, TO, "inbound"),
    starts={
        "open": STARTED,
        "open_bare": Started(CONVERSATION, SESSION, ORGANIZATION),
        "open_l16": STARTED,
        "open_odd_variables": replace(
            STARTED, parameters={"vip": "True", "left": "3", "name": "ab\nc", "empty": ""}
        ),
    },
    early={
        "media": Ignored("media_before_start"),
        "dtmf_early": Ignored("dtmf_before_start"),
        "ping_early": Ignored("control_before_start"),
        "error_early": Ignored("control_before_start"),
        "close_early": Ignored("stop_before_start"),
        "unknown_early": Ignored("unknown_event"),
        "open_probe": Respond((opened(),)),
        "open_stereo_only": UNSERVABLE,
        "open_no_media": UNSERVABLE,
    },
    on_stream={
        "media": Audio(PAYLOAD),
        "media_empty": Audio(b""),
        "ping": PONG,
        "ping_rtt": PONG,
        "dtmf": Digit("1"),
        "dtmf_hash": Digit("#"),
        "dtmf_foreign": Ignored("foreign_stream"),
        "playback_started": Ignored("playback_started"),
        "playback_completed": Ignored("playback_completed"),
        "paused": Ignored("paused"),
        "resumed": Ignored("resumed"),
        "discarded": Ignored("discarded"),
        "update": Ignored("update"),
        "error_429": FlowStopped(2.5),
        "error_429_minutes": FlowStopped(30.0),
        "error_429_number": FlowStopped(3.0),
        "error_429_odd": FlowStopped(1.0),
        "error_429_bare": FlowStopped(1.0),
        "error_408": Ignored("error_408"),
        "error_strange": Ignored("error"),
        "unknown_type": Ignored("unknown_event"),
        "open_again": Ignored("duplicate_start"),
        "close": Several((CLOSED, Stopped("end"))),
        "close_disconnect": Several((CLOSED, Stopped("disconnect"))),
        "close_strange": Several((CLOSED, Stopped(""))),
        "close_foreign": Ignored("foreign_stream"),
    },
    stop="close",
    late={
        "media": Ignored("media_after_stop"),
        "ping_late": Ignored("control_after_stop"),
        "dtmf_late": Ignored("dtmf_after_stop"),
        "open_late": Ignored("start_after_stop"),
        "close_late": Ignored("stop_after_stop"),
        "unknown_late": Ignored("unknown_event"),
    },
    says={
        "opened": (opened(),),
        "audio": (Binary(PAYLOAD),),
        "clear": (ours(b"event", b'{"entities":[{"type":"barge_in","data":{}}]}'),),
        "goodbye": (
            ours(
                b"disconnect",
                b'{"reason":"completed","info":"","outputVariables":{"outcome":"completed"}}',
            ),
        ),
    },
    payload=PAYLOAD,
)
