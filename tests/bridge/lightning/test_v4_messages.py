"""What is said to Lightning v4, and what its events mean."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import LightningConfig, Secret
from bridge.errors import Busy, InvalidRequest, LightningError, ProtocolError, Unauthorized, Unavailable
from bridge.lightning.messages import Failed, Unknown
from bridge.lightning.v4_messages import (
    Interrupted,
    Ready,
    TurnEnd,
    TurnStart,
    V4Event,
    decode_event,
    v4_wire,
)
from tests.support.lightning_requests import request
from tests.support.lightning_v4 import V4

KEY = "sk_5ecret_key"
CONFIG = LightningConfig(door="v4", api_key=Secret(KEY))


def query_of(config: LightningConfig = CONFIG, **changes: Any) -> dict[str, str]:
    address = urlsplit(v4_wire(request(**(V4 | changes)), config).path)
    assert address.path == "/waves/v1/lightning-v4/live"
    return dict(parse_qsl(address.query, strict_parsing=True))


def test_the_voice_is_in_the_query_and_the_key_is_not() -> None:
    assert query_of(speed=1.25) == {
        "voice_id": "brannock",
        "language": "en",
        "sample_rate": "8000",
        "output_format": "pcm",
        "speed": "1.25",
    }
    assert KEY not in v4_wire(request(**V4), CONFIG).path


@pytest.mark.parametrize(
    ("content_filter", "asked"),
    [
        ("", {}),
        ("reject", {"content_filter": "true", "content_filter_action": "reject"}),
        ("flag", {"content_filter": "true", "content_filter_action": "flag"}),
    ],
)
def test_the_content_filter(content_filter: str, asked: dict[str, str]) -> None:
    query = query_of(CONFIG.with_changes({"content_filter": content_filter}))
    assert {name: value for name, value in query.items() if "filter" in name} == asked


@given(st.text(min_size=1))
def test_whatever_a_voice_is_called_it_is_one_value(name: str) -> None:
    assert query_of(voice_id=name)["voice_id"] == name.encode(errors="replace").decode()


def test_an_utterance_is_a_turn_named_by_its_request() -> None:
    asked = request(**V4 | {"text": "Grüße, “you”!"})
    said = json.loads(v4_wire(asked, CONFIG).encode(asked, CONFIG))
    assert said == {"event": "speak", "turn_id": "r1", "text": "Grüße, “you”!"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"language": "hi"}, "language: .*en auto"),
        ({"voice_id": "magnus"}, "voice_id: .*brannock, rhodes"),
        ({"output_format": "ulaw"}, "output_format: .*pcm"),
        ({"sample_rate": 11025}, "sample_rate: .*8000"),
        ({"speed": 2.5}, "speed: .*0.5 to 2"),
        ({"text": " "}, "text: "),
        ({"text": "x" * 8001}, "text: "),
        ({"text": "\ud800"}, "text: "),
        ({"request_id": "a b"}, "request_id: "),
    ],
)
def test_what_would_be_refused_is_refused_here(change: dict[str, Any], named: str) -> None:
    asked = request(**V4 | change)
    with pytest.raises(InvalidRequest, match=named):
        v4_wire(asked, CONFIG).encode(asked, CONFIG)


EVENTS: list[tuple[str, V4Event]] = [
    ('{"event":"ready","session_id":"s"}', Ready(None)),
    ('{"event":"ready","sample_rate":8000}', Ready(8000)),
    ('{"event":"turn_start","turn_id":"a"}', TurnStart("a")),
    ('{"event":"turn_start"}', TurnStart(None)),
    ('{"event":"turn_end","turn_id":"a","chunks":3}', TurnEnd("a")),
    ('{"event":"interrupted","turn_id":"a","chunks":3}', Interrupted("a")),
    ('{"event":"interrupted","turn_id":null}', Interrupted(None)),
    ('{"event":"thinking","more":[1]}', Unknown("thinking")),
    ('{"status":"fine"}', Unknown("fine")),
    ("{}", Unknown("")),
]


@pytest.mark.parametrize(("message", "event"), EVENTS)
def test_events(message: str, event: V4Event) -> None:
    assert decode_event(message) == event


@pytest.mark.parametrize(
    ("message", "kind", "told"),
    [
        (
            '{"status":"error","error":{"code":"model_access_denied","message":"No."}}',
            Unauthorized,
            "gated beta",
        ),
        ('{"status":"error","error":{"code":"invalid_voice","message":"No."}}', InvalidRequest, "brannock"),
        ('{"status":"error","error":{"code":"invalid_query","message":"speed"}}', InvalidRequest, "speed"),
        ('{"event":"error","code":"bad_frame","message":"What?"}', InvalidRequest, "What?"),
        ('{"event":"error","code":"internal","message":"Sorry."}', Unavailable, "Sorry."),
        ('{"event":"error","code":"x","message":"Concurrency limit reached"}', Busy, "limit"),
        ('{"event":"error","message":{"a":1}}', Unavailable, "without a message"),
        ('{"status":"error","error":"Sorry."}', Unavailable, "Sorry."),
    ],
)
def test_errors_of_both_shapes(message: str, kind: type[LightningError], told: str) -> None:
    failed = decode_event(message)
    assert isinstance(failed, Failed)
    error = failed.fault.as_error("r1")
    assert type(error) is kind
    assert told in str(error)


def test_an_error_may_name_its_turn() -> None:
    failed = decode_event('{"event":"error","turn_id":"a","code":"bad_frame","message":"What?"}')
    assert isinstance(failed, Failed)
    assert failed.request_id == "a"


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "7", '{"event":7}', '{"event":"ready","sample_rate":"x"}', "[" * 5000]
)
def test_what_is_no_event_is_a_protocol_error(message: str) -> None:
    with pytest.raises(ProtocolError):
        decode_event(message)


@given(st.text())
def test_anything_is_an_event_or_a_protocol_error(message: str) -> None:
    with suppress(ProtocolError):
        decode_event(message)
