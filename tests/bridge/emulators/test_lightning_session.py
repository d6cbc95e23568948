from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_protocol import (
    Account,
    Action,
    Begin,
    Close,
    Send,
    Stop,
    Synthesis,
)
from bridge.emulators.lightning_requests import FIELDS
from bridge.emulators.lightning_session import LightningSession
from bridge.emulators.speech_engine import TimedWord

HELLO: dict[str, Any] = {"text": "Hello there.", "voice_id": "magnus"}


class Line:
    """A session with the clock and the JSON taken care of."""

    def __init__(self, account: Account | None = None, **options: Any) -> None:
        self.account = account or Account(EmulatorOptions(**options))
        self.session = LightningSession(self.account, "ws_1", idle_timeout_s=60, now=0)

    def say(self, *, now: float = 0, **fields: Any) -> list[Action]:
        return self.session.receive(json.dumps(fields), now)

    def begin(self, *, now: float = 0, **fields: Any) -> Synthesis:
        (action,) = self.say(now=now, **HELLO | fields)
        assert isinstance(action, Begin)
        return action.synthesis

    def error(self, **fields: Any) -> dict[str, Any]:
        (action,) = self.say(**fields)
        return read(action)


def read(action: Action) -> dict[str, Any]:
    assert isinstance(action, Send)
    message: dict[str, Any] = json.loads(action.message)
    return message


@pytest.mark.parametrize("kind", ["ping", "keepalive", "keep_alive", "keep-alive"])
def test_keepalives_are_answered(kind: str) -> None:
    (action,) = Line().say(type=kind)
    assert read(action) == {"type": "pong"}


def test_every_message_of_a_synthesis_carries_the_ids_of_both_sides() -> None:
    synthesis = Line().begin(request_id="r-1", session_id="s-1")
    ids = {
        "session_id": "ws_1",
        "request_id": "task_00000001",
        "external_session_id": "s-1",
        "external_request_id": "r-1",
    }
    word = {"id": 2, "word": '"$100"', "start": 1.12, "end": 1.92}
    assert json.loads(synthesis.chunk(b"AAAA")) == {**ids, "status": "chunk", "data": {"audio": "AAAA"}}
    assert json.loads(synthesis.word(2, TimedWord('"$100"', 1120, 1920))) == {
        **ids,
        "status": "word_timestamp",
        "data": word,
    }
    assert json.loads(synthesis.complete()) == {**ids, "status": "complete"}


def test_ids_the_client_did_not_give_are_absent_and_ours_never_repeat() -> None:
    line = Line()
    first, second = line.begin(), line.begin()
    assert json.loads(first.complete()).keys() == {"session_id", "request_id", "status"}
    assert json.loads(first.complete())["request_id"] != json.loads(second.complete())["request_id"]


def test_complete_is_sent_once() -> None:
    line = Line()
    synthesis = line.begin()
    assert line.session.finished(synthesis, 1.0) == [Send(synthesis.complete())]
    assert line.session.finished(synthesis, 1.0) == []
    assert line.account.stats.completed == 1


def test_the_socket_closes_after_complete_where_that_is_switched_on() -> None:
    line = Line(close_after_complete=True)
    assert line.session.finished(line.begin(), 1.0)[1:] == [Close(1000)]


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "null", "7", '"ping"', "[" * 200_000, b"\xff\xfe", '{"a":"\\ud800"}x']
)
def test_what_is_not_a_json_object_is_an_error_and_the_socket_lives(message: str | bytes) -> None:
    line = Line()
    (action,) = line.session.receive(message, 0)
    assert read(action)["message"] == "Invalid JSON message"
    line.begin()


REFUSALS = [
    ({**HELLO, "output_format": "mulaw"}, "received 'mulaw'", "invalid_enum_value"),
    ({**HELLO, "text": "x" * 8001}, "at most 8000", "too_big"),
    ({**HELLO, "text": " \n\t "}, "whitespace", "custom"),
    ({**HELLO, "text": ""}, "whitespace", "custom"),
    ({"voice_id": "magnus"}, "whitespace", "custom"),
    ({**HELLO, "text": " ", "flush": True}, "whitespace", "custom"),
    ({"type": ["ping"]}, "whitespace", "custom"),
]


