"""Flows of every kind of step that lead anywhere, with callers and APIs that answer anything."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from bridge.flows import machine
from bridge.flows.actions import (
    Action,
    Announce,
    Announced,
    Collect,
    Collected,
    Connect,
    Done,
    Fetch,
    Fetched,
    ForgetKeys,
    HangUp,
    Message,
    NotConnected,
    Outcome,
    PlayMessage,
    PlaySound,
    RunAgent,
    TakeMessage,
)
from bridge.flows.model import (
    Agent,
    Case,
    Condition,
    Flow,
    Gather,
    Menu,
    Play,
    Record,
    Say,
    Set,
    Transfer,
    Webhook,
)
from bridge.flows.model import HangUp as HangUpStep
from bridge.flows.values import MAX_VALUE_CHARS
from tests.support.flow_script import NOON, flow_of

NAMES = "abcdef"
KEYS = "0123456789*#ABCD"

_to = st.sampled_from(NAMES)
_perhaps = st.none() | _to
_variable = st.sampled_from(("x", "y", "language", "message"))
_value = (
    st.text(max_size=9) | st.integers() | st.floats() | st.booleans() | st.just("{x}{y}") | st.just("9" * 400)
)
_number = st.integers() | st.floats(allow_nan=False)
_keys = st.text(KEYS, min_size=1, max_size=3)
_case = st.one_of(
    st.builds(Case, variable=_variable, equals=_value, next=_to),
    st.builds(Case, variable=_variable, one_of=st.lists(_value, min_size=1, max_size=3), next=_to),
    st.builds(Case, variable=_variable, above=st.floats(), next=_to),
    st.builds(Case, variable=_variable, above=st.floats(), below=st.floats(), next=_to),
    st.builds(Case, variable=_variable, present=st.booleans(), next=_to),
)
_asking = {
    "prompt": st.just("ask"),
    "tries": st.integers(1, 10),
    "no_input": st.sampled_from(("", "nothing")),
    "no_match": st.sampled_from(("", "wrong")),
    "otherwise": _perhaps,
    "on_speech": _perhaps,
}
_steps = st.one_of(
    st.builds(Say, prompt=st.just("hello"), next=_perhaps),
    st.builds(Play, sound=st.just("beep"), next=_perhaps),
    st.builds(Play, message=_variable, next=_perhaps),
    st.builds(Menu, choices=st.dictionaries(_keys, _to, min_size=1), into=st.none() | _variable, **_asking),
    st.builds(
        Gather,
        into=_variable,
        min_digits=st.integers(1, 4),
        max_digits=st.integers(4, 9),
        finish_on=st.sampled_from(("", "#", "*#")),
        mask=st.booleans(),
        next=_to,
        **_asking,
    ),
    st.builds(Record, into=_variable, next=_perhaps, otherwise=_perhaps),
    st.builds(Condition, cases=st.lists(_case, min_size=1, max_size=3), otherwise=_to),
    st.builds(
        Set, values=st.dictionaries(_variable, _value), add=st.dictionaries(_variable, _number), next=_to
    ),
    st.builds(
        Webhook,
        url=st.sampled_from(("https://api.example.com/{x}", "https://api.example.com?a={y}#{x}")),
        method=st.sampled_from(("GET", "POST")),
        send=st.lists(_variable, max_size=3),
        take=st.dictionaries(_variable, st.sampled_from(("a", "a.b", "0.a"))),
        on_status=st.dictionaries(st.sampled_from(("404", "4xx", "5xx", "200")), _to),
        next=_to,
        otherwise=_perhaps,
    ),
    st.builds(Transfer, to=st.sampled_from(("+1555", "{x}")), otherwise=_perhaps),
    st.builds(
        Agent, entrypoint=st.just("a:b"), options=st.dictionaries(_variable, st.lists(_value)), next=_perhaps
    ),
    st.builds(HangUpStep),
)
_flows: st.SearchStrategy[Flow] = st.lists(_steps, min_size=len(NAMES), max_size=len(NAMES)).map(
    lambda steps: flow_of("a", **dict(zip(NAMES, steps, strict=True)))
)
_json = st.recursive(
    st.none() | _value,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


def _outcomes(action: Action) -> st.SearchStrategy[Outcome]:
    """What may come of an action."""
    match action:
        case Announce() | PlaySound() | PlayMessage():
            return st.builds(Announced, st.sampled_from(("", "digit", "speech")))
        case Collect(digits=digits):
            return st.builds(Collected, st.text(KEYS, max_size=digits), st.booleans(), st.booleans())
        case TakeMessage():
            return st.builds(Message, st.sampled_from(("", "/m/1.wav", "/m/2.wav")), st.integers(0, 9))
        case Fetch():
            return st.builds(Fetched, st.sampled_from((0, 200, 204, 302, 404, 500)), _json)
        case Connect():
            return st.builds(NotConnected, st.text())
    return st.just(Done())


def _faults(action: Action) -> Iterator[str]:
    """What nobody could carry out."""
    match action:
        case Announce(variables=variables, private=private):
            if max(map(len, variables.values()), default=0) > MAX_VALUE_CHARS:
                yield "a value is longer than it may be"
            if not private <= variables.keys():
                yield "what is private is not there"
        case Collect(digits=digits, first_timeout_s=first_s, next_timeout_s=next_s):
            if not (digits > 0 and first_s > 0 and next_s > 0):
                yield "nothing is waited for"
        case PlayMessage(path=path):
            if not path.startswith("/m/"):
                yield "what is played was not recorded"
        case TakeMessage(instead_of=path):
            if path and not path.startswith("/m/"):
                yield "what is replaced was not recorded"
        case Fetch(url=url, method=method, body=body):
            if any(not " " < char < "\x7f" for char in url) or not url.startswith("https://api.example.com"):
                yield "a value has changed where it goes"
            if (method == "POST") != (body is not None):
                yield "a body with GET, or none with POST"


@given(_flows, st.data())
def test_whatever_is_answered_a_flow_goes_on_or_ends_and_wants_nothing_that_nobody_can_do(
    flow: Flow, data: st.DataObject
) -> None:
    notes: list[str] = []
    running = machine.run(flow, {"caller": "+1555", "x": ""}, lambda: NOON, notes.append)
    action = next(running)
    for _ in range(60):
        assert not list(_faults(action))
        if isinstance(action, HangUp):
            running.close()
            return
        action = running.send(data.draw(_outcomes(action)))
    running.close()


def _at_once(action: Action) -> Outcome:
    """The answer that takes no time."""
    match action:
        case Announce() | PlaySound() | PlayMessage():
            return Announced("digit")
        case TakeMessage():
            return Message()
        case Fetch():
            return Fetched(200, {})
        case Connect():
            return NotConnected("no")
    return Done()


@given(_flows)
def test_a_flow_in_which_no_time_passes_ends(flow: Flow) -> None:
    running = machine.run(flow, {}, lambda: NOON, lambda _: None)
    action = next(running)
    for _ in range(5 * machine.MAX_STEPS_WITHOUT_WAIT):
        if isinstance(action, HangUp | Collect):  # who is asked for keys waits
            running.close()
            return
        assert isinstance(action, ForgetKeys | RunAgent) or _at_once(action) != Done()
        action = running.send(_at_once(action))
    raise AssertionError("it turns in circles")
