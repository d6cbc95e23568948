"""Asterisk: what only its WebSocket channel does, the dialplan's questions, and ARI."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from bridge.carriers.asterisk import Asterisk, AsteriskConfig
from bridge.carriers.asterisk_dialect import FORMATS, AsteriskDialect, in_json
from bridge.carriers.carrier import Ended, Ending, MediaSocket, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Binary, Ignored, Started
from bridge.carriers.rest import basic
from bridge.emulators.carriers.asterisk_rest import AsteriskRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import ALAW_8K, MULAW_8K
from tests.bridge.carriers.cases.asterisk import (
    CALL_ID,
    CALLER_ID,
    CASES,
    CONNECTION_ID,
    FORM,
    PASSWORD,
    URLS,
)

CARRIER = CASES.carrier()
ARI = AsteriskConfig(
    username="asterisk",
    password=PASSWORD,
    ari_url="http://asterisk.example:8088/",
    ari_username="bridge",
    ari_password=Secret("ari-password"),
    endpoint="PJSIP/{to}@trunk",
)
#: The longest name that a playout gives a mark: a generation and ten hours.
LONGEST_MARK = "4294967295.36000000"


def start(**changes: object) -> bytes:
    """MEDIA_START with other values in it."""
    return msgspec.json.encode({**msgspec.json.decode(CASES.frame("start")), **changes})


def dialect(query: str = "") -> AsteriskDialect:
    return Asterisk(ARI).dialect(Upgrade(url=URLS.media + query))


def webhook(form: Any = None, query: str = "") -> Webhook:
    return Webhook(url=URLS.answer + query, headers=basic("asterisk", PASSWORD), form=form or {})


# -- the media socket ------------------------------------------------------------------------------


def test_audio_before_media_start_is_counted_and_the_call_goes_on() -> None:
    """It comes so in one call of ten under load."""
    made = CASES.fresh()
    for _ in range(5):
        assert made.receive(CASES.frame("media")) == Ignored("media_before_start")
    assert isinstance(made.receive(CASES.frame("start")), Started)
    assert made.receive(CASES.frame("media")) == Audio(CASES.payload, 0)
    assert made.receive(CASES.frame("media")) == Audio(CASES.payload, 20)


@pytest.mark.parametrize(
    ("frame", "commands"),
    [
        ("start", [b'{"command":"FLUSH_MEDIA"}', b'{"command":"CONTINUE_MEDIA"}', b'{"command":"HANGUP"}']),
        ("start_plain", [b"FLUSH_MEDIA", b"CONTINUE_MEDIA", b"HANGUP"]),
    ],
)
def test_commands_are_in_the_form_of_media_start(frame: str, commands: list[bytes]) -> None:
    made = CASES.after(frame)
    made.receive(CASES.frame("xoff_plain" if frame == "start" else "xoff"))  # a stray of the other form
    assert [*made.clear(), *made.goodbye("agent")] == commands


@pytest.mark.parametrize("frame", ["start", "start_plain"])
def test_no_command_is_longer_than_asterisk_reads(frame: str) -> None:
    made = CASES.after(frame)
    said = [
        *made.opened(),
        *made.clear(),
        *made.mark(LONGEST_MARK),
        *made.mark("m" * 64),
        *made.probe(),
        *made.goodbye("x"),
    ]
    assert max(map(len, said)) <= 128
    assert not [message for message in said if isinstance(message, Binary)]


@pytest.mark.parametrize(
    ("frame", "command"), [("start", b'{"command":"GET_STATUS"}'), ("start_plain", b"GET_STATUS")]
)
def test_a_silent_line_is_asked_for_its_status(frame: str, command: bytes) -> None:
    """A phone that is muted may send no packets: that alone is no dead line."""
    made = CASES.after(frame)
    assert list(made.probe()) == [command]
    assert made.receive(CASES.frame("status")) == Ignored("status"), "which is a message like any other"


def test_a_mark_in_plain_text() -> None:
    assert list(CASES.after("start_plain").mark("1.1000")) == [b"MARK_MEDIA 1.1000"]


@pytest.mark.parametrize("name", ["", "a b", 'a"', "a\n", "m" * 65, "\u00e9"])
def test_a_mark_that_would_spoil_its_command_is_our_fault(name: str) -> None:
    with pytest.raises(AssertionError):
        CASES.streaming().mark(name)


@pytest.mark.parametrize(
    ("codec", "frame_bytes", "message_ms"),
    [
        *((name, audio.bytes_in(20), 20) for name, audio in FORMATS.items()),
        ("ulaw", 80, 20),  # ptime 10
        ("ulaw", 240, 60),  # 30
        ("ulaw", 320, 40),
        ("slin16", 1920, 60),
        ("ulaw", 1600, 200),
    ],
)
def test_messages_are_whole_frames(codec: str, frame_bytes: int, message_ms: int) -> None:
    made = dialect()
    made.receive(start(format=codec, optimal_frame_size=frame_bytes))
    assert made.inbound_format == made.outbound_format == FORMATS[codec]
    assert made.delivery.message_ms == message_ms
    assert FORMATS[codec].bytes_in(message_ms) % frame_bytes == 0


def test_a_release_that_tells_no_id_is_not_waited_for_with_its_marks() -> None:
    """Before 22.8 there is neither ``channel_id`` nor MARK_MEDIA: a mark would never come back."""
    assert not CASES.after("start_old_plain").delivery.marks
    assert CASES.after("start_plain").delivery.marks
    named = dialect(f"?caller={CALLER_ID}").receive(CASES.frame("start_old_plain"))
    assert isinstance(named, Started)
    assert named.call_id == CALLER_ID


@pytest.mark.parametrize(("codec", "said"), [("g729", "'g729' is not spoken"), ("ulaw", "frames of 0 bytes")])
def test_a_channel_in_passthrough_mode_is_told_what_is_wrong(codec: str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        dialect().receive(start(format=codec, optimal_frame_size=0))
    assert (caught.value.kind, caught.value.close_code) == ("bad_format", 1008)


def test_formats_that_cost_nothing_come_first() -> None:
    assert CARRIER.capabilities.formats[:2] == (MULAW_8K, ALAW_8K)


def test_half_a_sample_is_dropped_with_its_message() -> None:
    made = dialect()
    made.receive(start(format="slin16", optimal_frame_size=640))
    assert made.receive(Binary(b"\1\2\3")) == Audio(b"\1\2", 0)
    assert made.receive(Binary(b"\4\5")) == Audio(b"\4\5", 0)


@pytest.mark.parametrize(
    ("query", "call_id", "numbers"),
    [
        ("", CALLER_ID, ("+15550001111", "+15550002222")),
        ("?caller=1.5&from=alice&to=%2B1", "1.5", ("alice", "+1")),
        ("?caller=../x", CALL_ID, ("+15550001111", "+15550002222")),
        ("?caller=a%20b&from=%07bell", CALL_ID, ("bell", "+15550002222")),
        ("?call=abc", CALLER_ID, ("+15550001111", "+15550002222")),
    ],
)
def test_the_address_is_believed_before_the_channels_variables(
    query: str, call_id: str, numbers: tuple[str, str]
) -> None:
    started = dialect(query).receive(CASES.frame("start_incoming"))
    assert isinstance(started, Started)
    assert (started.call_id, started.stream_id) == (call_id, CALL_ID)
    assert (started.from_number, started.to_number) == numbers


def test_the_connection_id_is_never_the_call() -> None:
    first, second = dialect(), dialect()
    ids = [
        made.receive(start(channel_id=channel_id))
        for made, channel_id in ((first, "1795260005.2"), (second, "1795260005.4"))
    ]
    assert [started.call_id for started in ids if isinstance(started, Started)] == [
        "1795260005.2",
        "1795260005.4",
    ]


def test_variables_that_are_not_text_are_left_out() -> None:
    started = dialect().receive(start(channel_variables={"BRIDGE_FROM": 5, "BRIDGE_TO": ["x"], "OTHER": {}}))
    assert isinstance(started, Started)
    assert (started.from_number, started.to_number, dict(started.parameters)) == ("", "", {})


def test_a_start_of_another_channel_closes_the_socket() -> None:
    with pytest.raises(ProtocolError) as caught:
        CASES.streaming().receive(CASES.frame("start_other_call"))
    assert (caught.value.kind, caught.value.close_code) == ("second_start", 1008)


def test_a_codec_that_is_not_spoken_closes_with_the_mend_but_not_in_a_call() -> None:
    wrong = CASES.frame("hopeless/start_opus")
    with pytest.raises(ProtocolError, match=r"'opus' is not spoken here; dial c\(ulaw\)") as caught:
        CASES.fresh().receive(wrong)
    assert (caught.value.kind, caught.value.close_code) == ("bad_format", 1008)
    with pytest.raises(ProtocolError) as during:
        CASES.streaming().receive(wrong)
    assert during.value.close_code is None


@pytest.mark.parametrize("name", ["start", "dtmf", "mark", "xoff", "status", "error"])
def test_every_truncation_of_json_is_told(name: str) -> None:
    message = CASES.frame(name)
    for end in range(len(message)):
        with pytest.raises(ProtocolError):
            CASES.streaming().receive(message[:end])


WORD = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Z", "C"]), min_size=1
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(lambda k: k != "event"), WORD))
def test_a_line_of_plain_text_is_read_as_the_json_that_says_the_same(fields: dict[str, str]) -> None:
    line = " ".join(["STATUS", *(f"{key}:{value}" for key, value in fields.items())])
    assert msgspec.json.decode(in_json(line.encode())) == {"event": "STATUS", **fields}


@given(st.binary())
def test_no_line_of_plain_text_raises(line: bytes) -> None:
    assert isinstance(in_json(line), bytes)


# -- the gate --------------------------------------------------------------------------------------


def test_a_webhook_is_let_in_by_name_and_password_alone() -> None:
    CARRIER.verify_webhook(webhook())
    for headers in ({}, basic("asterisk", Secret("another")), basic("root", PASSWORD)):
        with pytest.raises(Refused):
            CARRIER.verify_webhook(replace(webhook(), headers=headers))


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (AsteriskConfig(), ["username", "password"]),
        (AsteriskConfig(username="a"), ["password"]),
        (AsteriskConfig(password=PASSWORD), ["username"]),
        (AsteriskConfig(username="a", password=PASSWORD), []),
    ],
)
def test_it_is_served_with_name_and_password(config: AsteriskConfig, missing: list[str]) -> None:
    assert [key for key, _ in Asterisk(config).missing()] == missing


# -- the dialplan asks -----------------------------------------------------------------------------


def test_a_waiting_channel_is_connected_to() -> None:
    reply = CARRIER.answer(CASES.call, URLS, "")
    assert (reply.status, reply.dial) == (
        200,
        MediaSocket(
            f"ws://asterisk.example:8088/media/{CONNECTION_ID}", basic("asterisk", PASSWORD), ("media",)
        ),
    )
    assert PASSWORD.reveal() not in repr(reply)


def test_a_question_may_be_a_get() -> None:
    query = f"?connection_id={CONNECTION_ID}&caller={CALLER_ID}&from=%2B15550001111&to=%2B15550002222"
    asked = replace(webhook(query=query), method="GET")
    assert asked.method in CARRIER.webhook_methods
    assert CARRIER.incoming(asked) == CASES.call


def test_without_a_caller_the_call_is_named_by_its_connection() -> None:
    call = CARRIER.incoming(webhook({"connection_id": CONNECTION_ID}))
    assert call is not None
    assert (call.call_id, call.detail) == (CONNECTION_ID, CONNECTION_ID)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"connection_id": ""},
        {"connection_id": "../../ari/channels"},
        {"connection_id": "0a1b2c3d?x=1"},
        {"connection_id": "0a1b2c3d#"},
        {"connection_id": "0a1b2c3d\n"},
        {"connection_id": "x" * 101},
        {"connection_id": CONNECTION_ID, "caller": "a/b"},
        MultiDict([("connection_id", CONNECTION_ID), ("connection_id", "another-connection")]),
    ],
)
def test_an_id_that_could_lead_elsewhere_is_refused(form: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        CARRIER.incoming(webhook(form))
    assert caught.value.kind == "bad_webhook"


def test_without_media_url_the_operator_is_told() -> None:
    reply = Asterisk(ARI).answer(CASES.call, URLS, "")
    assert (reply.status, reply.dial) == (503, None)
    assert "carriers.asterisk.media_url" in reply.body


def test_numbers_lose_their_control_characters() -> None:
    call = CARRIER.incoming(webhook({**FORM, "from": "</Say>\x00\x1b[2J", "to": "x" * 5000}))
    assert call is not None
    assert (call.from_number, len(call.to_number)) == ("</Say>[2J", 400)


@pytest.mark.parametrize(
    ("ended", "body"),
    [
        (Ended(Ending.TRANSFERRED, "+15550009999"), "+15550009999"),
        (Ended(Ending.TRANSFERRED, "100"), "100"),
        (Ended(Ending.TRANSFERRED, "100,30,g&PJSIP/evil"), ""),
        (Ended(Ending.FINISHED, "+15550009999"), ""),
        (Ended(Ending.LOST), ""),
    ],
)
def test_the_dialplan_is_told_whom_to_dial_next(ended: Ended, body: str) -> None:
    asked = webhook({"caller": CALLER_ID})
    assert CARRIER.call_id_of(asked) == CALLER_ID
    reply = CARRIER.ended(asked, ended)
    assert (reply.status, reply.body) == (200, body)


def test_a_question_about_no_call_is_a_bad_one() -> None:
    with pytest.raises(ProtocolError):
        CARRIER.call_id_of(webhook({"caller": "a b"}))


# -- call control ----------------------------------------------------------------------------------

INJECTIONS = ["", "1,2", "1&PJSIP/2", "1 2", "${SHELL(id)}", "1)", "1/2", "1|2", "-1", "1\n", "x" * 66, "a@b"]


@pytest.mark.parametrize("to", INJECTIONS)
def test_whatever_a_dialplan_could_misread_is_not_dialled(to: str) -> None:
    with pytest.raises(CarrierError):
        CARRIER.transfer(CASES.call, to, URLS)
    with pytest.raises(CarrierError):
        run(Asterisk(ARI).place_call(to, "+15550001111", URLS), AsteriskRest(ARI))
    with pytest.raises(CarrierError):
        run(Asterisk(ARI).place_call("+15550001111", to, URLS), AsteriskRest(ARI))


def test_a_transfer_waits_for_the_dialplans_question() -> None:
    assert CARRIER.transfer(CASES.call, "+15550009999", URLS) is None
    assert CARRIER.hang_up(CASES.call) is None


def test_keys_cannot_be_sent() -> None:
    with pytest.raises(Unsupported):
        CARRIER.send_digits(CASES.call, "1")


def test_a_call_is_placed_into_the_dialplan() -> None:
    ari = AsteriskRest(ARI)
    assert run(Asterisk(ARI).place_call("+15550002222", "+15550001111", URLS), ari) == "1795260005.7"
    (request,) = ari.granted
    assert msgspec.json.decode(request.body) == {
        "endpoint": "PJSIP/+15550002222@trunk",
        "context": "bridge",
        "extension": "placed",
        "priority": 1,
        "callerId": "+15550001111",
        "variables": {"BRIDGE_FROM": "+15550001111", "BRIDGE_TO": "+15550002222"},
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ari_url": ""}, "ari_url"),
        ({"ari_username": ""}, "ari_username"),
        ({"ari_password": Secret()}, "ari_password"),
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "PJSIP/100"}, "endpoint"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], named: str) -> None:
    lacking = msgspec.structs.replace(ARI, **changes)
    with pytest.raises(Unsupported, match=f"carriers.asterisk.*{named}"):
        run(Asterisk(lacking).place_call("+15550002222", "+15550001111", URLS), AsteriskRest(ARI))


def test_wrong_credentials_are_told_without_them() -> None:
    wrong = msgspec.structs.replace(ARI, ari_password=Secret("another-password"))
    plan = Asterisk(wrong).check()
    with pytest.raises(CarrierError, match="401") as caught:
        run(plan, AsteriskRest(ARI))
    assert "another-password" not in str(caught.value)


def test_the_credentials_are_checked_by_asking_for_the_version() -> None:
    assert run(Asterisk(ARI).check(), AsteriskRest(ARI)) == "Asterisk 22.8.0"
    assert CARRIER.check() is None


# -- installation ----------------------------------------------------------------------------------


def test_the_settings_name_address_and_number_and_no_password() -> None:
    text = "\n".join(f"{setting.where}: {setting.value}" for setting in CARRIER.settings("100", URLS))
    assert URLS.media in text and URLS.ended in text and "exten => 100,1," in text
    assert PASSWORD.reveal() not in text


def test_the_sample_request_passes_the_gate() -> None:
    sample = Asterisk(ARI).sample_request(URLS, 1.0)
    CARRIER.verify_webhook(sample)
    assert (sample.url, CARRIER.status(sample)) == (URLS.status, "unknown")


@pytest.mark.parametrize("url", ["http://asterisk:8088", "asterisk", "ws://a b", "ws://a?x"])
def test_media_url_must_be_a_websocket_address(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"media_url": url}, AsteriskConfig)
