"""What is special about Genesys: its gate, its sequence numbers, how a call ends, is handed on, or never was one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bridge.carriers.carrier import How, Upgrade
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
from bridge.carriers.genesys import Genesys, GenesysConfig, GenesysDialect
from bridge.errors import ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from tests.bridge.carriers.cases.genesys import (
    API_KEY,
    CASES,
    CLIENT_SECRET,
    CONVERSATION,
    HEADERS,
    KEY,
    MEDIA_URL,
    ORGANIZATION,
    SECTION,
    SESSION,
    UPGRADE,
    opened,
    upgrade,
)
from tests.support.carrier_cases import NOW_S, frame, urls_of


def theirs(kind: str, seq: int, parameters: object = None, **head: object) -> bytes:
    said: dict[str, Any] = {"version": "2", "id": SESSION, "type": kind, "seq": seq, "serverseq": 0}
    return json.dumps({**said, "position": "PT1S", "parameters": parameters or {}, **head}).encode()


def said_by(messages: Any) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def streaming() -> GenesysDialect:
    dialect = CASES.streaming()
    assert isinstance(dialect, GenesysDialect)
    return dialect


# -- the gate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, CLIENT_SECRET.encode()], ids=["decoded", "as it stands"])
def test_both_readings_of_the_secret_are_believed(key: bytes) -> None:
    Genesys(SECTION).verify_upgrade(upgrade(key))


@pytest.mark.parametrize(
    "section, missing",
    [
        (GenesysConfig(), ["api_key", "client_secret"]),
        (GenesysConfig(api_key=Secret(API_KEY)), ["client_secret"]),
        (GenesysConfig(client_secret=Secret(CLIENT_SECRET)), ["api_key"]),
        (SECTION, []),
    ],
)
def test_without_its_secrets_it_believes_nobody(section: GenesysConfig, missing: list[str]) -> None:
    carrier = Genesys(section)
    assert [key for key, _ in carrier.missing()] == missing
    if missing:
        for asked in (UPGRADE, upgrade(key=b""), Upgrade(url=MEDIA_URL, headers=HEADERS, now_s=NOW_S)):
            with pytest.raises(Refused):
                carrier.verify_upgrade(asked)


def test_an_upgrade_that_is_played_back_is_refused() -> None:
    carrier = Genesys(SECTION)
    carrier.verify_upgrade(UPGRADE)
    with pytest.raises(Refused, match="nonce was used before"):
        carrier.verify_upgrade(replace(UPGRADE, now_s=NOW_S + 5))
    carrier.verify_upgrade(upgrade(nonce="another nonce, as long"))


def test_a_forgery_spends_no_nonce() -> None:
    carrier = Genesys(SECTION)
    with pytest.raises(Refused):
        carrier.verify_upgrade(upgrade(key=b"another"))
    carrier.verify_upgrade(UPGRADE)


@pytest.mark.parametrize("header", ["Audiohook-Organization-Id", "Audiohook-Session-Id", "X-API-KEY"])
def test_what_is_not_covered_is_not_believed(header: str) -> None:
    covered = tuple(name for name in ("@request-target", "@authority", *map(str.lower, HEADERS)))
    without = tuple(name for name in covered if name != header.lower())
    with pytest.raises(Refused, match=f"does not cover {header.lower()}"):
        Genesys(SECTION).verify_upgrade(upgrade(components=without))


def test_a_connector_id_of_any_name_is_part_of_what_is_signed() -> None:
    Genesys(SECTION).verify_upgrade(upgrade(url=MEDIA_URL + "/front-desk"))


@pytest.mark.parametrize("organization, served", [(ORGANIZATION.upper(), True), (CONVERSATION, False)])
def test_one_organization_may_be_the_only_one(organization: str, served: bool) -> None:
    carrier = Genesys(msgspec.structs.replace(SECTION, organization_id=organization))
    if served:
        carrier.verify_upgrade(UPGRADE)
        return
    with pytest.raises(Refused) as caught:
        carrier.verify_upgrade(UPGRADE)
    assert caught.value.reason == "account"


@pytest.mark.parametrize("name", ["Audiohook-Session-Id", "Audiohook-Organization-Id"])
def test_an_open_must_be_of_the_session_that_was_signed_for(name: str) -> None:
    other = upgrade(headers={**HEADERS, name: CONVERSATION})
    dialect = Genesys(SECTION).dialect(other)
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(frame("genesys", "open"))
    assert (caught.value.kind, caught.value.close_code) == ("foreign_open", 1008)


# -- sequence numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [0, 1, 3, 2**40], ids=["back", "again", "gap", "far"])
def test_a_sequence_mismatch_ends_the_session(seq: int) -> None:
    dialect = streaming()
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(theirs("dtmf", seq, {"digit": "1"}))
    error = caught.value
    assert (error.kind, error.close_code, error.call_id) == ("bad_sequence", 1008, CONVERSATION)
    assert f"message {seq} came after 1" in error.reason


def test_a_message_of_no_known_type_takes_its_number() -> None:
    dialect = streaming()
    assert dialect.receive(theirs("brandnew", 2)) == Ignored("unknown_event")
    assert dialect.receive(theirs("dtmf", 3, {"digit": "1"})) == Digit("1")


@pytest.mark.parametrize(
    "broken", [theirs("dtmf", 2, {"digit": "12"}), b"hello", b"\xff", b'{"type":"ping"}'], ids=repr
)
def test_a_message_that_cannot_be_read_takes_its_number_too(broken: bytes) -> None:
    dialect = streaming()
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(broken)
    assert caught.value.close_code is None
    assert dialect.receive(theirs("dtmf", 3, {"digit": "1"})) == Digit("1")


def test_it_cannot_have_seen_what_was_never_sent() -> None:
    dialect = streaming()
    dialect.opened()
    assert isinstance(dialect.receive(theirs("ping", 2, serverseq=1)), Respond)
    with pytest.raises(ProtocolError, match="never sent"):
        dialect.receive(theirs("ping", 3, serverseq=3))


def test_ours_are_numbered_in_the_order_they_are_made() -> None:
    dialect = streaming()
    messages = [*dialect.opened(), *dialect.clear()]
    dialect.receive(theirs("dtmf", 2, {"digit": "1"}))
    pong = dialect.receive(theirs("ping", 3))
    assert isinstance(pong, Respond)
    messages += [*pong.messages, *dialect.goodbye("agent")]
    told = [(m["type"], m["seq"], m["clientseq"]) for m in said_by(messages)]
    assert told == [("opened", 1, 1), ("event", 2, 1), ("pong", 3, 3), ("disconnect", 4, 3)]
    assert all(m["parameters"] is not None and m["id"] == SESSION for m in said_by(messages))


def test_sound_has_no_numbers() -> None:
    dialect = streaming()
    assert [dialect.receive(Binary(b"\xff" * 1600)) for _ in range(3)] == [Audio(b"\xff" * 1600)] * 3
    assert dialect.receive(theirs("dtmf", 2, {"digit": "1"})) == Digit("1")


# -- how it ends ---------------------------------------------------------------------------------------


def test_close_is_answered_with_closed_and_nothing_is_said_after_it() -> None:
    dialect = streaming()
    dialect.opened()
    event = dialect.receive(theirs("close", 2, {"reason": "end"}))
    assert isinstance(event, Several)
    farewell, stopped = event.events
    assert isinstance(farewell, Respond) and stopped == Stopped("end")
    assert [(m["type"], m["seq"], m["parameters"]) for m in said_by(farewell.messages)] == [("closed", 2, {})]
    assert dialect.goodbye("agent") == ()
    assert dialect.transfer("+15550003333") == ()


@pytest.mark.parametrize("reason", ["draining", "slow_reader", "protocol_error"])
def test_a_fault_of_ours_is_an_error_to_the_flow(reason: str) -> None:
    dialect = streaming()
    (said,) = said_by(dialect.goodbye(reason))
    assert said["parameters"] == {"reason": "error", "info": reason, "outputVariables": {"outcome": "failed"}}
    assert dialect.carrier_closes


def test_whom_to_connect_is_told_to_the_flow_and_takes_the_place_of_goodbye() -> None:
    carrier, dialect = Genesys(SECTION), streaming()
    assert carrier.capabilities.transfer is How.MESSAGE
    assert carrier.transfer(CASES.call, "+15550003333", urls_of("genesys")) is None
    (said,) = said_by(dialect.transfer('"}}\x00</Say>'))
    assert said["parameters"]["reason"] == "completed"
    assert said["parameters"]["outputVariables"] == {"outcome": "transfer", "transfer_to": '"}}</Say>'}
    assert dialect.goodbye("agent") == ()


def test_closed_says_nothing_more_after_our_disconnect() -> None:
    dialect = streaming()
    dialect.transfer("+15550003333")
    event = dialect.receive(theirs("close", 2, {"reason": "disconnect"}))
    assert isinstance(event, Several) and isinstance(event.events[0], Respond)
    (closed,) = said_by(event.events[0].messages)
    assert (closed["type"], closed["seq"], closed["parameters"]) == ("closed", 2, {})


@pytest.mark.parametrize("participant", [None, {}, {"ani": None, "dnis": None}, {"ani": ""}])
def test_a_caller_may_be_nobody_in_particular(participant: object) -> None:
    said = json.loads(frame("genesys", "open"))
    said["parameters"] |= {"participant": participant, "inputVariables": None}
    started = CASES.fresh().receive(json.dumps(said).encode())
    assert isinstance(started, Started)
    assert (started.from_number, started.to_number, started.parameters) == ("", "", {})


def test_before_a_call_there_is_nobody_to_say_goodbye_to() -> None:
    assert Genesys(SECTION).dialect(UPGRADE).goodbye("agent") == ()


# -- what is no call -----------------------------------------------------------------------------------


def test_a_connection_probe_is_answered_to_its_end_and_starts_nothing() -> None:
    dialect = Genesys(SECTION).dialect(UPGRADE)
    events = [
        dialect.receive(frame("genesys", "open_probe")),
        dialect.receive(theirs("ping", 2)),
        dialect.receive(Binary(b"\xff" * 1600)),
        dialect.receive(theirs("open", 3, json.loads(frame("genesys", "open"))["parameters"])),
        dialect.receive(theirs("close", 4, {"reason": "end"})),
    ]
    responses = [message for event in events if isinstance(event, Respond) for message in event.messages]
    assert responses[0] == opened()
    assert [m["type"] for m in said_by(responses)] == ["opened", "pong", "closed"]
    assert [event for event in events if isinstance(event, Ignored)] == [
        Ignored("media_before_start"),
        Ignored("duplicate_start"),
    ]
    assert not [event for event in events if isinstance(event, Started | Stopped | Several)]


def test_media_that_cannot_be_served_is_refused_in_the_words_of_the_protocol() -> None:
    dialect = Genesys(SECTION).dialect(UPGRADE)
    refused = dialect.receive(frame("genesys", "open_stereo_only"))
    assert isinstance(refused, Respond)
    assert [m["type"] for m in said_by(refused.messages)] == ["disconnect"]
    closed = dialect.receive(theirs("close", 2, {"reason": "disconnect"}))
    assert isinstance(closed, Respond)
    assert [m["type"] for m in said_by(closed.messages)] == ["closed"]


# -- the rest ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "retry_after, for_s",
    [
        ("PT0.25S", 0.25), ("PT1M2S", 30.0), ("PT2M", 30.0), ("0.5", 0.5), (2, 2.0), ("PT0S", 1.0), (-5, 1.0),
        ("PT", 1.0), ("P1D", 1.0), ("nan", 1.0), ("inf", 30.0), ("1e999", 30.0), ("", 1.0), (None, 1.0),
        ("PT" + "9" * 400 + "S", 1.0),
    ],
)  # fmt: skip
def test_a_throttled_stream_waits_as_long_as_it_is_told_but_never_for_long(
    retry_after: object, for_s: float
) -> None:
    told = streaming().receive(theirs("error", 2, {"code": 429, "message": "", "retryAfter": retry_after}))
    assert told == FlowStopped(for_s)


def test_l16_is_two_bytes_a_sample() -> None:
    dialect = CASES.after("open_l16")
    assert dialect.outbound_format.bytes_in(dialect.delivery.message_ms) == 3200
    assert json.loads(dialect.opened()[0])["parameters"]["media"][0]["format"] == "L16"


def test_more_variables_than_anybody_needs_are_cut() -> None:
    said = json.loads(frame("genesys", "open"))
    said["parameters"]["inputVariables"] = {f"v{number}": "x" * 5000 for number in range(500)}
    started = CASES.fresh().receive(json.dumps(said).encode())
    assert isinstance(started, Started)
    assert len(started.parameters) == 100
    assert max(map(len, started.parameters.values())) == 400


def test_it_places_no_calls_and_has_no_webhooks() -> None:
    carrier, urls = Genesys(SECTION), urls_of("genesys")
    with pytest.raises(Unsupported):
        carrier.place_call("+15550003333", "+15550002222", urls)
    assert carrier.check() is None
    assert carrier.hang_up(CASES.call) is None
    assert carrier.sample_request(urls, NOW_S) is None


def test_the_base_uri_and_the_connector_id_together_are_the_media_socket() -> None:
    values = [setting.value for setting in Genesys(SECTION).settings("+15550002222", urls_of("genesys"))]
    assert values[0] + values[2] == MEDIA_URL
