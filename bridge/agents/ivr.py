"""The agent that plays a phone menu from ``config/flows``: it carries out on a call what the flow asks for.

Strategy:

- What happens next is the flow's business (`bridge.flows.machine`). Here is one small function for each of its
  actions, and each answers with what came of it.
- Whatever the caller has to wait for is waited for no longer than the caller stays. A caller who hangs up ends the
  flow where it is; a message that was begun is kept, and webhooks that follow it at once are still asked: most callers
  end a message by hanging up, and somebody must learn of it.
- A voice that fails does not end a menu: the caller has heard the apology, keys go on working, and what is recorded is
  heard. Only when it has failed too often in a row, the call ends.
- Keys are masked from the first step that may lead to a masked `gather`: callers type ahead.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never

import msgspec
from msgspec import Struct

from bridge.agents.loader import load_agent
from bridge.config import AgentConfig, BargeInMode
from bridge.config_flows import IVR
from bridge.errors import CallEnded, CarrierError, LightningError, PromptError
from bridge.flows import actions as do
from bridge.flows.check_ways import graph_of
from bridge.flows.graph import reachable, reversed_graph
from bridge.flows.machine import FAILED, GAVE_UP, STUCK, run
from bridge.flows.model import Flow, Gather
from bridge.problems import Problem
from bridge.prompts import apology, load_prompt

if TYPE_CHECKING:
    from bridge.call import Call

log = logging.getLogger(__name__)

T = TypeVar("T")

#: So many utterances in a row that the voice could not speak end the call.
MUTE_AFTER: Final = 3
#: An answer that comes sooner is waited for in silence: music that stops as it begins sounds like a fault.
HOLD_AFTER_S: Final = 0.3
#: Why a flow ended that no step of it had end, as `FlowStats.ended` counts it.
_UNMEANT: Final = {GAVE_UP: "gave_up", FAILED: "failed", STUCK: "stuck"}
#: `Call.ended` = how the flow did; all else is a caller who left.
_MEANT: Final = {"": "hung_up", "agent": "hung_up", "transferred": "transferred"}
#: What cuts short is what a key of before would have cut short, too.
_CUT_BY_KEYS: Final[frozenset[BargeInMode]] = frozenset({"digits", "both"})


class IvrOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``[agent.options]`` of the ivr."""

    #: The flow that callers get whose number is not among `numbers`; by default the only one there is.
    flow: str = ""
    #: The number that was called = the flow.
    numbers: dict[str, str] = {}

    def flow_of(self, number: str, flows: Mapping[str, Flow]) -> str:
        """The name of the flow for a call to `number`; empty when there is none."""
        by_number = {_bare(known): flow for known, flow in self.numbers.items()}
        only = next(iter(flows)) if len(flows) == 1 else ""
        return by_number.get(_bare(number)) or self.flow or only


def _bare(number: str) -> str:
    """A number as every carrier writes it: digits alone; an address as it is."""
    return number if "@" in number else re.sub(r"[^0-9A-Za-z]", "", number)


async def ivr(call: Call) -> None:
    """Play the flow of the number that was called."""
    options = msgspec.convert(dict(call.options), IvrOptions)
    flows = call.edition.flows
    flow = flows.get(options.flow_of(call.to_number, flows))
    if flow is None:
        log.warning("call %s: agent.options has no flow for the number that was called", call.id)
        await call.play(apology(), interruptible=False)
    else:
        await FlowOnCall(call, flow).play()
    await call.hang_up()


#: Lets a wrong ``[agent.options]`` be refused at start instead of in the first call.
ivr.options_type = IvrOptions  # type: ignore[attr-defined]


