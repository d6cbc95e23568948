"""A rehearsal as it is run: engines, a bridge and a caller on loopback, and one call.

Strategy:

- The bridge is the one that serves: its webhook, its admission, its media socket. Nothing of it is stood in for but
  the engines, and those only where the script says so.
- The caller waits for what the agent says, never for a clock: how busy the machine is does not matter.
- Whatever was started is ended, whatever happens in between.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from re import IGNORECASE, search
from typing import Final

from bridge.agents.loader import load_agent
from bridge.call import Call
from bridge.config import Config, Secret
from bridge.emulators.call_report import CallReport
from bridge.emulators.caller import place_call
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_script import Action, Cue, HangUp, Pause, Press, Utterance
from bridge.emulators.carriers.twilio_rest import TwilioRest
from bridge.emulators.known_voices import KnownVoices
from bridge.emulators.lightning_process import KEY
from bridge.emulators.llm import EmulatedLlm, LlmOptions
from bridge.emulators.pulse import EmulatedPulse
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.emulators.recording import CallRecording
from bridge.emulators.rest_stand_in import EmulatedRest
from bridge.errors import ConfigError
from bridge.rehearsal.cast import Part, cast, vocabulary
from bridge.rehearsal.facts import Facts, facts_of, utterances
from bridge.rehearsal.judge import Verdict, judged
from bridge.rehearsal.noises import SILENT_DBFS
from bridge.rehearsal.script import TURN_MS, Rehearsal, Script, Step
from bridge.rehearsal.settings import (
    PUBLIC_URL,
    Settings,
    with_carrier,
    with_lightning,
    with_model,
    with_pulse,
)
from bridge.server.serve import Server, running

_ANSWER: Final = "/carriers/twilio/answer"
#: How long the bridge may take to notice that the call is over.
_GOODBYE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Performance:
    """A rehearsal that was run.

    Attributes:
        agent: who was rehearsed, "module:function".
        began: when, for reports.
    """

    rehearsal: Rehearsal
    agent: str
    parts: Sequence[Part]
    facts: Facts
    verdicts: Sequence[Verdict]
    recording: CallRecording
    began: datetime

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not any(verdict.failed for verdict in self.verdicts)


def require_agent(rehearsal: Rehearsal, settings: Settings) -> None:
    """Refuse an agent that cannot be run, before anything is started for it.

    Raises:
        ConfigError: there is none of that name, its options are wrong, or it would never ask the scripted model.
    """
    config = settings.config
    with importable(_folders(rehearsal, settings)):
        load_agent(config.agent, settings.source)
        if not _is_scripted(rehearsal.script):
            return
        try:
            load_agent(with_model(config, "http://127.0.0.1").agent)
        except ConfigError as error:
            reason = (
                f"{config.agent.entrypoint} has no options base_url and api_key: it would not ask these rules"
            )
            raise rehearsal.fault("model", reason) from error


def _is_scripted(script: Script) -> bool:
    """Whether its language model answers by the rules in it."""
    return bool(script.model) and script.engines.llm != "real"


async def perform(rehearsal: Rehearsal, settings: Settings, lightning_url: str) -> Performance:
    """Run `rehearsal`, and judge it. Takes as long as the call does.

    Args:
        lightning_url: of the emulated Lightning; not used where the real one speaks.

    Raises:
        ConfigError: something is missing or wrong, in the script or in the configuration.
        BridgeError: the call could not be made for another reason.
    """
    parts = await cast(rehearsal)
    began = datetime.now(UTC)
    async with AsyncExitStack() as stack:
        config = await _with_engines(stack, rehearsal.script, settings.config, parts, lightning_url)
        stack.enter_context(importable(_folders(rehearsal, settings)))
        server = await stack.enter_async_context(running(config, source=settings.source))
        report, call, offset_ms = await _call(rehearsal.script, parts, server)
    facts = facts_of(call.timeline if call else (), report, parts, offset_ms)
    verdicts = judged(rehearsal, facts)
    return Performance(rehearsal, config.agent.entrypoint, parts, facts, verdicts, report.recording, began)


async def _with_engines(
    stack: AsyncExitStack, script: Script, config: Config, parts: Sequence[Part], lightning_url: str
) -> Config:
    engines = script.engines
    carrier = EmulatedRest(TwilioRest(config.carriers.twilio))
    config = with_carrier(config, (await stack.enter_async_context(carrier)).url)
    if engines.lightning == "emulated":
        config = with_lightning(config, lightning_url)
    if engines.pulse == "emulated":
        options = PulseEmulatorOptions(
            api_key=Secret(KEY), partial_ms=engines.pulse_ms, final_ms=engines.pulse_ms
        )
        pulse = EmulatedPulse(options, KnownVoices(vocabulary(parts)))
        config = with_pulse(config, (await stack.enter_async_context(pulse)).url)
    elif engines.pulse == "off":
        config = with_pulse(config, "")
    if _is_scripted(script):
        model = EmulatedLlm(LlmOptions(Secret(KEY), model="", first_token_ms=engines.llm_ms), script.model)
        config = with_model(config, (await stack.enter_async_context(model)).url)
    return config


def _folders(rehearsal: Rehearsal, settings: Settings) -> Iterator[Path]:
    """Where agents and their tools may be: beside the configuration, beside the script, or where we are."""
    yield from (Path(settings.source).parent, rehearsal.folder, Path())


@contextmanager
def importable(folders: Iterable[Path]) -> Iterator[None]:
    """Within it, modules can be imported from `folders`, unless there are others of the same name."""
    added = [str(folder.resolve()) for folder in folders]
    sys.path += added
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


# -- the call ----------------------------------------------------------------------------------------------------------


class _Onlooker:
    """Knows what the agent has said, while the call lasts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.recording = CallRecording()
        self.ended: list[Call] = []
        self._dialled_s = time.monotonic()
        server.runtime.on_ended.append(self.ended.append)

    def offset_ms(self, call: Call) -> float:
        """What puts the call's times on the caller's axis."""
        return (call.started_s - self._dialled_s) * 1000

    def has_heard(self, pattern: str) -> Callable[[], bool]:
        """Whether the caller has heard `pattern` since it did something last."""

        def heard() -> bool:
            since_ms = self.recording.actions[-1][0] if self.recording.actions else 0.0
            return search(pattern, self._heard_since(since_ms), IGNORECASE) is not None

        return heard

    def _heard_since(self, since_ms: float) -> str:
        calls = self._server.runtime.calls.values()
        return " ".join(
            said.text
            for call in calls
            for said in utterances(list(call.timeline))
            if said.asked_ms + self.offset_ms(call) >= since_ms
        )


