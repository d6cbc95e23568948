"""What the bridge and an agent elsewhere tell each other, as tables; and whatever else may come."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.remote import protocol as p

GOOD: list[tuple[dict[str, Any], p.Command]] = [
    ({"type": "say", "text": "Hello."}, p.Say(text="Hello.")),
    (
        {"type": "say", "id": "a-1", "turn": 3, "text": "Well", "more": True, "barge_in": "off"},
        p.Say(id="a-1", turn=3, text="Well", more=True, barge_in="off"),
    ),
    ({"type": "say_more", "id": "a-1", "text": " then."}, p.SayMore(id="a-1", text=" then.")),
    ({"type": "say_more", "id": "a-1", "last": True}, p.SayMore(id="a-1", last=True)),
    (
        {"type": "play", "prompt": "balance", "variables": {"amount": 12.5, "who": "you"}, "for_s": 3},
        p.Play(prompt="balance", variables={"amount": 12.5, "who": "you"}, for_s=3.0),
    ),
    (
        {"type": "gather", "id": "pin", "digits": "4", "timeout_s": "2.5", "finish_on": "*#", "mask": True},
        p.Gather(id="pin", digits=4, timeout_s=2.5, finish_on="*#", mask=True),
    ),
    ({"type": "transfer", "to": "sales"}, p.Transfer(to="sales")),
    ({"type": "send_digits", "digits": "12w#"}, p.SendDigits(digits="12w#")),
    ({"type": "hang_up", "whatever": [1, {}]}, p.HangUp()),
    ({"type": "stop"}, p.Stop()),
    ({"type": "listen", "turn": 2}, p.Listen(turn=2)),
    ({"type": "set", "barge_in": "digits"}, p.Set(barge_in="digits")),
    ({"type": "ack", "seq": 7}, p.Ack(seq=7)),
]
BAD: list[tuple[Any, str, p.Reason, str]] = [
    ({"type": "dance", "id": "x"}, "x", "unknown_command", "say, say_more"),
    ({"id": "x"}, "x", "unknown_command", "type must be"),
    ({"type": ["say"], "id": 5}, "", "unknown_command", "type must be"),
    ("say", "", "bad_command", "no object"),
    (None, "", "bad_command", "no object"),
    ({"type": "play", "id": "x"}, "x", "bad_command", "prompt"),
    ({"type": "say", "id": "x", "text": 5}, "x", "bad_command", "$.text"),
    ({"type": "say", "text": "x" * (p.MAX_TEXT + 1)}, "", "bad_command", "$.text"),
    ({"type": "say", "id": "no spaces", "text": ""}, "", "bad_command", "$.id"),
    ({"type": "say", "id": "x\n", "text": ""}, "", "bad_command", "$.id"),
    ({"type": "say", "id": "x" * 65, "text": ""}, "", "bad_command", "$.id"),
    ({"type": "gather", "digits": 0}, "", "bad_command", "$.digits"),
    ({"type": "gather", "digits": 65}, "", "bad_command", "$.digits"),
    ({"type": "gather", "timeout_s": 1e9}, "", "bad_command", "$.timeout_s"),
    ({"type": "gather", "finish_on": "x"}, "", "bad_command", "$.finish_on"),
    ({"type": "send_digits", "digits": "1; reboot"}, "", "bad_command", "$.digits"),
    ({"type": "play", "prompt": "x", "for_s": -1}, "", "bad_command", "$.for_s"),
    ({"type": "play", "prompt": "x", "variables": {"a": []}}, "", "bad_command", "$.variables"),
    (
        {"type": "play", "prompt": "x", "variables": {str(n): n for n in range(33)}},
        "",
        "bad_command",
        "variables",
    ),
    ({"type": "set", "barge_in": "x" * 500}, "", "bad_command", "enum"),
    ({"type": "ack", "seq": -1}, "", "bad_command", "$.seq"),
]
BROKEN = [
    (b"{", "garbage"),
    (b"\xff\xfe", "garbage"),
    (b'"say"', "garbage"),
    (b"null", "garbage"),
    (b'{"commands": 5}', "garbage"),
    (b"[" * 40_000, "garbage"),
    (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "garbage"),
    (b" " * (p.MAX_MESSAGE_BYTES + 1), "too_big"),
    (b"[" + b"1," * p.MAX_COMMANDS + b"1]", "too_many"),
]


@pytest.mark.parametrize("sent, command", GOOD)
def test_a_command_is_read(sent: dict[str, Any], command: p.Command) -> None:
    assert p.decode(json.dumps(sent).encode()) == [command]


def test_every_command_has_its_case() -> None:
    assert {type(command) for _, command in GOOD} == set(get_args(p.Command))


@pytest.mark.parametrize("wrap", [lambda many: many, lambda many: {"commands": many}])
def test_commands_come_alone_or_many_at_a_time(wrap: Any) -> None:
    raw = json.dumps(wrap([sent for sent, _ in GOOD])).encode()
    assert p.decode(raw) == [command for _, command in GOOD]


@pytest.mark.parametrize("raw", [b"", b" \n", b"[]", b'{"commands": []}'])
def test_nothing_is_no_command(raw: bytes) -> None:
    assert p.decode(raw) == []


@pytest.mark.parametrize("sent, name, reason, detail", BAD)
def test_what_is_wrong_with_a_command_is_told(sent: Any, name: str, reason: p.Reason, detail: str) -> None:
    first, second = p.decode(json.dumps([sent, {"type": "hang_up"}]).encode())
    assert isinstance(first, p.Refusal)
    assert (first.id, first.reason) == (name, reason)
    assert detail in first.detail and len(first.detail) <= 200
    assert second == p.HangUp(), "those beside it count"


@pytest.mark.parametrize("raw, kind", BROKEN)
def test_what_is_no_message_is_their_fault(raw: bytes, kind: str) -> None:
    with pytest.raises(ProtocolError) as broken:
        p.decode(raw)
    assert broken.value.kind == kind


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["type", "id", "text", "turn", "more", "digits", "commands", "to", "barge_in", "seq", "prompt"]
)
COMMANDS = st.dictionaries(FIELDS, st.sampled_from([*p.NAMES, "off", 1, 5, True]) | VALUES, max_size=5)


@given(st.one_of(st.binary(max_size=64), COMMANDS.map(lambda value: json.dumps(value).encode()),
                 st.lists(COMMANDS, max_size=3).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_whatever_comes_is_commands_refusals_or_their_fault(raw: bytes) -> None:
    try:
        commands = p.decode(raw)
    except ProtocolError:
        return
    for command in commands:
        assert isinstance(command, (*get_args(p.Command), p.Refusal))
        assert len(command.id) <= 64


def test_an_event_is_one_flat_object() -> None:
    told = json.loads(p.encode(p.Start(call_id="CA1", seq=1, from_="+1555")))
    assert told["type"] == "start" and told["from"] == "+1555" and told["version"] == p.VERSION
    posted = json.loads(p.encode_all([p.Turn(number=1), p.End()]))
    assert [event["type"] for event in posted["events"]] == ["turn", "end"]
