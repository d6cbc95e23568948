"""The emulated v4 session by itself: what is refused, what is said, in which order."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_protocol import Account, Close, Send
from bridge.emulators.lightning_requests import SpeechRequest
from bridge.emulators.lightning_v4_session import (
    BeginTurn,
    Rejection,
    StopTurn,
    Turn,
    V4Action,
    V4Session,
    settings_in,
)

SETTINGS = SpeechRequest(model="lightning_v4", voice_id="brannock", language="en", sample_rate_hz=8000)


def session(account: Account | None = None) -> V4Session:
    return V4Session(account or Account(), "ws_1", SETTINGS, idle_timeout_s=60, now=0)


def told(actions: list[V4Action]) -> list[dict[str, Any] | str]:
    """Messages as dictionaries, other actions by what they are about."""
    found: list[dict[str, Any] | str] = []
    for action in actions:
        match action:
            case Send(message):
                found.append(json.loads(message))
            case BeginTurn(turn):
                found.append(f"begin {turn.turn_id}")
            case StopTurn(turn):
                found.append(f"stop {turn.turn_id}")
            case Close(code):
                found.append(f"close {code}")
    return found


def say(talk: V4Session, now: float = 0, **event: Any) -> list[dict[str, Any] | str]:
    return told(talk.receive(json.dumps(event), now))


def begin(talk: V4Session, turn_id: str, text: str = "Hello.") -> Turn:
    """Have `turn_id` spoken."""
    actions = talk.receive(json.dumps({"event": "speak", "turn_id": turn_id, "text": text}), 0)
    (turn,) = (action.turn for action in actions if isinstance(action, BeginTurn))
    return turn


# -- the query ---------------------------------------------------------------------------------------------


def test_what_the_query_leaves_out_is_the_default() -> None:
    settings = settings_in({}, EmulatorOptions())
    assert isinstance(settings, SpeechRequest)
    assert (settings.voice_id, settings.language, settings.sample_rate_hz) == ("brannock", "en", 48000)
    assert (settings.speed, settings.output_format) == (1.0, "pcm")


def test_what_the_query_asks_is_heard() -> None:
    query = {
        "voice_id": "rhodes",
        "language": "auto",
        "sample_rate": "8000",
        "output_format": "pcm",
        "speed": "1.5",
        "content_filter": "true",
        "content_filter_action": "flag",
    }
    settings = settings_in(query, EmulatorOptions())
    assert isinstance(settings, SpeechRequest)
    assert (settings.voice_id, settings.language, settings.sample_rate_hz, settings.speed) == (
        *("rhodes", "auto"),
        *(8000, 1.5),
    )


@pytest.mark.parametrize(
    ("query", "options", "code"),
    [
        ({"sample_rate": "11025"}, EmulatorOptions(), ""),
        ({"sample_rate": ""}, EmulatorOptions(), ""),
        ({"voice_id": "magnus"}, EmulatorOptions(), "invalid_voice"),
        ({"language": "hi"}, EmulatorOptions(), "invalid_query"),
        ({"output_format": "ulaw"}, EmulatorOptions(), "invalid_query"),
        ({"speed": "2.5"}, EmulatorOptions(), "invalid_query"),
        ({"speed": "nan"}, EmulatorOptions(), "invalid_query"),
        ({"speed": "fast"}, EmulatorOptions(), "invalid_query"),
        ({"content_filter": "on"}, EmulatorOptions(), "invalid_query"),
        ({"content_filter_action": "shout"}, EmulatorOptions(), "invalid_query"),
        ({}, EmulatorOptions(v4_access=False), "model_access_denied"),
    ],
)
def test_what_is_refused_once_the_socket_is_open(
    query: dict[str, str], options: EmulatorOptions, code: str
) -> None:
    rejection = settings_in(query, options)
    assert isinstance(rejection, Rejection)
    assert rejection.close_code == 1008
    if code:
        answer = json.loads(rejection.message)
        assert (answer["status"], answer["error"]["code"]) == ("error", code)
    else:
        assert rejection.message == b""


def test_voices_may_be_let_be() -> None:
    assert isinstance(settings_in({"voice_id": "new"}, EmulatorOptions(strict_voices=False)), SpeechRequest)


# -- turns -------------------------------------------------------------------------------------------------


def test_it_says_twice_that_it_is_ready() -> None:
    assert told(session().opened()) == [
        {"event": "ready", "session_id": "ws_1"},
        {"event": "ready", "sample_rate": 8000},
    ]


def test_a_turn() -> None:
    account = Account()
    talk = session(account)
    assert say(talk, event="speak", turn_id="a", text="Hello.") == [
        {"event": "turn_start", "turn_id": "a"},
        "begin a",
    ]
    assert account.stats.active == 1
    turn = begin(session(account), "b")
    assert (turn.request.text, turn.request.sample_rate_hz, turn.number) == ("Hello.", 8000, 2)


def test_turns_wait_for_each_other_and_take_a_unit_each_in_turn() -> None:
    account = Account(EmulatorOptions(concurrency=1))
    talk = session(account)
    first = begin(talk, "a")
    assert say(talk, event="speak", turn_id="b", text="Two.") == []
    assert say(talk, event="speak", turn_id="c", text="Three.") == []
    assert told(talk.finished(first, 3, now=1)) == [
        {"event": "turn_end", "turn_id": "a", "chunks": 3},
        {"event": "turn_start", "turn_id": "b"},
        "begin b",
    ]
    assert (account.stats.active, account.stats.max_active, account.stats.completed) == (1, 1, 1)
    assert list(account.stats.texts) == ["Hello.", "Two."]


def test_an_interrupt_drops_the_turn_and_the_queue() -> None:
    account = Account()
    talk = session(account)
    turn = begin(talk, "a")
    say(talk, event="speak", turn_id="b", text="Never said.")
    assert say(talk, event="interrupt") == ["stop a"]
    assert account.stats.active == 0
    assert told(talk.finished(turn, 9, now=1)) == [], "it is over already"
    assert told(talk.stopped(turn, 2)) == [{"event": "interrupted", "turn_id": "a", "chunks": 2}]
    assert list(account.stats.texts) == ["Hello."]
    assert begin(talk, "c").turn_id == "c", "the session lives on"


def test_a_turn_asked_before_the_acknowledgement_begins_after_it() -> None:
    talk = session()
    turn = begin(talk, "a")
    say(talk, event="interrupt")
    assert say(talk, event="interrupt") == [], "one is on its way"
    assert say(talk, event="speak", turn_id="b", text="Next.") == []
    assert told(talk.stopped(turn, 0)) == [
        {"event": "interrupted", "turn_id": "a", "chunks": 0},
        {"event": "turn_start", "turn_id": "b"},
        "begin b",
    ]


def test_an_interrupt_of_nothing_is_acknowledged_without_a_name() -> None:
    assert say(session(), event="interrupt") == [{"event": "interrupted", "turn_id": None, "chunks": 0}]


def test_a_turn_that_fails_makes_way_for_the_next() -> None:
    talk = session()
    turn = begin(talk, "a")
    say(talk, event="speak", turn_id="b", text="Two.")
    failed, started, begun = told(talk.failed(turn, "broken"))
    assert isinstance(failed, dict)
    assert (failed["event"], failed["code"], failed["turn_id"]) == ("error", "internal_error", "a")
    assert (started, begun) == ({"event": "turn_start", "turn_id": "b"}, "begin b")


def test_a_turn_that_fails_while_it_is_interrupted_is_interrupted() -> None:
    talk = session()
    turn = begin(talk, "a")
    say(talk, event="interrupt")
    assert told(talk.failed(turn, "broken")) == [{"event": "interrupted", "turn_id": "a", "chunks": 0}]


def test_over_the_accounts_concurrency_a_turn_is_refused_by_name() -> None:
    account = Account(EmulatorOptions(concurrency=1))
    begin(session(account), "a")
    (refused,) = say(session(account), event="speak", turn_id="b", text="Two.")
    assert isinstance(refused, dict)
    assert (refused["code"], refused["turn_id"]) == ("concurrency_limit_exceeded", "b")
    assert account.stats.over_concurrency == 1


def test_the_end_drops_what_is_said() -> None:
    account = Account()
    talk = session(account)
    begin(talk, "a")
    assert say(talk, event="end") == ["stop a", "close 1000"]
    assert account.stats.active == 0


def test_a_socket_that_goes_takes_its_turn_with_it() -> None:
    account = Account()
    talk = session(account)
    begin(talk, "a")
    talk.closed()
    assert (account.stats.active, account.stats.cancelled) == (0, 1)


# -- what is wrong in a session leaves it open ---------------------------------------------------------------

WAV = base64.b64encode(b"RIFF\0\0\0\0WAVE").decode()
WRONG = [
    ("[]", "bad_frame"),
    ("{", "bad_frame"),
    ("{}", "bad_frame"),
    ('{"event":"shout"}', "bad_frame"),
    ('{"type":"ping"}', "bad_frame"),
    ('{"event":"speak","text":"x"}', "bad_frame"),
    ('{"event":"speak","turn_id":"","text":"x"}', "bad_frame"),
    ('{"event":"speak","turn_id":7,"text":"x"}', "bad_frame"),
    ('{"event":"speak","turn_id":"a"}', "bad_frame"),
    ('{"event":"speak","turn_id":"a","text":"  "}', "bad_frame"),
    (json.dumps({"event": "speak", "turn_id": "a", "text": "x" * 8001}), "bad_frame"),
    ('{"event":"user_audio","text":"x"}', "bad_user_audio"),
    ('{"event":"user_audio","text":"x","audio":"?"}', "bad_user_audio"),
    ('{"event":"user_audio","text":"x","audio":"AAAA"}', "bad_user_audio"),
    (json.dumps({"event": "user_audio", "audio": WAV}), "bad_user_audio"),
]


@pytest.mark.parametrize(("message", "code"), WRONG)
def test_what_is_wrong_is_told_and_leaves_the_session_open(message: str, code: str) -> None:
    talk = session()
    (error,) = told(talk.receive(message, 0))
    assert isinstance(error, dict)
    assert (error["event"], error["code"]) == ("error", code)
    assert begin(talk, "after").turn_id == "after"


def test_the_callers_turn_is_taken_in_silence() -> None:
    assert say(session(), event="user_audio", text="Yes.", audio=WAV) == []


@given(st.one_of(st.binary(), st.text()))
def test_nothing_that_is_said_to_it_raises(message: bytes | str) -> None:
    session().receive(message, 0)


# -- silence -----------------------------------------------------------------------------------------------


def test_an_idle_session_is_closed_and_one_that_speaks_is_not() -> None:
    account = Account()
    talk = session(account)
    assert talk.deadline == 60
    assert talk.expire(59.9) == []
    begin(talk, "a")
    assert talk.expire(60) == []
    assert talk.deadline == 120
    error, closed = told(session(account).expire(60))
    assert isinstance(error, dict)
    assert "inactivity" in error["message"]
    assert closed == "close 1000"
    assert account.stats.idle_closed == 1
