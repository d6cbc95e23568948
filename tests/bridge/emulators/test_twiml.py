"""TwiML as the simulated Twilio reads it."""

from __future__ import annotations

import pytest

from bridge.emulators.twiml import StreamOrder, Twiml, Verb, parse_twiml
from bridge.errors import ProtocolError

WS = "wss://bridge.example/media"


@pytest.mark.parametrize(
    ("body", "twiml"),
    [
        ("<Response/>", Twiml(None, ())),
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Reject reason="busy"/></Response>',
            Twiml(None, (Verb("Reject", {"reason": "busy"}),)),
        ),
        (
            f'<Response><Connect><Stream url="{WS}"/></Connect></Response>',
            Twiml(StreamOrder(WS), ()),
        ),
        (
            f'<Response><Say>hi</Say><Connect action="/ended"><Stream url="{WS}" name="n" statusCallback="/s">'
            '<Parameter name="a" value="1"/><Parameter name="b" value="&lt;ü&gt;"/></Stream></Connect>'
            '<Say voice="x"> sorry </Say><Hangup/></Response>',
            Twiml(
                StreamOrder(
                    WS, True, {"a": "1", "b": "<ü>"}, name="n", status_callback="/s", action="/ended"
                ),
                (Verb("Say", {"voice": "x"}, "sorry"), Verb("Hangup")),
            ),
        ),
        (
            f'<Response><Start><Stream url="{WS}" track="both_tracks"/></Start><Pause length="9"/></Response>',
            Twiml(
                StreamOrder(WS, bidirectional=False, tracks=("inbound", "outbound")),
                (Verb("Pause", {"length": "9"}),),
            ),
        ),
        # Twilio drops the query: a token in it never arrives.
        (
            f'<Response><Connect><Stream url="{WS}?token=x#y"/></Connect></Response>',
            Twiml(StreamOrder(WS), ()),
        ),
        ("<Response><Connect><Room>r</Room></Connect></Response>", Twiml(None, (Verb("Connect", text="r"),))),
    ],
)
def test_it_reads(body: str, twiml: Twiml) -> None:
    assert parse_twiml(body) == twiml


def stream(attributes: str, inside: str = "", verb: str = "Connect") -> str:
    return f"<Response><{verb}><Stream {attributes}>{inside}</Stream></{verb}></Response>"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", 12100),
        ("busy", 12100),
        ("<Response>", 12100),
        ("<Responses/>", 12102),
        (stream(""), 31922),
        (stream('url="https://bridge.example/media"'), 31922),
        (stream('url="/media"'), 31922),
        (stream('url="wss:///media"'), 31923),
        (stream(f'url="{WS}" track="both_tracks"'), 31941),
        (stream(f'url="{WS}" track="mine"', verb="Start"), 31941),
        (stream(f'url="{WS}"', '<Parameter value="1"/>'), 12200),
        (stream(f'url="{WS}"', f'<Parameter name="a" value="{"1" * 500}"/>'), 12200),
    ],
)
def test_it_refuses_with_twilios_number(body: str, code: int) -> None:
    with pytest.raises(ProtocolError, match=f"{code}: "):
        parse_twiml(body)


def test_a_verb_is_readable() -> None:
    assert [str(Verb("Say", text="sorry")), str(Verb("Hangup"))] == ["<Say>sorry", "<Hangup>"]