def flow_problems(config: AgentConfig, flows: Mapping[str, Flow], source: str = "") -> list[Problem]:
    """What `config` wants of `flows` that is not there; nothing when the agent is another one."""
    if config.entrypoint != IVR:
        return []
    options = msgspec.convert(config.options, IvrOptions)
    there = f"there is {', '.join(sorted(flows))}" if flows else "there are no flows: set flows.folder"
    named = {"agent.options.flow": options.flow}
    named |= {f"agent.options.numbers.{number}": flow for number, flow in options.numbers.items()}
    problems = [
        Problem(source, 0, key, f"there is no flow {flow!r}; {there}")
        for key, flow in named.items()
        if flow and flow not in flows
    ]
    if not options.flow and not options.numbers and len(flows) != 1:
        problems.append(Problem(source, 0, "agent.options.flow", f"must say which flow callers get; {there}"))
    return problems


def masked_steps(flow: Flow) -> frozenset[str]:
    """The steps in which a key may be meant for a masked `gather`, there or later."""
    secret = [name for name, step in flow.steps.items() if isinstance(step, Gather) and step.mask]
    return frozenset(reachable(reversed_graph(graph_of(flow)), secret))


class FlowOnCall:
    """A flow that is played on a call."""

    def __init__(self, call: Call, flow: Flow) -> None:
        self._call, self._flow = call, flow
        self._step = ""
        self._masked = masked_steps(flow)
        self._voice_failures = 0
        #: Whether a message was kept, and nothing was done since but to tell somebody of it.
        self._telling = False
        self._why = ""

    async def play(self) -> None:
        """Play it to its end.

        Raises:
            CallEnded: the caller has hung up.
            LightningError: the voice has failed `MUTE_AFTER` times in a row.
        """
        stats, how = self._call.edition.stats, "error"
        stats.started += 1
        try:
            await self._play()
            how = self._how()
        finally:
            stats.ended[self._how() if self._call.ended else how] += 1

    def _how(self) -> str:
        return self._why or _MEANT.get(self._call.ended, "caller_left")

    async def _play(self) -> None:
        call = self._call
        known = {
            "caller": call.from_number,
            "called": call.to_number,
            "carrier": call.carrier,
            "language": "",
        }
        with closing(run(self._flow, known, call.edition.now, self._note)) as running:
            action = next(running, None)
            while action is not None:
                outcome = await self._do(action)
                try:
                    following = running.send(outcome)
                except StopIteration:
                    return
                self._note_message(action, outcome)
                if call.ended and not (self._telling and isinstance(following, do.Fetch)):
                    return
                action = following

    def _note(self, step: str) -> None:
        if step in self._flow.steps:  # and not why it ends
            self._step = step
            self._call.edition.stats.steps += 1
            self._call.digits_masked = step in self._masked
        else:
            self._why = _UNMEANT[step]
        log.info("call %s: step %s.%s", self._call.id, self._flow.name, step)

    def _note_message(self, action: do.Action, outcome: do.Outcome) -> None:
        if isinstance(outcome, do.Message):
            self._telling = bool(outcome.path)
        elif not isinstance(action, do.Fetch):
            self._telling = False

    async def _do(self, action: do.Action) -> do.Outcome:
        match action:
            case do.Announce() | do.PlaySound() | do.PlayMessage() if self._cut_already(action.barge_in):
                return do.Announced("digit")
            case do.Announce():
                return await self._announce(action)
            case do.PlaySound():
                return await self._play_sound(action)
            case do.PlayMessage():
                return await self._play_message(action)
            case do.Collect():
                return await self._collect(action)
            case do.ForgetKeys():
                self._call.forget_digits()
            case do.TakeMessage():
                return await self._take_message(action)
            case do.Fetch():
                return await self._fetch(action)
            case do.Connect():
                return await self._connect(action)
            case do.RunAgent():
                await self._run_agent(action)
            case do.HangUp():
                await self._call.hang_up()
            case _:
                assert_never(action)
        return do.Done()

    # -- each of them --------------------------------------------------------------------------------------

    async def _announce(self, action: do.Announce) -> do.Announced:
        try:
            heard = await self._call.play(
                action.prompt,
                variables=action.variables,
                language=action.language,
                private=action.private,
                barge_in=action.barge_in,
            )
        except LightningError as error:
            self._voice_failures += 1
            if self._voice_failures == MUTE_AFTER:
                raise
            log.warning("call %s: step %s is not heard whole: %s", self._call.id, self._step, error)
            return do.Announced()
        self._voice_failures = 0
        return do.Announced(heard.by)

    async def _play_sound(self, action: do.PlaySound) -> do.Announced:
        heard = await self._call.play(action.sound, for_s=action.seconds, barge_in=action.barge_in)
        return do.Announced(heard.by)

    async def _play_message(self, action: do.PlayMessage) -> do.Announced:
        try:
            message = await asyncio.to_thread(load_prompt, action.path)
        except PromptError as error:
            log.warning("call %s: a message is not heard: %s", self._call.id, error)
            return do.Announced()
        heard = await self._call.play(message, barge_in=action.barge_in)
        return do.Announced(heard.by)

    def _cut_already(self, mode: BargeInMode) -> bool:
        return mode in _CUT_BY_KEYS and bool(self._call.digits)

    async def _collect(self, action: do.Collect) -> do.Collected:
        keys = await self._call.collect(
            action.digits,
            first_timeout_s=action.first_timeout_s,
            next_timeout_s=action.next_timeout_s,
            finish_on=action.finish_on,
            masked=action.masked,
            until_speech=action.until_speech,
        )
        return do.Collected(keys.keys, keys.finished, keys.spoke)

    async def _take_message(self, action: do.TakeMessage) -> do.Message:
        call = self._call
        recording = await call.record(
            max_s=action.max_s, silence_s=action.silence_s, finish_on=action.finish_on, beep=action.beep
        )
        if not recording.audio:
            return do.Message()
        edition = call.edition
        path = await edition.messages.keep(
            recording.audio,
            call_id=call.id,
            step=self._step,
            at=edition.now(),
            instead_of=action.instead_of,
        )
        return do.Message(path, round(recording.ms) if path else 0)

    async def _fetch(self, action: do.Fetch) -> do.Fetched:
        webhooks = self._call.edition.webhooks
        if webhooks is None:
            return do.Fetched(error="flows.webhook_hosts is empty")
        if self._call.ended:  # `Limits.agent_grace_s` bounds it
            return await webhooks.fetch(action, call_id=self._call.id)
        answer = asyncio.create_task(webhooks.fetch(action, call_id=self._call.id))
        try:
            if not await self._has_come(answer, HOLD_AFTER_S) and action.hold:
                async with self._call.holding(action.hold):
                    await self._has_come(answer)
            await self._has_come(answer)
            return answer.result()
        except CallEnded:
            if not self._telling:
                raise
            return await answer
        finally:
            answer.cancel()
            await asyncio.wait({answer})

    async def _has_come(self, answer: asyncio.Task[T], within_s: float | None = None) -> bool:
        """Wait for `answer`, for as long as the caller does.

        Raises:
            CallEnded: the call was over before.
        """
        call = self._call
        over = asyncio.create_task(call.over.wait())
        try:
            await asyncio.wait({answer, over}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        if call.ended and not answer.done():
            raise CallEnded(f"call {call.id} ended in a webhook: {call.ended}")
        return answer.done()

    async def _connect(self, action: do.Connect) -> do.NotConnected:
        try:
            await self._call.transfer(action.to)
        except CarrierError as error:
            log.warning("call %s: not transferred: %s", self._call.id, error)
            return do.NotConnected(str(error))
        return do.NotConnected()

    async def _run_agent(self, action: do.RunAgent) -> None:
        config = AgentConfig(entrypoint=action.entrypoint, options=dict(action.options))
        agent = load_agent(config)
        with _given(self._call, config.options):
            await agent(self._call)


@contextmanager
def _given(call: Call, options: Mapping[str, Any]) -> Iterator[None]:
    """The agent of a step has options of its own."""
    ours, call.options = call.options, options
    try:
        yield
    finally:
        call.options = ours
