"""Exotel: sizes of messages, strings for numbers, two spellings, passwords and addresses, its REST."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from bridge.carriers.carrier import Ended, Ending, Upgrade, Webhook
from bridge.carriers.dialect import Started, Stopped
from bridge.carriers.exotel import Exotel, ExotelConfig
from bridge.carriers.exotel_dialect import (
    MAX_MESSAGE_BYTES,
    MESSAGE_UNIT_BYTES,
    MIN_MESSAGE_BYTES,
    ExotelDialect,
    message_ms,
)
from bridge.carriers.rest import RestAnswer, basic
from bridge.config import load_config
from bridge.emulators.carriers.exotel_rest import CALL_ID as PLACED
from bridge.emulators.carriers.exotel_rest import ExotelRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, ConfigError, ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from tests.bridge.carriers.cases.exotel import (
    BASIC,
    CALL_ID,
    CASES,
    MEDIA_URL,
    PASSWORD,
    STREAM_ID,
    URLS,
    USERNAME,
)
from tests.support.carrier_cases import frame

WITH_PASSWORD = ExotelConfig(username=USERNAME, password=PASSWORD)
WITH_ADDRESSES = ExotelConfig(allowed_addresses=["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"])
WITH_BOTH = msgspec.structs.replace(WITH_PASSWORD, allowed_addresses=["203.0.113.0/24"])
WITH_REST = msgspec.structs.replace(
    WITH_PASSWORD, account_sid="exotel1", api_key="key", api_token=Secret("api-token")
)


def streaming(start: str, rate_hz: int = 8000) -> ExotelDialect:
    dialect = ExotelDialect(rate_hz)
    assert isinstance(dialect.receive(frame("exotel", start)), Started)
    return dialect


# -- audio ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "audio", "ms"),
    [
        ("start", AudioFormat(Encoding.PCM16, 8_000), 200),
        ("start_slin", AudioFormat(Encoding.PCM16, 8_000), 200),
        ("start_16k", AudioFormat(Encoding.PCM16, 16_000), 100),
        ("start_24k", AudioFormat(Encoding.PCM16, 24_000), 80),
        ("start_mulaw", MULAW_8K, 400),
    ],
)
def test_the_start_says_what_is_on_the_wire_and_so_how_long_a_message_is(
    start: str, audio: AudioFormat, ms: int
) -> None:
    dialect = streaming(start)
    assert dialect.inbound_format == dialect.outbound_format == audio
    assert dialect.delivery.message_ms == message_ms(audio) == ms


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000])
def test_a_message_is_of_a_size_that_exotel_plays(rate_hz: int) -> None:
    audio = AudioFormat(Encoding.PCM16, rate_hz)
    size = audio.bytes_in(message_ms(audio))
    assert MIN_MESSAGE_BYTES <= size <= MAX_MESSAGE_BYTES
    assert size % MESSAGE_UNIT_BYTES == 0 and message_ms(audio) % 20 == 0
    shorter = audio.bytes_in(message_ms(audio) - 20)
    assert shorter < MIN_MESSAGE_BYTES or shorter % MESSAGE_UNIT_BYTES


@pytest.mark.parametrize(
    ("query", "start", "rate_hz"),
    [
        ("?sample-rate=16000", "start_camel", 16_000),  # this start names no rate
        ("?sample-rate=16000", "start", 8_000),  # this one does, and knows better
        ("", "start_camel", 8_000),
        ("?sample-rate=44100", "start_camel", 8_000),
        ("?sample-rate=16000&sample-rate=24000", "start_camel", 8_000),
        ("?sample-rate=x", "start_camel", 8_000),
    ],
)
def test_a_start_that_names_no_rate_has_the_one_of_the_url(query: str, start: str, rate_hz: int) -> None:
    dialect = Exotel(WITH_PASSWORD).dialect(Upgrade(url=URLS.media + query))
    dialect.receive(frame("exotel", start))
    assert dialect.outbound_format.rate_hz == rate_hz


@pytest.mark.parametrize(("start", "step_ms"), [("start", 200), ("start_16k", 100), ("start_24k", 80)])
def test_what_we_send_is_counted_in_strings_and_named_in_both_spellings(start: str, step_ms: int) -> None:
    dialect = streaming(start)
    sound = dialect.outbound_format.silence(step_ms)
    sent = [dialect.audio(sound), *dialect.mark("m"), dialect.audio(sound), *dialect.clear()]
    told: list[dict[str, Any]] = [json.loads(message) for message in sent]
    assert [message["sequence_number"] for message in told] == ["1", "2", "3", "4"]
    assert all(message["stream_sid"] == message["streamSid"] == STREAM_ID for message in told)
    first, second = told[0]["media"], told[2]["media"]
    assert (first["chunk"], first["timestamp"]) == ("1", "0")
    assert (second["chunk"], second["timestamp"]) == ("2", str(step_ms))
    assert b64decode(first["payload"]) == sound


@given(st.sampled_from(["stream_sid", "streamSid"]), st.sampled_from(["sequence_number", "sequenceNumber"]))
def test_either_spelling_is_read(stream: str, sequence: str) -> None:
    message = {"event": "dtmf", stream: STREAM_ID, sequence: "7", "dtmf": {"digit": "5", "duration": "100"}}
    dialect = streaming("start")
    event = dialect.receive(json.dumps(message).encode())
    assert event == CASES.on_stream["dtmf"]


@pytest.mark.parametrize("name", ["start_no_call", "start_wrong_rate", "start_mulaw_16k", "start_no_stream"])
def test_a_start_that_cannot_be_served_ends_a_stranger_and_not_a_call(name: str) -> None:
    with pytest.raises(ProtocolError) as stranger:
        ExotelDialect().receive(frame("exotel", f"hopeless/{name}"))
    assert stranger.value.close_code == 1008
    with pytest.raises(ProtocolError) as caller:
        streaming("start").receive(frame("exotel", f"hopeless/{name}"))
    assert caller.value.close_code is None


@pytest.mark.parametrize("command", [lambda d: d.audio(b""), lambda d: d.mark("m"), lambda d: d.clear()])
def test_nothing_can_be_sent_before_a_start(command: Any) -> None:
    with pytest.raises(AssertionError, match="before start"):
        command(ExotelDialect())


@pytest.mark.parametrize("name", ["stop_reason_number", "stop_body_text", "stop_body_null", "stop_bare"])
def test_a_stop_ends_the_call_whatever_it_holds(name: str) -> None:
    assert streaming("start").receive(frame("exotel", name)) == Stopped()


# -- who is believed -----------------------------------------------------------------------------------


def refused(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except Refused as error:
        assert (error.reason, error.status) == ("signature", 403)
        assert PASSWORD.reveal() not in str(error)
        return True
    return False


@pytest.mark.parametrize(
    ("config", "headers", "remote", "let_in"),
    [
        (WITH_PASSWORD, BASIC, "", True),
        (WITH_PASSWORD, {"authorization": BASIC["Authorization"].replace("Basic", "basic")}, "", True),
        (WITH_PASSWORD, {}, "203.0.113.5", False),
        (WITH_PASSWORD, basic(USERNAME, Secret("a-pass")), "", False),
        (WITH_PASSWORD, basic(USERNAME, Secret("")), "", False),
        (WITH_PASSWORD, {"Authorization": BASIC["Authorization"].replace("Basic", "Bearer")}, "", False),
        (WITH_PASSWORD, {"Authorization": BASIC["Authorization"][:-1]}, "", False),
        (WITH_PASSWORD, {"Authorization": "Basic \ud800"}, "", False),
        (WITH_PASSWORD, MultiDict([*BASIC.items(), *BASIC.items()]), "", False),
        (WITH_ADDRESSES, {}, "203.0.113.5", True),
        (WITH_ADDRESSES, {}, "::ffff:203.0.113.5", True),
        (WITH_ADDRESSES, {}, "198.51.100.7", True),
        (WITH_ADDRESSES, {}, "2001:db8::7", True),
        (WITH_ADDRESSES, BASIC, "203.0.113.5", True),
        (WITH_ADDRESSES, {}, "203.0.114.5", False),
        (WITH_ADDRESSES, {}, "::ffff:203.0.114.5", False),
        (WITH_ADDRESSES, {}, "198.51.100.8", False),
        (WITH_ADDRESSES, BASIC, "", False),
        (WITH_ADDRESSES, BASIC, "nonsense", False),
        (WITH_BOTH, BASIC, "203.0.113.5", True),
        (WITH_BOTH, BASIC, "198.51.100.7", False),
        (WITH_BOTH, {}, "203.0.113.5", False),
        (ExotelConfig(), BASIC, "203.0.113.5", False),
        (ExotelConfig(username=USERNAME), basic(USERNAME, Secret("")), "", False),
        (ExotelConfig(password=PASSWORD), basic("", PASSWORD), "", False),
    ],
)
def test_all_that_is_configured_must_hold(
    config: ExotelConfig, headers: Any, remote: str, let_in: bool
) -> None:
    carrier = Exotel(config)
    upgrade = Upgrade(url=MEDIA_URL, headers=headers, remote=remote)
    webhook = Webhook(url=URLS.ended, method="GET", headers=headers, remote=remote)
    assert refused(lambda: carrier.verify_upgrade(upgrade)) is not let_in
    assert refused(lambda: carrier.verify_webhook(webhook)) is not let_in


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (ExotelConfig(), ["username"]),
        (ExotelConfig(username="x"), ["password"]),
        (ExotelConfig(password=PASSWORD), ["username"]),
        (ExotelConfig(username="x", allowed_addresses=["::1"]), ["password"]),
        (WITH_PASSWORD, []),
        (WITH_ADDRESSES, []),
        (WITH_BOTH, []),
    ],
)
def test_what_is_missing_is_named(config: ExotelConfig, missing: list[str]) -> None:
    assert [key for key, _ in Exotel(config).missing()] == missing


@pytest.mark.parametrize("entry", ["exotel.com", "203.0.113.1/24", "", "203.0.113.0/99"])
def test_an_address_that_is_none_is_refused_when_the_configuration_is_read(entry: str) -> None:
    variables = {"BRIDGE_CARRIERS__EXOTEL__ALLOWED_ADDRESSES": f'["{entry}"]'}
    with pytest.raises(ConfigError) as caught:
        load_config(environ=variables)
    assert "carriers.exotel" in str(caught.value)
    assert "write an address, or a network such as 203.0.113.0/24" in str(caught.value)


# -- webhooks ------------------------------------------------------------------------------------------


def passthru(**stream: str) -> Webhook:
    fields = {"CallSid": CALL_ID, **{f"Stream[{name}]": value for name, value in stream.items()}}
    return Webhook(url=f"{URLS.ended}?{urlencode(fields)}", method="GET")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("completed", "stopped"),
        ("Completed", "stopped"),
        ("failed", "error"),
        ("started", "started"),
        ("x", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_passthru_applet_tells_how_the_stream_fared(status: str, told: str) -> None:
    carrier = Exotel(WITH_PASSWORD)
    assert carrier.status(passthru(Status=status, Duration="28", DisconnectedBy="bot")) == told
    as_json = json.dumps({"StreamSID": STREAM_ID, "Status": status, "Duration": 28})
    assert carrier.status(Webhook(url=f"{URLS.ended}?Stream={quote(as_json)}", method="GET")) == told


@pytest.mark.parametrize("stream", ["", "x", "[]", "[" * 5000, '{"Status":{}}', '{"Status":null}', "%FF"])
def test_a_passthru_that_nobody_can_read_is_unknown(stream: str) -> None:
    webhook = Webhook(url=f"{URLS.ended}?Stream={stream}", method="GET")
    assert Exotel(WITH_PASSWORD).status(webhook) == "unknown"


@pytest.mark.parametrize("ending", Ending)
def test_the_flow_goes_on_with_a_200(ending: Ending) -> None:
    carrier = Exotel(WITH_PASSWORD)
    reply = carrier.ended(passthru(Status="completed"), Ended(ending))
    assert (reply.status, reply.body) == (200, "")
    assert carrier.call_id_of(passthru(Status="completed")) == CALL_ID


@pytest.mark.parametrize(
    "query", ["", "?CallSid=", "?CallSid=a&CallSid=b", "?CallSid=..%2F", "?CallSid=a%0A"]
)
def test_a_call_needs_an_id_of_the_right_form(query: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Exotel(WITH_PASSWORD).incoming(Webhook(url=URLS.answer + query, method="GET"))
    assert caught.value.kind == "bad_webhook"


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (
            WITH_PASSWORD,
            "wss://exotel:a-pass%3Aword@bridge.example/carriers/exotel/media?sample-rate=8000",
        ),
        (WITH_ADDRESSES, "wss://bridge.example/carriers/exotel/media?sample-rate=8000"),
        (
            msgspec.structs.replace(WITH_ADDRESSES, sample_rate_hz=16_000),
            "wss://bridge.example/carriers/exotel/media?sample-rate=16000",
        ),
    ],
)
def test_an_applet_with_our_https_address_is_told_where_to_stream_to(config: ExotelConfig, url: str) -> None:
    reply = Exotel(config).answer(CASES.call, URLS, "unused")
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert json.loads(reply.body) == {"url": url}
    assert "a-pass" not in repr(reply)


# -- REST ----------------------------------------------------------------------------------------------


def test_a_placed_call_is_streamed_to_us() -> None:
    stand_in = ExotelRest(WITH_REST)
    plan = Exotel(WITH_REST).place_call("+919800011111", "08047491899", URLS)
    assert run(plan, stand_in) == PLACED
    (request,) = stand_in.granted
    assert request.url == "https://api.in.exotel.com/v1/Accounts/exotel1/Calls/connect"
    assert parse_qs(request.body.decode()) == {
        "From": ["+919800011111"],
        "CallerId": ["08047491899"],
        "StreamUrl": ["wss://exotel:a-pass%3Aword@bridge.example/carriers/exotel/media?sample-rate=8000"],
        "StreamType": ["bidirectional"],
    }
    assert "a-pass" not in repr(request)


@pytest.mark.parametrize(
    ("body", "call_id"),
    [
        (b"<?xml version='1.0'?><TwilioResponse><Call><Sid>abc</Sid></Call></TwilioResponse>", "abc"),
        (b'{"Call":{"Sid":"abc"}}', "abc"),
        (b"<TwilioResponse><Call/></TwilioResponse>", ""),
        (b"<!DOCTYPE x [<!ENTITY e 'x'>]><a>&e;</a>", ""),
        (b"<", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
        (b'{"Call":[]}', ""),
    ],
)
def test_the_call_is_named_in_json_or_in_xml(body: bytes, call_id: str) -> None:
    plan = Exotel(WITH_REST).place_call("+919800011111", "08047491899", URLS)
    next(plan)
    if call_id:
        with pytest.raises(StopIteration) as done:
            plan.send(RestAnswer(200, body))
        assert done.value.value == call_id
    else:
        with pytest.raises(CarrierError, match="names no call"):
            plan.send(RestAnswer(200, body))


def test_a_stream_url_that_is_too_long_is_refused_before_exotel_does() -> None:
    long = msgspec.structs.replace(WITH_REST, password=Secret("x" * 600))
    with pytest.raises(Unsupported, match="more than 600 characters") as caught:
        next(Exotel(long).place_call("+919800011111", "08047491899", URLS))
    assert "xxx" not in str(caught.value)


def test_the_credentials_are_checked_by_asking_for_calls() -> None:
    assert run(Exotel(WITH_REST).check(), ExotelRest(WITH_REST)) == "exotel1"
    assert Exotel(WITH_PASSWORD).check() is None


def test_wrong_credentials_are_told_without_a_secret_in_it() -> None:
    wrong = msgspec.structs.replace(WITH_REST, api_token=Secret("api-wrong"))
    with pytest.raises(CarrierError, match="read the account") as caught:
        run(Exotel(wrong).check(), ExotelRest(WITH_REST))
    assert caught.value.status == 401
    assert "api-" not in str(caught.value)


@pytest.mark.parametrize("lacking", ["account_sid", "api_key", "api_token"])
def test_a_call_cannot_be_placed_without_all_settings(lacking: str) -> None:
    bare = msgspec.structs.replace(WITH_REST, **{lacking: Secret() if lacking == "api_token" else ""})
    with pytest.raises(Unsupported, match="account_sid, api_key and api_token"):
        next(Exotel(bare).place_call("+919800011111", "08047491899", URLS))
    assert Exotel(bare).check() is None


def test_singapore_is_another_address() -> None:
    config = msgspec.structs.replace(WITH_REST, api_url="https://api.exotel.com/")
    plan = Exotel(config).check()
    assert plan is not None
    assert next(plan).url == "https://api.exotel.com/v1/Accounts/exotel1/Calls.json?PageSize=1"


# -- installation --------------------------------------------------------------------------------------


def test_the_settings_say_where_the_password_goes_and_not_what_it_is() -> None:
    lines = [f"{setting.where}: {setting.value}" for setting in Exotel(WITH_REST).settings("080", URLS)]
    assert "wss://USERNAME:PASSWORD@bridge.example/carriers/exotel/media?sample-rate=8000" in lines[0]
    assert not any(PASSWORD.reveal() in line for line in lines)
    assert any("Hangup applet" in line for line in lines)


def test_the_sample_is_a_harmless_status_that_we_believe_ourselves() -> None:
    carrier = Exotel(WITH_PASSWORD)
    sample = carrier.sample_request(URLS, 0.0)
    assert sample is not None
    carrier.verify_webhook(sample)
    assert carrier.status(sample) == "stopped"
    assert Exotel(WITH_BOTH).sample_request(URLS, 0.0) is None
