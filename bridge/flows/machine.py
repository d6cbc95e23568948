"""What happens next in a flow. Pure: a generator of actions.

Strategy:

- A step is a generator: it yields what is to be done, is sent what came of it, and returns the name of the next step,
  or None where the call ends. Each kind of step has its own, and knows nothing of calls.
- Callers make mistakes and APIs fail: each of that leads to a step of the flow, to an apology, or to the end of the
  call, and never to an exception. A flow itself has been checked before (`bridge.flows.check`).
- What a caller typed ahead is theirs to use for the next question. It is dropped after a wrong key, because it no
  longer means what they meant, and before a recording, because the key that skipped the greeting would end it.
- What was masked once is private for the rest of the call, whatever it is used for.
- Nobody waits for a flow that turns in circles: after so many steps in which no time passed it ends.

Facts, from Asterisk's ``WaitExten`` and Twilio's ``<Gather>``: a choice that no other one begins with is taken at
once, one that may go on after `digit_timeout_s`; keys that begin no choice are wrong as soon as that is clear.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

from bridge.config import BargeInMode
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
    Running,
    TakeMessage,
)
from bridge.flows.hours import is_open
from bridge.flows.model import (
    Agent,
    Asking,
    Case,
    Condition,
    Flow,
    Gather,
    Menu,
    Play,
    Record,
    Set,
    Speaking,
    Transfer,
    Value,
    Webhook,
)
from bridge.flows.values import Variables, filled_in, passes, plus, taken

if TYPE_CHECKING:
    from datetime import datetime

#: Notes besides the names of steps: why a flow ended that no step of it had end.
GAVE_UP: Final = "(gave up)"  # all tries of a step were over, and it has no `otherwise`
FAILED: Final = "(failed)"  # a webhook or a transfer failed, and it has no `otherwise`
STUCK: Final = "(stuck)"  # `MAX_STEPS_WITHOUT_WAIT`

#: More steps than this without time passing, and a flow turns in circles.
MAX_STEPS_WITHOUT_WAIT: Final = 1000
#: Bundled, so that it needs nothing that can fail too.
APOLOGY: Final = "apology"

O = TypeVar("O", Announced, Collected, Message, Fetched, NotConnected, Done)  # noqa: E741
T = TypeVar("T")
#: A part of a flow, and what it comes to.
Part: TypeAlias = Generator[Action, Outcome, T]
#: The next step; None ends the call.
Next: TypeAlias = Part[str | None]


def run(
    flow: Flow, variables: Mapping[str, Value], now: Callable[[], datetime], note: Callable[[str], None]
) -> Running:
    """Go through `flow` from its start.

    Args:
        variables: ``caller``, ``called``, ``carrier`` and ``language``; they win over the file's, unless empty.
        now: the time with its zone, for business hours.
        note: told each step's name when it is entered, and at most one of `GAVE_UP`, `FAILED`, `STUCK`.
    """
    yield from _Machine(flow, variables, now, note).run()


class _Machine:
    """One run of a flow."""

    def __init__(
        self,
        flow: Flow,
        variables: Mapping[str, Value],
        now: Callable[[], datetime],
        note: Callable[[str], None],
    ) -> None:
        given = {name: value for name, value in variables.items() if value != ""}
        self._flow = flow
        self._variables = Variables({**variables, **flow.file.variables, **given})
        self._now = now
        self._note = note
        self._steps_without_wait = 0
        #: Paths of what was recorded: nothing else is played as a message, or replaced.
        self._messages: set[str] = set()

    def run(self) -> Running:
        """All of it."""
        name: str | None = self._flow.file.start
        while name is not None:
            self._note(name)
            self._steps_without_wait += 1
            if self._steps_without_wait > MAX_STEPS_WITHOUT_WAIT:
                name = yield from self._apologise(STUCK)
            else:
                name = yield from self._step(name)
        yield HangUp()

    def _step(self, name: str) -> Next:
        step = self._flow.steps[name]
        match step:
            case Asking():
                return (yield from self._ask(name, step))
            case Speaking():
                yield from self._say(self._flow.prompt_of(name), step.barge_in)
        match step:
            case Play():
                return (yield from self._play(step))
            case Record():
                return (yield from self._record(step))
            case Condition():
                return self._decide(step)
            case Set():
                self._set(step)
            case Webhook():
                return (yield from self._fetch(step))
            case Transfer():
                return (yield from self._connect(step))
            case Agent():
                options = filled_in(step.options, self._variables)
                yield from self._told(RunAgent(step.entrypoint, options), Done)
        following: str | None = getattr(step, "next", None)  # `hang_up` has none
        return following

    # -- what the caller hears -----------------------------------------------------------------------------------------

    def _say(self, prompt: str, barge_in: BargeInMode) -> Part[Announced]:
        """Say a prompt, if there is one."""
        if not prompt:
            return Announced()
        announce = Announce(
            prompt=prompt,
            variables=self._variables.texts(),
            language=self._variables.filled("{language}"),
            private=frozenset(self._variables.private & self._variables.keys()),
            barge_in=barge_in,
        )
        return (yield from self._told(announce, Announced))

    def _play(self, step: Play) -> Next:
        if step.sound:
            sound = PlaySound(sound=step.sound, seconds=step.seconds, barge_in=step.barge_in)
            yield from self._told(sound, Announced)
        elif path := self._message(step.message):
            yield from self._told(PlayMessage(path=path, barge_in=step.barge_in), Announced)
        return step.next

    def _message(self, name: str | None) -> str:
        """Where the message of a variable is; empty when that holds none."""
        path = self._variables.get(name) if name else None
        return path if isinstance(path, str) and path in self._messages else ""

    def _apologise(self, why: str) -> Next:
        self._note(why)
        yield from self._say(APOLOGY, "off")
        return None

    # -- what the caller answers ---------------------------------------------------------------------------------------

    def _ask(self, name: str, step: Asking) -> Next:
        complaint = ""
        for _ in range(step.tries):
            heard = yield from self._prompt(complaint, name, step)
            if not heard.spoke:
                heard = yield from self._listen(step)
            if heard.spoke:
                return step.on_speech
            if to := self._answered(step, heard.keys):
                return to
            wrong = heard.keys or heard.finished
            if wrong:
                yield from self._told(ForgetKeys(), Done)
            complaint = step.no_match if wrong else step.no_input
        if not step.otherwise:
            self._note(GAVE_UP)
        return step.otherwise

    def _prompt(self, complaint: str, name: str, step: Asking) -> Part[Collected]:
        """Ask. Whoever speaks over it, where that means something, has answered."""
        for prompt in (complaint, self._flow.prompt_of(name)):
            announced = yield from self._say(prompt, step.barge_in)
            if announced.by == "speech" and step.on_speech:
                return Collected(spoke=True)
        return Collected()

    def _listen(self, step: Asking) -> Part[Collected]:
        if isinstance(step, Gather):
            return (yield from self._gather(step))
        if isinstance(step, Menu):
            return (yield from self._choose(step))
        return Collected()

    def _choose(self, step: Menu) -> Part[Collected]:
        """Key by key, until it is clear which choice that is, or that it is none."""
        keys = ""
        while True:
            collected = yield from self._collect(step, keys, digits=1)
            if not collected.keys:
                return Collected(keys, spoke=collected.spoke and not keys)
            if collected.keys == "#" and keys in step.choices and not _goes_on(step, f"{keys}#"):
                return Collected(keys)  # what callers do who do not want to wait
            keys += collected.keys
            if not _goes_on(step, keys):
                return Collected(keys)

    def _gather(self, step: Gather) -> Part[Collected]:
        """All keys at once. A caller who has begun to type, and coughs, is not a caller who speaks."""
        first = yield from self._collect(
            step, "", digits=step.max_digits, finish_on=step.finish_on, masked=step.mask
        )
        if not (first.keys and first.spoke):
            return first
        left = step.max_digits - len(first.keys)
        more = yield from self._collect(
            step, first.keys, digits=left, finish_on=step.finish_on, masked=step.mask
        )
        return Collected(first.keys + more.keys, more.finished)

    def _collect(
        self, step: Asking, so_far: str, *, digits: int, finish_on: str = "", masked: bool = False
    ) -> Part[Collected]:
        if not digits:
            return Collected()
        collect = Collect(
            digits=digits,
            first_timeout_s=step.digit_timeout_s if so_far else step.timeout_s,
            next_timeout_s=step.digit_timeout_s,
            finish_on=finish_on,
            masked=masked,
            until_speech=bool(step.on_speech) and not so_far,
        )
        return (yield from self._told(collect, Collected))

    def _answered(self, step: Asking, keys: str) -> str | None:
        """Where `keys` lead; None when they are of no use."""
        if isinstance(step, Menu):
            if step.into and keys in step.choices:
                self._variables[step.into] = keys
            return step.choices.get(keys)
        if not isinstance(step, Gather) or len(keys) < step.min_digits:
            return None
        if step.mask:
            self._variables.private.add(step.into)
        self._variables[step.into] = keys
        return step.next

    def _record(self, step: Record) -> Next:
        yield from self._told(ForgetKeys(), Done)
        take = TakeMessage(
            beep=step.beep,
            max_s=step.max_s,
            silence_s=step.silence_s,
            finish_on=step.finish_on,
            instead_of=self._message(step.into),
        )
        message = yield from self._told(take, Message)
        self._messages.add(message.path)
        self._variables[step.into] = message.path
        return step.next if message.path else step.otherwise or step.next

    # -- what is decided -----------------------------------------------------------------------------------------------

    def _set(self, step: Set) -> None:
        for name, value in step.values.items():
            self._variables.put(name, self._variables.filled(value) if isinstance(value, str) else value)
        for name, more in step.add.items():
            self._variables[name] = plus(self._variables.get(name), more)

    def _decide(self, step: Condition) -> str:
        return next((case.next for case in step.cases if self._holds(case)), step.otherwise)

    def _holds(self, case: Case) -> bool:
        if case.hours:
            hours = self._flow.file.hours[case.hours]
            return is_open(hours, self._flow.file.time_zone, self._now())
        return passes(self._variables.get(case.variable), case)

    # -- what others are asked -----------------------------------------------------------------------------------------

    def _fetch(self, step: Webhook) -> Next:
        fetch = self._request(step)
        self._variables.private.update(step.private)
        for name in step.take:  # what an earlier answer said is not true of this one
            self._variables.pop(name, None)
        fetched = yield from self._told(fetch, Fetched)
        to = _of_status(step.on_status, fetched.status)
        if to is None and (fetched.error or not 200 <= fetched.status < 300):
            return step.otherwise or (yield from self._apologise(FAILED))
        for name, path in step.take.items():
            if (value := taken(fetched.body, path)) is not None:
                self._variables[name] = value
        return to or step.next

    def _request(self, step: Webhook) -> Fetch:
        sent = self._variables.only(step.send)
        return Fetch(
            method=step.method,
            url=self._url(step, sent),
            body=sent if step.method == "POST" else None,
            bearer_env=step.bearer_env,
            deadline_s=step.deadline_s,
            retries=step.retries,
            hold=step.hold,
        )

    def _url(self, step: Webhook, sent: Variables) -> str:
        """With what is sent as the query where there is no body."""
        template = step.url.partition("#")[0]
        if step.method == "GET" and sent:
            fields = urlencode({name: f"{{{name}}}" for name in sent}, quote_via=quote, safe="{}")
            template += ("&" if "?" in template else "?") + fields
        return self._variables.filled(template, percent_encoded=True)

    def _connect(self, step: Transfer) -> Next:
        to = self._variables.filled(step.to)
        if to.strip():
            yield from self._told(Connect(to), NotConnected)  # when it works, this is not resumed
        return step.otherwise or (yield from self._apologise(FAILED))

    def _told(self, action: Action, kind: type[O]) -> Part[O]:
        """Have `action` done, and return what came of it."""
        outcome = yield action
        if not isinstance(outcome, kind):
            raise TypeError(f"{type(action).__name__} leads to {kind.__name__}, not {type(outcome).__name__}")
        if _took_time(outcome):
            self._steps_without_wait = 0
        return outcome


def _took_time(outcome: Outcome) -> bool:
    """Whether the caller has heard or done something: a prompt that was cut short may not even have begun."""
    match outcome:
        case Announced(by=by):
            return not by
        case Message(path=path):
            return bool(path)
    return isinstance(outcome, Collected)


def _goes_on(step: Menu, keys: str) -> bool:
    """Whether a choice begins with `keys` and has more of them."""
    return any(choice.startswith(keys) and choice != keys for choice in step.choices)


def _of_status(steps: Mapping[str, str], status: int) -> str | None:
    """The step for `status`: the one that names it most exactly."""
    for pattern in sorted(steps, key=lambda pattern: pattern.count("x")):
        if all(wanted in ("x", found) for wanted, found in zip(pattern, str(status), strict=False)):
            return steps[pattern]
    return None