@pytest.mark.parametrize(("fields", "words", "code"), REFUSALS)
def test_refusals_in_both_shapes(fields: dict[str, Any], words: str, code: str) -> None:
    flat = Line().error(**fields, request_id="r-1")
    assert (flat["status"], flat["external_request_id"], flat["error_code"]) == ("error", "r-1", code)
    assert words in flat["message"]
    assert flat["error"][0]["code"] == code

    nested = Line(nested_errors=True).error(**fields)
    assert "message" not in nested
    assert words in nested["error"]["message"]
    assert nested["error"]["code"] == code


def test_over_concurrency_is_refused_across_sockets_and_not_queued() -> None:
    account = Account(EmulatorOptions(concurrency=1))
    first, second = Line(account), Line(account)
    synthesis = first.begin()
    refused = second.error(**HELLO)
    assert refused["error_code"] == "CONCURRENCY_LIMIT_EXCEEDED"
    assert (account.stats.over_concurrency, account.stats.active) == (1, 1)

    first.session.finished(synthesis, 1.0)
    second.begin()
    assert account.stats.max_active == 1


def test_no_limit_is_no_limit() -> None:
    line = Line(concurrency=0)
    assert len({line.begin() for _ in range(500)}) == line.account.stats.max_active == 500


def test_cancel_stops_what_is_spoken_frees_the_unit_and_says_nothing() -> None:
    line = Line(concurrency=2)
    first, second = line.begin(), line.begin()
    assert line.say(text=None, cancel_request=True) == [Stop(first), Stop(second)]
    assert line.session.finished(first, 1.0) == []
    assert (line.account.stats.active, line.account.stats.cancelled) == (0, 2)
    assert line.say(cancel_request=True) == []


def test_a_closed_socket_gives_its_units_back() -> None:
    line = Line()
    synthesis = line.begin()
    assert line.session.closed() == [Stop(synthesis)]
    assert line.account.stats.active == 0


def test_an_engine_that_failed_is_an_error_of_that_request() -> None:
    line = Line()
    synthesis = line.begin(request_id="r-1")
    (action,) = line.session.failed(synthesis, "no voice", 1.0)
    told = read(action)
    assert (told["status"], told["message"], told["external_request_id"]) == ("error", "no voice", "r-1")
    assert line.session.failed(synthesis, "no voice", 1.0) == []
    assert line.account.stats.active == 0


def test_continue_holds_text_until_a_flush() -> None:
    line = Line()
    assert line.say(**HELLO | {"text": "One "}, **{"continue": True}, sample_rate=8000) == []
    assert line.say(text=" ", **{"continue": True}) == []
    (action,) = line.say(text="", flush=True)
    assert isinstance(action, Begin)
    assert (action.synthesis.request.text, action.synthesis.request.sample_rate_hz) == ("One  ", 8000)
    assert line.say(text="", flush=True) == []  # nothing buffered: not even `complete`
    assert line.say(text="", flush=True, **{"continue": True}) == []


def test_continue_is_over_when_it_is_left_out() -> None:
    line = Line()
    line.say(**HELLO | {"text": "One "}, **{"continue": True})
    assert line.begin(text="two.").request.text == "One two."


def test_buffered_text_is_released_when_there_is_enough_of_it() -> None:
    line = Line()
    line.say(**HELLO | {"text": "x" * 250}, **{"continue": True})
    (action,) = line.say(text="y", **{"continue": True})
    assert isinstance(action, Begin)
    assert action.synthesis.request.text == "x" * 250 + "y"


def test_buffered_text_is_released_when_its_time_is_up() -> None:
    line = Line()
    line.say(now=10, **HELLO | {"text": "One", "max_buffer_flush_ms": 500}, **{"continue": True})
    line.say(now=10.4, **HELLO | {"text": " two", "max_buffer_flush_ms": 500}, **{"continue": True})
    assert line.session.deadline == 10.5
    assert line.session.expire(10.4) == []
    (action,) = line.session.expire(10.5)
    assert isinstance(action, Begin)
    assert action.synthesis.request.text == "One two"
    assert line.session.deadline == pytest.approx(70.4)


