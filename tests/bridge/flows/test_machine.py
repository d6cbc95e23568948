"""What happens next: each kind of step against a script of what is done and what comes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bridge.flows import machine
from bridge.flows.actions import (
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
    Hours,
    Menu,
    Play,
    Record,
    Say,
    Set,
    Step,
    Transfer,
    Value,
    Webhook,
)
from bridge.flows.model import HangUp as HangUpStep
from tests.support.flow_script import NOON, Script, flow_of, follow, say

HEARD = Announced()
CUT = Announced("digit")
SPOKEN_OVER = Announced("speech")
FORGOTTEN = (ForgetKeys(), Done())
SORRY = (say("apology", barge_in="off"), HEARD)


def key(*, first: float = 5.0, speech: bool = False) -> Collect:
    """One key of a menu."""
    return Collect(digits=1, first_timeout_s=first, next_timeout_s=3.0, finish_on="", until_speech=speech)


def reached(step: Step, script: Script, *ends: str) -> str:
    """Which of the steps `ends` the step `it` leads to; empty when the call ends in it."""
    notes = follow(flow_of("it", it=step, **{name: HangUpStep() for name in ends}), script)
    return notes[-1] if notes[-1] != "it" else ""


# -- what is said and played -------------------------------------------------------------------------------------------

SPEAKING: list[tuple[Step, Script]] = [
    (Say(prompt="hello"), [(say("hello"), HEARD)]),
    (Say(text="Hello {name}"), [(say("f.it"), CUT)]),
    (Say(prompt="law", barge_in="off"), [(say("law", barge_in="off"), HEARD)]),
    (Play(sound="beep"), [(PlaySound(sound="beep"), HEARD)]),
    (Play(sound="hold_music", seconds=20), [(PlaySound(sound="hold_music", seconds=20), CUT)]),
    (HangUpStep(), []),
    (HangUpStep(prompt="bye"), [(say("bye", barge_in="off"), HEARD)]),
    (
        Agent(entrypoint="a:b", options={"x": 1}, prompt="moment"),
        [(say("moment"), HEARD), (RunAgent("a:b", {"x": 1}), Done())],
    ),
]


@pytest.mark.parametrize("step, script", SPEAKING)
def test_a_step_without_a_next_one_ends_the_call(step: Step, script: Script) -> None:
    assert follow(flow_of("it", it=step), script) == ["it"]


@pytest.mark.parametrize(
    "step, script",
    [
        (Say(prompt="hello", next="there"), [(say("hello"), HEARD)]),
        (Play(sound="beep", next="there"), [(PlaySound(sound="beep"), HEARD)]),
        (Agent(entrypoint="a:b", next="there"), [(RunAgent("a:b", {}), Done())]),
        (Set(values={"x": 1}, next="there"), []),
    ],
)
def test_a_step_leads_to_its_next_one(step: Step, script: Script) -> None:
    assert reached(step, script, "there") == "there"


def test_what_is_said_is_filled_in_and_in_the_language_that_was_set() -> None:
    flow = flow_of(
        "first",
        {"variables": {"name": "nobody", "age": 7, "language": "en"}},
        first=Set(values={"language": "de"}, next="then"),
        then=Say(text="{name}"),
    )
    wanted = say(
        "f.then", language="de", variables={"name": "Ada", "age": "7", "language": "de", "caller": ""}
    )
    follow(flow, [(wanted, HEARD)], {"name": "Ada", "language": "", "caller": ""})


# -- menus -------------------------------------------------------------------------------------------------------------

MENU = Menu(
    prompt="ask", choices={"1": "one", "2": "two"}, no_input="silence", no_match="wrong", otherwise="other"
)
SPOKEN = Menu(prompt="ask", choices={"1": "one"}, on_speech="talk", barge_in="both")
LONG = Menu(prompt="ask", choices={"1": "one", "12": "two", "*9": "star"}, tries=1, otherwise="other")
ASKED = (say("ask"), HEARD)
PRESSED = {k: (key(), Collected(k)) for k in "123*#"}
NEXT = {k: (key(first=3.0), Collected(k)) for k in "1239#"}
NOTHING = (key(), Collected())

MENUS: list[tuple[str, Menu, Script, str]] = [
    ("a key", MENU, [ASKED, PRESSED["2"]], "two"),
    ("typed ahead", MENU, [(say("ask"), CUT), PRESSED["1"]], "one"),
    (
        "wrong, then right",
        MENU,
        [ASKED, PRESSED["3"], FORGOTTEN, (say("wrong"), HEARD), ASKED, PRESSED["1"]],
        "one",
    ),
    (
        "nothing, nothing, wrong",
        MENU,
        [
            *(ASKED, NOTHING, (say("silence"), HEARD)),
            *(ASKED, NOTHING, (say("silence"), CUT)),
            *((say("ask"), CUT), PRESSED["#"], FORGOTTEN),
        ],
        "other",
    ),
    (
        "speaks",
        SPOKEN,
        [(say("ask", barge_in="both"), HEARD), (key(speech=True), Collected(spoke=True))],
        "talk",
    ),
    ("speaks over the question", SPOKEN, [(say("ask", barge_in="both"), SPOKEN_OVER)], "talk"),
    (
        "a key is a key, whatever is said",
        SPOKEN,
        [(say("ask", barge_in="both"), CUT), (key(speech=True), Collected("1", spoke=True))],
        "one",
    ),
    ("the longer choice", LONG, [ASKED, PRESSED["1"], NEXT["2"]], "two"),
    ("the shorter choice, after a while", LONG, [ASKED, PRESSED["1"], (key(first=3.0), Collected())], "one"),
    ("the shorter choice, at once", LONG, [ASKED, PRESSED["1"], NEXT["#"]], "one"),
    ("no choice, as soon as that is clear", LONG, [ASKED, PRESSED["1"], NEXT["3"], FORGOTTEN], "other"),
    ("half a choice", LONG, [ASKED, PRESSED["*"], (key(first=3.0), Collected()), FORGOTTEN], "other"),
    ("a star", LONG, [ASKED, PRESSED["*"], NEXT["9"]], "star"),
]


@pytest.mark.parametrize(
    "menu, script, wanted", [case[1:] for case in MENUS], ids=[case[0] for case in MENUS]
)
def test_menus(menu: Menu, script: Script, wanted: str) -> None:
    assert reached(menu, script, "one", "two", "star", "talk", "other") == wanted


def test_a_menu_without_a_way_out_ends_the_call_after_its_last_try() -> None:
    flow = flow_of("it", it=Menu(prompt="ask", choices={"1": "it"}, no_input="silence", tries=2))
    script: Script = [ASKED, NOTHING, (say("silence"), HEARD), ASKED, NOTHING]
    assert follow(flow, script) == ["it", machine.GAVE_UP]


def test_speech_that_means_nothing_is_followed_by_waiting_for_keys() -> None:
    menu = Menu(prompt="ask", choices={"1": "one"}, barge_in="both")
    assert reached(menu, [(say("ask", barge_in="both"), SPOKEN_OVER), PRESSED["1"]], "one") == "one"


# -- gather ------------------------------------------------------------------------------------------------------------


def keys(digits: int = 20, first: float = 5.0, **more: Any) -> Collect:
    return Collect(digits=digits, first_timeout_s=first, next_timeout_s=3.0, **more)


FREE = Gather(
    into="x", min_digits=2, max_digits=4, no_input="silence", no_match="wrong", tries=2, next="done"
)
TALK = Gather(into="x", max_digits=4, on_speech="talk", next="done")

GATHERS: list[tuple[str, Gather, Script, str]] = [
    ("enough", FREE, [(keys(4), Collected("1234"))], "done"),
    ("finished", FREE, [(keys(4), Collected("12", finished=True))], "done"),
    (
        "too short, then enough",
        FREE,
        [
            (keys(4), Collected("1", finished=True)),
            FORGOTTEN,
            (say("wrong"), HEARD),
            (keys(4), Collected("12")),
        ],
        "done",
    ),
    (
        "only the finish key, then nothing",
        FREE,
        [
            *((keys(4), Collected("", finished=True)), FORGOTTEN),
            *((say("wrong"), HEARD), (keys(4), Collected())),
        ],
        "",
    ),
    (
        "nothing, then enough",
        FREE,
        [(keys(4), Collected()), (say("silence"), HEARD), (keys(4), Collected("12"))],
        "done",
    ),
    ("speaks", TALK, [(keys(4, until_speech=True), Collected(spoke=True))], "talk"),
    (
        "coughs while typing",
        TALK,
        [(keys(4, until_speech=True), Collected("12", spoke=True)), (keys(2, first=3.0), Collected("34"))],
        "done",
    ),
    ("coughs at the last key", TALK, [(keys(4, until_speech=True), Collected("1234", spoke=True))], "done"),
]


@pytest.mark.parametrize(
    "step, script, wanted", [case[1:] for case in GATHERS], ids=[case[0] for case in GATHERS]
)
def test_gathering(step: Gather, script: Script, wanted: str) -> None:
    notes = follow(flow_of("it", it=step, done=HangUpStep(), talk=HangUpStep()), script)
    assert notes[-1] == wanted or (not wanted and notes == ["it", machine.GAVE_UP])


def test_what_was_gathered_is_a_variable_of_all_that_comes() -> None:
    flow = flow_of("it", it=Gather(into="x", max_digits=4, next="tell"), tell=Say(prompt="you_typed"))
    follow(flow, [(keys(4), Collected("0042")), (say("you_typed", variables={"x": "0042"}), HEARD)])


def test_what_is_masked_is_private_for_good_and_shown_by_no_repr() -> None:
    flow = flow_of(
        "it",
        it=Gather(into="pin", max_digits=4, mask=True, next="ask"),
        ask=Webhook(url="https://a.example/{pin}", send=["pin", "caller"], next="tell"),
        tell=Say(prompt="thanks", next="move"),
        move=Transfer(to="{pin}"),
    )
    running = machine.run(flow, {"caller": "+1555"}, lambda: NOON, lambda _: None)
    assert next(running) == keys(4, masked=True)
    actions = [running.send(Collected("9876")), running.send(Fetched(200)), running.send(HEARD)]
    ask, tell, move = actions
    assert isinstance(ask, Fetch)
    assert (ask.url, ask.body) == ("https://a.example/9876", {"pin": "9876", "caller": "+1555"})
    assert tell == say("thanks", variables={"pin": "9876", "caller": "+1555"}, private=frozenset({"pin"}))
    assert move == Connect("9876")
    assert "9876" not in repr(actions)
    assert "+1555" in repr(actions)


# -- messages ----------------------------------------------------------------------------------------------------------

TAKE = TakeMessage(beep=False, max_s=60, silence_s=2, finish_on="*")
RECORD = Record(
    prompt="speak", beep=False, max_s=60, silence_s=2, finish_on="*", next="kept", otherwise="none"
)


@pytest.mark.parametrize(
    "message, wanted", [(Message("m.wav", 900), "kept"), (Message(), "none"), (Message("", 900), "none")]
)
def test_a_message_is_taken_without_the_key_that_skipped_the_greeting(message: Message, wanted: str) -> None:
    assert reached(RECORD, [(say("speak"), CUT), FORGOTTEN, (TAKE, message)], "kept", "none") == wanted


def test_where_the_message_is_can_be_sent() -> None:
    flow = flow_of(
        "it",
        it=Record(into="file", next="send"),
        send=Webhook(url="https://a.example", send=["file"], next="end"),
        end=HangUpStep(),
    )
    fetch = Fetch(method="POST", url="https://a.example", body={"file": "m.wav"})
    follow(flow, [FORGOTTEN, (TakeMessage(), Message("m.wav", 5)), (fetch, Fetched(204))])


# -- conditions --------------------------------------------------------------------------------------------------------

VARIABLES = {"age": "007", "balance": -12.5, "name": " Ada ", "empty": "", "zero": 0, "yes": True, "zip": "0"}
CASES: list[tuple[dict[str, Any], bool]] = [
    ({"variable": "age", "equals": 7}, True),  # a number: as numbers
    ({"variable": "age", "equals": "7"}, False),  # text: as text
    ({"variable": "age", "equals": "007"}, True),
    ({"variable": "name", "equals": "Ada"}, True),
    ({"variable": "name", "equals": "ada"}, False),
    ({"variable": "name", "equals": 7}, False),
    ({"variable": "balance", "equals": "-12.5"}, True),
    ({"variable": "yes", "equals": True}, True),
    ({"variable": "yes", "equals": 1}, False),
    ({"variable": "yes", "equals": "true"}, True),
    ({"variable": "nobody", "equals": ""}, False),
    ({"variable": "age", "one_of": [6, 7]}, True),
    ({"variable": "age", "one_of": ["6", "7"]}, False),
    ({"variable": "balance", "below": 0}, True),
    ({"variable": "balance", "above": 0}, False),
    ({"variable": "zero", "above": 0}, False),
    ({"variable": "age", "above": 6}, True),
    ({"variable": "name", "above": 0}, False),
    ({"variable": "nobody", "below": 1}, False),
    ({"variable": "name", "present": True}, True),
    ({"variable": "zip", "present": True}, True),
    ({"variable": "empty", "present": True}, False),
    ({"variable": "zero", "present": False}, True),
    ({"variable": "nobody", "present": False}, True),
    ({"hours": "work"}, True),
    ({"hours": "night"}, False),
]


@pytest.mark.parametrize("test, holds", CASES)
def test_conditions(test: dict[str, Any], holds: bool) -> None:
    hours = {
        "work": Hours(days={"mon-fri": ["09:00-17:00"]}),
        "night": Hours(days={"mon-sun": ["22:00-06:00"]}),
    }
    case = Case(next="true", **test)
    flow = flow_of(
        "it",
        {"hours": hours, "variables": VARIABLES},
        it=Condition(cases=[case], otherwise="false"),
        true=HangUpStep(),
        false=HangUpStep(),
    )
    assert follow(flow, []) == ["it", "true" if holds else "false"]


def test_the_first_case_that_is_true_counts() -> None:
    cases = [Case(variable="x", above=9, next="a"), Case(variable="x", above=5, next="b")]
    step = Condition(cases=[*cases, Case(variable="x", above=1, next="c")], otherwise="d")
    flow = flow_of("it", it=step, **{name: HangUpStep() for name in "abcd"})
    assert follow(flow, [], {"x": 7}) == ["it", "b"]


def test_hours_are_those_of_the_moment() -> None:
    hours = {"work": Hours(days={"wed": ["09:00-12:30"]})}
    step = Condition(cases=[Case(hours="work", next="a")], otherwise="b")
    flow = flow_of(
        "it", {"hours": hours, "time_zone": "Europe/Berlin"}, it=step, a=HangUpStep(), b=HangUpStep()
    )
    assert follow(flow, [], now=NOON) == ["it", "b"], "it is 13:00 in Berlin"
    assert follow(flow, [], now=NOON - timedelta(hours=1)) == ["it", "a"]


# -- webhooks ----------------------------------------------------------------------------------------------------------

ASK = Webhook(
    url="https://a.example/of/{caller}",
    send=["caller", "nobody"],
    take={"name": "customer.name", "first": "items.0"},
    on_status={"404": "unknown", "4xx": "client", "40x": "close"},
    next="ok",
    otherwise="failed",
)
POSTED = Fetch(method="POST", url="https://a.example/of/%2B1%2F2", body={"caller": "+1/2"})


@pytest.mark.parametrize(
    "fetched, wanted",
    [
        (Fetched(200, {}), "ok"),
        (Fetched(204), "ok"),
        (Fetched(404), "unknown"),
        (Fetched(403), "close"),
        (Fetched(422), "client"),
        (Fetched(302), "failed"),
        (Fetched(503), "failed"),
        (Fetched(error="no answer within 3 s"), "failed"),
    ],
)
def test_where_an_answer_leads(fetched: Fetched, wanted: str) -> None:
    ends = {name: HangUpStep() for name in ("ok", "unknown", "client", "close", "failed")}
    flow = flow_of("it", it=ASK, **ends)
    assert follow(flow, [(POSTED, fetched)], {"caller": "+1/2"}) == ["it", wanted]


@pytest.mark.parametrize("fetched", [Fetched(500, {"name": "x"}), Fetched(error="no answer")])
def test_without_a_way_out_a_failure_is_an_apology_and_the_end(fetched: Fetched) -> None:
    flow = flow_of("it", it=Webhook(url="https://a.example", next="it", hold="hold_music", retries=0))
    fetch = Fetch(method="POST", url="https://a.example", body={}, retries=0, hold="hold_music")
    assert follow(flow, [(fetch, fetched), SORRY]) == ["it", machine.FAILED]


TAKEN: list[tuple[Any, dict[str, str]]] = [
    ({"customer": {"name": "Ada"}, "items": [3]}, {"name": "Ada", "first": "3"}),
    ({"customer": {"name": None}, "items": []}, {}),
    ({"customer": ["name"], "items": {"0": True}}, {"first": "true"}),
    ({"customer": {"name": {"first": "Ada"}}, "items": [[1]]}, {}),
    ([{"customer": 1}], {}),
    ("text", {}),
    (None, {}),
    ({"customer": {"name": "a\x00b" * 999}}, {"name": ("ab" * 500)}),
]


@pytest.mark.parametrize("body, taken", TAKEN)
def test_what_is_taken_from_an_answer(body: Any, taken: dict[str, str]) -> None:
    """And what an earlier answer said is gone."""
    flow = flow_of(
        "it",
        {"variables": {"name": "old"}},
        it=Webhook(url="https://a.example", take=ASK.take, next="tell"),
        tell=Say(prompt="p"),
    )
    fetch = Fetch(method="POST", url="https://a.example", body={})
    follow(flow, [(fetch, Fetched(200, body)), (say("p", variables=taken), HEARD)])


def test_private_parts_of_an_answer_are_private() -> None:
    step = Webhook(url="https://a.example", take={"sum": "sum"}, private=["sum"], next="tell")
    flow = flow_of("it", it=step, tell=Say(prompt="p"))
    fetch = Fetch(method="POST", url="https://a.example", body={})
    spoken = say("p", variables={"sum": "12.5"}, private=frozenset({"sum"}))
    follow(flow, [(fetch, Fetched(200, {"sum": 12.5})), (spoken, HEARD)])


@pytest.mark.parametrize(
    "url, variables, wanted",
    [
        ("https://a.example", {"q": "a b&c=1"}, "https://a.example?q=a%20b%26c%3D1"),
        ("https://a.example/x?k=1#top", {"q": "é"}, "https://a.example/x?k=1&q=%C3%A9"),
        (
            "https://a.example/{q}/x",
            {"q": "../../admin"},
            "https://a.example/..%2F..%2Fadmin/x?q=..%2F..%2Fadmin",
        ),
        ("https://a.example/{q}/x", {"q": ".."}, "https://a.example//x?q="),
        ("https://a.example/{nobody}", {"q": 7.0}, "https://a.example/?q=7"),
    ],
)
def test_what_is_sent_with_get_is_the_query(url: str, variables: dict[str, Any], wanted: str) -> None:
    flow = flow_of("it", it=Webhook(url=url, method="GET", send=["q"], next="end"), end=HangUpStep())
    assert follow(flow, [(Fetch(method="GET", url=wanted), Fetched(200))], variables)


# -- elsewhere ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "otherwise, script, wanted",
    [
        ("back", [], ["it", "back"]),
        (None, [SORRY], ["it", machine.FAILED]),
    ],
)
def test_a_transfer_that_fails(otherwise: str | None, script: Script, wanted: list[str]) -> None:
    step = Transfer(prompt="moment", to="+1555", otherwise=otherwise)
    failed: Script = [(say("moment", barge_in="off"), HEARD), (Connect("+1555"), NotConnected("busy"))]
    assert follow(flow_of("it", it=step, back=HangUpStep()), [*failed, *script]) == wanted


def test_nobody_is_transferred_to_nowhere() -> None:
    assert reached(Transfer(to="{nobody}", otherwise="back"), [], "back") == "back"


# -- counting, keeping, handing on -------------------------------------------------------------------------------------


def ended_with(flow: Flow, script: Script, **variables: Value) -> dict[str, str]:
    """The variables, as text, when a flow says its last prompt ``bye``; its step of that name must say so."""
    running = machine.run(flow, variables, lambda: NOON, lambda _: None)
    action = next(running)
    for wanted, outcome in script:
        assert action == wanted
        action = running.send(outcome)
    assert isinstance(action, Announce) and action.prompt == "bye"
    return dict(action.variables)


BYE = HangUpStep(prompt="bye")


@pytest.mark.parametrize(
    "before, add, after",
    [
        (None, 1, "1"),
        (2, 1, "3"),
        ("7", -1, "6"),
        ("007", 1, "8"),
        (0.1, 0.2, "0.3"),
        ("seven", 1, "1"),
        (True, 1, "1"),
        ("9" * 400, 0.5, "9" * 400),
    ],
)
def test_what_is_counted(before: Value | None, add: float, after: str) -> None:
    given = {} if before is None else {"x": before}
    flow = flow_of("it", {"variables": given}, it=Set(add={"x": add}, next="bye"), bye=BYE)
    assert ended_with(flow, [])["x"] == after


def test_so_many_rounds_and_no_more() -> None:
    flow = flow_of(
        "ask",
        ask=Say(prompt="again", next="count"),
        count=Set(add={"rounds": 1}, next="enough"),
        enough=Condition(cases=[Case(variable="rounds", below=3, next="ask")], otherwise="bye"),
        bye=BYE,
    )
    rounds = [(say("again", variables={"rounds": str(n)} if n else {}), HEARD) for n in range(3)]
    assert ended_with(flow, rounds)["rounds"] == "3"


def test_a_value_may_be_made_of_others() -> None:
    step = Set(values={"number": "{caller}", "greeting": "Hi {{{name}}}{nobody}", "n": 7}, next="bye")
    found = ended_with(flow_of("it", it=step, bye=BYE), [], caller="+1555", name="Ada")
    assert (found["number"], found["greeting"], found["n"]) == ("+1555", "Hi {Ada}", "7")


def test_what_is_made_of_something_private_is_private() -> None:
    flow = flow_of(
        "ask",
        ask=Gather(prompt="pin", into="pin", max_digits=4, mask=True, next="keep"),
        keep=Set(values={"kept": "{pin}"}, next="agent"),
        agent=Agent(entrypoint="a:b", options={"text": ["{kept}"], "n": 1}),
    )
    running = machine.run(flow, {}, lambda: NOON, lambda _: None)
    next(running)
    running.send(HEARD)
    action = running.send(Collected("9876"))
    assert action == RunAgent("a:b", {"text": ["9876"], "n": 1})
    assert "9876" not in repr(action)


def test_which_choice_it_was_is_kept() -> None:
    menu = Menu(prompt="ask", choices={"1": "bye", "2": "bye"}, into="size")
    script: Script = [ASKED, PRESSED["3"], FORGOTTEN, ASKED, PRESSED["2"]]
    assert ended_with(flow_of("it", it=menu, bye=BYE), script)["size"] == "2"


def test_a_message_is_heard_again_and_taken_again_in_place_of_the_first() -> None:
    flow = flow_of(
        "leave",
        leave=Record(into="note", next="hear"),
        hear=Play(message="note", barge_in="off", next="leave"),
    )
    script: Script = [
        FORGOTTEN,
        (TakeMessage(), Message("/m/1.wav", 900)),
        (PlayMessage(path="/m/1.wav", barge_in="off"), HEARD),
        FORGOTTEN,
        (TakeMessage(instead_of="/m/1.wav"), Message("/m/2.wav", 900)),
        (PlayMessage(path="/m/2.wav", barge_in="off"), HEARD),
    ]
    running = machine.run(flow, {}, lambda: NOON, lambda _: None)
    action = next(running)
    for wanted, outcome in script:
        assert action == wanted
        action = running.send(outcome)


@pytest.mark.parametrize("value", ["/etc/motd", "", 7])
def test_nothing_is_played_or_replaced_that_was_not_recorded(value: Value) -> None:
    keys = {"variables": {"note": value}}
    flow = flow_of("hear", keys, hear=Play(message="note", next="leave"), leave=Record(into="note"))
    follow(flow, [FORGOTTEN, (TakeMessage(), Message())])


# -- what must not happen ----------------------------------------------------------------------------------------------


def test_a_flow_that_turns_in_circles_ends() -> None:
    flow = flow_of("a", a=Set(values={"x": 1}, next="b"), b=Set(values={"x": 2}, next="a"))
    notes: list[str] = []
    running = machine.run(flow, {}, lambda: NOON, notes.append)
    assert next(running) == say("apology", barge_in="off", variables={"x": "2"})
    assert notes[-1] == machine.STUCK
    assert running.send(HEARD) == HangUp()


def test_keys_that_nobody_collects_do_not_make_it_spin() -> None:
    """A prompt that a waiting key cuts short takes no time."""
    running = machine.run(flow_of("a", a=Say(prompt="p", next="a")), {}, lambda: NOON, lambda _: None)
    action = next(running)
    for _ in range(machine.MAX_STEPS_WITHOUT_WAIT):
        assert action == say("p")
        action = running.send(CUT)
    assert action == say("apology", barge_in="off")


def test_music_may_go_on_for_ever() -> None:
    running = machine.run(flow_of("a", a=Play(sound="m", next="a")), {}, lambda: NOON, lambda _: None)
    action = next(running)
    for _ in range(2 * machine.MAX_STEPS_WITHOUT_WAIT):
        assert action == PlaySound(sound="m")
        action = running.send(HEARD)


def test_whoever_answers_wrongly_is_told_so_without_what_was_typed() -> None:
    running = machine.run(flow_of("a", a=Say(prompt="p")), {}, lambda: NOON, lambda _: None)
    next(running)
    with pytest.raises(TypeError, match="Announce leads to Announced, not Collected"):
        running.send(Collected("9876"))


def test_after_hanging_up_there_is_nothing() -> None:
    running = machine.run(flow_of("a", a=HangUpStep()), {}, lambda: NOON, lambda _: None)
    assert next(running) == HangUp()
    with pytest.raises(StopIteration):
        running.send(Done())