async def _call(
    script: Script, parts: Sequence[Part], server: Server
) -> tuple[CallReport, Call | None, float]:
    """The call, as the caller and the bridge tell it, and what puts the bridge's times on the caller's axis."""
    head, onlooker = script.rehearsal, _Onlooker(server)
    report = await place_call(
        CallPlan(
            answer_url=f"http://127.0.0.1:{server.port}{_ANSWER}",
            public_url=PUBLIC_URL,
            section=server.runtime.config.carriers.twilio,
            actions=actions_of(script, parts, onlooker.has_heard),
            hang_up_after_s=head.deadline_s,
            hang_up_on_silence_s=head.patience_s,
            give_up_after_s=head.patience_s,
            noise_dbfs=head.noise_dbfs if head.noise_dbfs > SILENT_DBFS else None,
            recording=onlooker.recording,
        )
    )
    await server.drain(_GOODBYE_S)  # the bridge may hear of the end a moment after the caller has made it
    call = next(iter(onlooker.ended), None)
    return report, call, onlooker.offset_ms(call) if call else 0.0


def actions_of(
    script: Script, parts: Sequence[Part], has_heard: Callable[[str], Callable[[], bool]]
) -> list[Action]:
    """What the caller does, step by step; and in the end, unless the agent is to end the call, hangs up."""
    actions = [
        _action(step, part, _cue(step, has_heard)) for step, part in zip(script.caller, parts, strict=True)
    ]
    last, call = script.caller[-1], script.call
    if last.hang_up or call.transferred_to or call.ended_by in ("agent", "transfer"):
        return actions
    linger_s = script.rehearsal.linger_s
    cue = Cue(after_s=linger_s) if last.wait_s else Cue(after_bridge_silent_ms=linger_s * 1000)
    return [*actions, HangUp(cue)]


def _action(step: Step, part: Part, cue: Cue) -> Action:
    if part.audio:
        return Utterance(part.audio, cue)
    if step.press is not None:
        return Press(step.press, cue)
    return HangUp(cue) if step.hang_up else Pause((step.wait_s or 0) * 1000, cue)


def _cue(step: Step, has_heard: Callable[[str], Callable[[], bool]]) -> Cue:
    once = has_heard(step.after) if step.after else None
    if step.interrupt_after_ms is not None:
        return Cue(after_bridge_speaks_ms=step.interrupt_after_ms)
    if step.after_s is not None:
        return Cue(after_s=step.after_s, once=once)
    if step.wait_s is not None and step.after_silence_ms is None and once is None:
        return Cue(after_s=0)  # to wait is to let time go by, whatever the agent does
    silence_ms = TURN_MS if step.after_silence_ms is None else step.after_silence_ms
    return Cue(after_bridge_silent_ms=silence_ms, once=once)