def test_cancel_drops_what_is_buffered() -> None:
    line = Line()
    line.say(**HELLO, **{"continue": True})
    assert line.say(cancel_request=True) == []
    assert line.say(text="", flush=True) == []


def test_an_idle_socket_is_told_and_closed() -> None:
    line = Line()
    assert line.session.deadline == 60
    assert line.session.expire(59.9) == []
    told, close = line.session.expire(60)
    assert read(told) == {"status": "error", "message": "Connection timed out after 60 seconds of inactivity"}
    assert close == Close(1000)


@pytest.mark.parametrize("message", ['{"type":"ping"}', "rubbish"])
def test_any_message_keeps_the_socket(message: str) -> None:
    line = Line()
    line.session.receive(message, 50)
    assert line.session.expire(109) == []
    assert line.session.deadline == 110


def test_a_socket_is_not_idle_while_it_speaks() -> None:
    line = Line()
    synthesis = line.begin()
    assert line.session.expire(60) == []
    assert line.session.deadline == 120
    line.session.finished(synthesis, 100)
    assert line.session.deadline == 160


TIMED = [
    ("meher", "en", {}, True),
    ("meher", None, {}, True),
    ("meher", "de", {}, False),
    ("magnus", "en", {}, False),
    ("magnus", "de", {"words_for_any_voice": True}, True),
]


@pytest.mark.parametrize(("voice_id", "language", "options", "timed"), TIMED)
def test_only_some_voices_time_their_words(
    voice_id: str, language: str | None, options: dict[str, Any], timed: bool
) -> None:
    line = Line(**options)
    asked = line.begin(voice_id=voice_id, language=language, word_timestamps=True)
    assert asked.timed is timed
    assert line.begin(voice_id=voice_id, language=language).timed is False


# -- continuations -----------------------------------------------------------------------------------------------------

SENTENCE = "The rain in Spain stays."


class Turn:
    """One context of a line."""

    def __init__(self, line: Line, context_id: str = "turn-1") -> None:
        self.line, self.context_id = line, context_id

    def add(self, text: str, *, now: float = 0, **fields: Any) -> list[Action]:
        return self.send(now=now, text=text, **{"continue": True}, **fields)

    def send(self, *, now: float = 0, **fields: Any) -> list[Action]:
        return self.line.say(now=now, voice_id="magnus", context_id=self.context_id, **fields)

    def close(self, *, now: float = 0) -> list[Action]:
        return self.send(now=now, **{"continue": False})


def begun(actions: list[Action]) -> Synthesis:
    (action,) = actions
    assert isinstance(action, Begin)
    return action.synthesis


CLOSES: list[dict[str, Any]] = [
    {"continue": False},
    {"continue": False, "text": ""},
    {"context_close": True},
    {"context_close": True, "continue": True},
    {},
]


@pytest.mark.parametrize("close", CLOSES, ids=str)
def test_a_context_speaks_what_is_left_when_it_is_closed_and_is_gone(close: dict[str, Any]) -> None:
    turn = Turn(Line())
    assert turn.add("Good ") == turn.add("morning") == []
    synthesis = begun(turn.send(**close))
    assert synthesis.request.text == "Good morning"
    assert turn.send(**close) == [], "nothing is buffered: no reply"
    assert turn.line.account.stats.active == 1
    assert turn.line.session.finished(synthesis, 1) == [Send(synthesis.complete())]
    assert turn.line.account.stats.active == 0


def test_the_closing_fragment_may_bring_the_last_text() -> None:
    turn = Turn(Line())
    turn.add("Good ")
    assert begun(turn.send(text="morning")).request.text == "Good morning"


def test_closing_a_context_that_never_was_gives_no_reply() -> None:
    turn = Turn(Line(concurrency=1))
    assert turn.close() == turn.add("") == turn.add(" ") == turn.send(context_close=True) == []
    assert turn.line.account.stats.active == 0


