"""FreeSWITCH: what only mod_audio_stream does, and the API's commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import pytest

from bridge.carriers.carrier import IncomingCall, Upgrade
from bridge.carriers.dialect import Audio, Binary, Digit, Started
from bridge.carriers.freeswitch import PCM16_16K, Freeswitch, FreeswitchConfig, FreeswitchDialect
from bridge.carriers.rest import basic, bearer
from bridge.emulators.carriers.freeswitch_rest import NEW_UUID, FreeswitchRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import PCM16_8K
from tests.bridge.carriers.cases.freeswitch import CALL_ID, CASES, PASSWORD, SECTION, TOKEN, URLS

SWITCH = Freeswitch(SECTION)
GONE = IncomingCall("gone", "", "", "", "inbound")


def dialect(query: str = "", **changes: Any) -> FreeswitchDialect:
    config = msgspec.structs.replace(SECTION, **changes)
    return Freeswitch(config).dialect(Upgrade(url=URLS.media + query))


def switch() -> FreeswitchRest:
    return FreeswitchRest(SECTION, frozenset({CALL_ID}))


def commands(api: FreeswitchRest) -> list[str]:
    """What was asked of the API and granted: method, command, arguments."""
    return [
        f"{request.method} {urlsplit(request.url).path.removeprefix('/txtapi/')} {unquote(urlsplit(request.url).query)}"
        for request in api.granted
    ]


# -- the media socket ------------------------------------------------------------------------------


def test_the_address_may_name_the_call_where_no_metadata_does() -> None:
    made = dialect("?call_id=abc-1&from=alice&to=100&rate=16k")
    assert made.receive(Binary(bytes(640))) == Started("abc-1", "abc-1", from_number="alice", to_number="100")
    assert made.inbound_format == made.outbound_format == PCM16_16K
    assert made.receive(Binary(b"\1" * 640)) == Audio(b"\1" * 640, 0)
    assert made.receive(Binary(b"\2" * 640)) == Audio(b"\2" * 640, 20)


@pytest.mark.parametrize("metadata", [b"customer 42", b"<xml/>", b"", b"[1]", b'"text"', b"{broken"])
def test_metadata_of_somebody_elses_making_starts_a_call_that_the_address_names(metadata: bytes) -> None:
    assert dialect("?uuid=abc-1").receive(metadata) == Started("abc-1", "abc-1")


def test_metadata_is_stronger_than_the_address() -> None:
    started = dialect("?call_id=abc-1&from=alice&to=100").receive(CASES.frame("start"))
    assert started == CASES.starts["start"]


def test_a_call_without_an_id_is_not_served_and_the_mend_is_told() -> None:
    for message in (Binary(bytes(320)), b"{}", CASES.frame("hopeless/start_no_id")):
        with pytest.raises(ProtocolError, match="call_id: it belongs into the metadata") as caught:
            dialect().receive(message)
        assert (caught.value.kind, caught.value.close_code) == ("no_call_id", 1008)


@pytest.mark.parametrize(
    "message", [b'{"event":"start"}', b'{"event":"start","call_id":"a b"}', b"note", b"{}"]
)
def test_odd_text_during_a_call_is_skipped(message: bytes) -> None:
    made = CASES.streaming()
    with pytest.raises(ProtocolError) as caught:
        made.receive(message)
    assert caught.value.close_code is None
    assert made.receive(CASES.frame("dtmf")) == Digit("5")


def test_a_start_of_another_call_closes_the_socket() -> None:
    with pytest.raises(ProtocolError) as caught:
        CASES.streaming().receive(CASES.frame("start_other_call"))
    assert (caught.value.kind, caught.value.close_code) == ("second_start", 1008)


@pytest.mark.parametrize(
    ("frame", "audio"), [("start", PCM16_8K), ("start_uuid", PCM16_8K), ("start_event", PCM16_16K)]
)
def test_sound_is_linear_at_the_streams_rate(frame: str, audio: object) -> None:
    made = CASES.after(frame)
    assert made.inbound_format == made.outbound_format == audio
    said = msgspec.json.decode(made.audio(b"\1\2"))
    assert said["data"]["sampleRate"] == made.outbound_format.rate_hz


def test_what_it_cannot_do_is_said() -> None:
    delivery = CASES.streaming().delivery
    assert (delivery.clear, delivery.marks, delivery.message_ms) == (False, False, 200)
    assert dialect("?call_id=1", message_ms=400).delivery.message_ms == 400


@pytest.mark.parametrize("message_ms", [0, 30, 1020, -20])
def test_a_message_is_of_whole_packets(message_ms: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"message_ms": message_ms}, FreeswitchConfig)


# -- the gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "headers"),
    [
        (FreeswitchConfig(token=TOKEN), bearer(TOKEN)),
        (FreeswitchConfig(username="switch", password=PASSWORD), basic("switch", PASSWORD)),
        (SECTION, basic("switch", PASSWORD)),
    ],
)
def test_a_token_or_a_password_lets_in(config: FreeswitchConfig, headers: Mapping[str, str]) -> None:
    carrier = Freeswitch(config)
    carrier.verify_upgrade(replace(CASES.upgrade, headers=headers))
    assert carrier.missing() == []
    with pytest.raises(Refused):
        carrier.verify_upgrade(replace(CASES.upgrade, headers={}))


@pytest.mark.parametrize(
    "config", [FreeswitchConfig(), FreeswitchConfig(username="a"), FreeswitchConfig(password=PASSWORD)]
)
def test_without_either_it_is_not_served_and_lets_nobody_in(config: FreeswitchConfig) -> None:
    carrier = Freeswitch(config)
    assert [key for key, _ in carrier.missing()] == ["token"]
    for headers in (bearer(Secret()), basic("", Secret()), basic("a", Secret()), basic("", PASSWORD)):
        with pytest.raises(Refused):
            carrier.verify_upgrade(replace(CASES.upgrade, headers=headers))


# -- call control ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "command"),
    [
        (lambda: SWITCH.hang_up(CASES.call), f"POST uuid_kill {CALL_ID} NORMAL_CLEARING"),
        (
            lambda: SWITCH.transfer(CASES.call, "+15550009999", URLS),
            f"POST uuid_transfer {CALL_ID} +15550009999 XML default",
        ),
        (lambda: SWITCH.send_digits(CASES.call, "12#"), f"POST uuid_send_dtmf {CALL_ID} 12#"),
    ],
)
def test_commands_reach_the_switch(plan: Callable[[], Any], command: str) -> None:
    api = switch()
    run(plan(), api)
    assert commands(api) == [command]


def test_a_call_is_placed_under_an_id_of_the_switchs_making() -> None:
    api = switch()
    assert run(SWITCH.place_call("+15550002222", "+15550001111", URLS), api) == NEW_UUID
    assert commands(api) == [
        "GET create_uuid ",
        f"POST bgapi originate {{origination_uuid={NEW_UUID},origination_caller_id_number=+15550001111,"
        "ignore_early_media=true}sofia/gateway/trunk/+15550002222 bridge XML default",
    ]


def test_a_call_that_is_gone_is_hung_up_already() -> None:
    run(SWITCH.hang_up(GONE), switch())
    for plan in (SWITCH.transfer(GONE, "100", URLS), SWITCH.send_digits(GONE, "1")):
        with pytest.raises(CarrierError, match="No such channel"):
            run(plan, switch())


INJECTIONS = [
    "", "1 2", "1,2", "1}", "{x=1}1", "1'2", '1"', "1\n", "1|2", "1&2", "1/2", "&hangup()", "-ERR", "x" * 66, "a@b",
]  # fmt: skip


@pytest.mark.parametrize("to", INJECTIONS)
def test_nothing_but_one_word_gets_into_a_command(to: str) -> None:
    for plan in (
        lambda: SWITCH.transfer(CASES.call, to, URLS),
        lambda: SWITCH.place_call(to, "+15550001111", URLS),
        lambda: SWITCH.place_call("+15550001111", to, URLS),
    ):
        api = switch()
        with pytest.raises(CarrierError):
            run(plan(), api)
        assert api.granted == []


@pytest.mark.parametrize("digits", ["", "1 2", "12@500", "1\n", "x", "1" * 65])
def test_nothing_but_keys_is_sent_as_keys(digits: str) -> None:
    with pytest.raises(CarrierError, match="keys are"):
        SWITCH.send_digits(CASES.call, digits)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"api_url": ""}, "api_url"),
        ({"api_username": ""}, "api_username"),
        ({"api_password": Secret()}, "api_password"),
    ],
)
def test_what_is_missing_is_named_when_the_plan_is_made(changes: dict[str, Any], named: str) -> None:
    carrier = Freeswitch(msgspec.structs.replace(SECTION, **changes))
    with pytest.raises(Unsupported, match=f"carriers.freeswitch.*{named}"):
        carrier.hang_up(CASES.call)
    with pytest.raises(Unsupported, match=f"carriers.freeswitch.*{named}"):
        run(carrier.place_call("+15550002222", "+15550001111", URLS), switch())


def test_whom_to_dial_must_be_configured() -> None:
    carrier = Freeswitch(msgspec.structs.replace(SECTION, endpoint=""))
    with pytest.raises(Unsupported, match="carriers.freeswitch.endpoint"):
        run(carrier.place_call("+15550002222", "+15550001111", URLS), switch())


def test_wrong_credentials_are_told_without_them() -> None:
    wrong = Freeswitch(msgspec.structs.replace(SECTION, api_password=Secret("another-password")))
    with pytest.raises(CarrierError, match="401") as caught:
        run(wrong.hang_up(CASES.call), switch())
    assert "another-password" not in str(caught.value)


def test_the_credentials_are_checked_by_asking_how_it_is() -> None:
    assert run(SWITCH.check(), switch()) == "FreeSWITCH (Version 1.10.12 64bit) is ready"
    assert Freeswitch(FreeswitchConfig(token=TOKEN)).check() is None


@pytest.mark.parametrize(
    ("changes", "authorization"),
    [
        ({}, "Bearer <carriers.freeswitch.token>"),
        ({"token": Secret()}, "Basic base64(freeswitch:<carriers.freeswitch.password>)"),
    ],
)
def test_the_settings_name_the_address_and_no_secret(changes: dict[str, Any], authorization: str) -> None:
    config = msgspec.structs.replace(SECTION, username="freeswitch", password=PASSWORD)
    settings = Freeswitch(msgspec.structs.replace(config, **changes)).settings("100", URLS)
    assert [setting.value for setting in settings] == [URLS.media, authorization, "bridge.lua"]
    text = "\n".join(f"{setting.where}: {setting.value}" for setting in settings)
    assert "extension 100" in text
    assert TOKEN.reveal() not in text and PASSWORD.reveal() not in text


def test_the_settings_paste_nothing_of_the_callers_into_json() -> None:
    text = "\n".join(setting.value for setting in SWITCH.settings("100", URLS))
    assert "${" not in text


def test_it_signs_nothing_that_doctor_could_send() -> None:
    assert SWITCH.sample_request(URLS, 1.0) is None