def test_segments_of_a_context_are_spoken_in_turn_and_each_has_its_own_run() -> None:
    turn = Turn(Line())
    first = begun(turn.add(SENTENCE, request_id="r-1", session_id="s-1"))
    assert turn.add(" " + SENTENCE, now=1) == turn.add(" Bye", now=2) == turn.close(now=3) == []
    done, begin = turn.line.session.finished(first, 4)
    assert done == Send(first.complete())
    assert isinstance(begin, Begin)
    assert (begin.synthesis.request.text, begin.waited_s) == (" " + SENTENCE, 3)
    _, last = turn.line.session.finished(begin.synthesis, 5)
    assert isinstance(last, Begin)
    assert last.synthesis.request.text == " Bye"

    runs = [json.loads(synthesis.complete()) for synthesis in (first, begin.synthesis, last.synthesis)]
    assert [run["request_id"] for run in runs] == ["task_00000001", "task_00000002", "task_00000003"]
    assert {run["external_request_id"] for run in runs} == {"r-1"}
    assert not any("context_id" in run for run in runs)


def test_complete_follows_the_audio_of_a_segment_at_once() -> None:
    turn = Turn(Line())
    assert begun(turn.add(SENTENCE, complete_backoff_ms=9000)).request.complete_backoff_ms == 0


def test_what_was_said_once_about_a_context_holds() -> None:
    turn = Turn(Line())
    turn.add("Good ", sample_rate=8000, speed=1.5)
    request = begun(turn.send(text="morning", speed=None)).request
    assert (request.sample_rate_hz, request.speed) == (8000, 1.5)


def test_buffered_text_of_a_context_is_spoken_when_its_time_is_up() -> None:
    turn = Turn(Line())
    turn.add("Good ", now=10, max_buffer_delay_ms=500)
    turn.add("morning", now=10.4)
    assert turn.line.session.deadline == 10.5
    assert turn.line.session.expire(10.4) == []
    assert begun(turn.line.session.expire(10.5)).request.text == "Good morning"
    assert turn.line.session.deadline == pytest.approx(70.4)


def test_contexts_of_a_socket_run_side_by_side_with_a_unit_each() -> None:
    line = Line(concurrency=2)
    one, two, three = (Turn(line, name) for name in ("one", "two", "three"))
    first, second = begun(one.add(SENTENCE)), begun(two.add(SENTENCE))
    assert one.add(" " + SENTENCE) == [], "no second unit for the second segment"
    (refused,) = three.add(SENTENCE)
    assert read(refused)["error_code"] == "CONCURRENCY_LIMIT_EXCEEDED"
    assert (line.account.stats.active, line.account.stats.over_concurrency) == (2, 1)

    two.close()
    line.session.finished(second, 1)
    assert begun(three.add(SENTENCE)).request.text == SENTENCE
    assert line.session.finished(first, 2)[0] == Send(first.complete())


def test_an_open_context_holds_its_unit_while_it_is_silent() -> None:
    turn = Turn(Line(concurrency=1))
    turn.line.session.finished(begun(turn.add(SENTENCE)), 1)
    assert turn.line.account.stats.active == 1
    assert turn.close() == []
    assert turn.line.account.stats.active == 0


def test_text_for_a_context_that_was_closed_opens_it_anew() -> None:
    turn = Turn(Line(concurrency=1))
    first = begun(turn.send(text="Good"))
    assert turn.add("morning") == []  # still sounding: it keeps its unit, and its order
    turn.line.session.finished(first, 1)
    assert turn.line.account.stats.active == 1
    turn.line.session.finished(begun(turn.close()), 2)
    assert turn.line.account.stats.active == 0


def test_cancel_of_a_context_leaves_the_others_alone_and_it_can_be_used_again() -> None:
    line = Line(concurrency=2)
    one, two = Turn(line, "one"), Turn(line, "two")
    first, second = begun(one.add(SENTENCE)), begun(two.add(SENTENCE))
    one.add(SENTENCE)
    one.add("and")
    assert one.send(cancel_request=True) == [Stop(first)]
    assert line.session.finished(first, 1) == []
    assert (line.account.stats.active, line.account.stats.cancelled) == (1, 2)
    assert begun(one.add(SENTENCE, now=2)).request.text == SENTENCE
    assert line.session.finished(second, 3) == [Send(second.complete())]


def test_cancel_without_a_context_is_for_all_of_the_socket() -> None:
    line = Line()
    first, plain = begun(Turn(line).add(SENTENCE)), line.begin()
    assert line.say(cancel_request=True) == [Stop(first), Stop(plain)]
    assert line.account.stats.active == 0


def test_cancel_drops_only_what_is_buffered_where_that_is_switched_on() -> None:
    turn = Turn(Line(cancel_stops_audio=False))
    first = begun(turn.add(SENTENCE))
    turn.add(" " + SENTENCE + " And")
    assert turn.send(cancel_request=True) == []
    _, second = turn.line.session.finished(first, 1)
    assert isinstance(second, Begin)
    assert turn.line.session.finished(second.synthesis, 2) == [Send(second.synthesis.complete())]
    assert turn.line.account.stats.active == 0, "the rest was dropped, and the context is over"


def test_a_segment_that_fails_does_not_take_the_next_with_it() -> None:
    turn = Turn(Line())
    first = begun(turn.add(SENTENCE))
    turn.add(" " + SENTENCE)
    told, second = turn.line.session.failed(first, "no voice", 1.0, "NO_VOICE")
    assert read(told)["error_code"] == "NO_VOICE"
    assert isinstance(second, Begin)


def test_a_closed_socket_gives_the_unit_of_an_open_context_back() -> None:
    turn = Turn(Line())
    turn.add("Good ")
    assert turn.line.session.closed() == []
    assert turn.line.account.stats.active == 0


def test_a_context_outlives_complete_where_complete_closes_the_socket() -> None:
    line = Line(close_after_complete=True)
    assert Close() not in line.session.finished(begun(Turn(line).add(SENTENCE)), 1)
    line.say(**HELLO | {"text": "x" * 250}, **{"continue": True})
    piece = begun(line.say(text="y", **{"continue": True}))
    assert Close() not in line.session.finished(piece, 2), "there is more text to come"
    assert line.session.finished(line.begin(), 3)[-1] == Close()


# -- keepalives and older shapes ---------------------------------------------------------------------------------------


def test_a_lone_space_keeps_the_socket_and_is_not_answered() -> None:
    line = Line()
    assert line.say(now=50, text=" ", voice_id="magnus", model="lightning_v3.1", language="en") == []
    assert (line.session.deadline, line.account.stats.pings) == (110, 1)


def test_a_lone_space_is_refused_where_that_is_switched_on_and_keeps_the_socket_all_the_same() -> None:
    line = Line(refuse_spaces=True)
    (told,) = line.say(now=50, **HELLO | {"text": " "})
    assert "whitespace" in read(told)["message"]
    assert line.session.deadline == 110


def test_complete_as_older_documentation_has_it() -> None:
    told = json.loads(Line(old_complete=True).begin().complete())
    assert (told["status"], told["message"], told["done"]) == ("complete", "All chunks sent", True)


values: st.SearchStrategy[object] = st.sampled_from(
    [None, True, False, 0, 1, 8000, 2**70, 0.5, 1e300, "", " ", "Hello.", SENTENCE, "ulaw", "magnus", "ping", "\0", "é",
     [], [[]], {}]
)  # fmt: skip
messages = st.dictionaries(st.sampled_from([*FIELDS, "type", "new"]), values, max_size=5)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(messages, max_size=12))
def test_whatever_is_sent_is_answered_and_no_unit_is_lost(stream: list[dict[str, Any]]) -> None:
    line = Line(concurrency=3)
    speaking: set[Synthesis] = set()
    for now, message in enumerate(stream):
        actions = line.session.receive(json.dumps(message), float(now))
        if speaking and now % 3 == 2:
            actions += line.session.finished(speaking.pop(), float(now))
        for action in actions:
            match action:
                case Begin(synthesis):
                    speaking.add(synthesis)
                case Stop(synthesis):
                    speaking.discard(synthesis)
                case Send(sent):
                    json.loads(sent)
        assert len(speaking) <= line.account.stats.active <= 3
    assert line.session.closed() == [Stop(s) for s in sorted(speaking, key=lambda s: s.number)]
    assert line.account.stats.active == 0
