"""Calls whose Lightning, or whose way to it, misbehaves; many of them side by side.

Strategy:

- A call is in real time, and a table of failures is long. So the calls of all selected tests of a module are made
  at once, and each test then looks at its own.
- Fewer at once than the machine could bear: what one call's beginning costs must not be heard in another.
- What goes wrong is told apart from how often: `Times` is a number of occasions, or None for always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, TypeAlias, TypeVar

import pytest

from bridge.emulators.call_report import CallReport
from bridge.emulators.caller_plan import Misbehaviour
from bridge.emulators.caller_script import Action
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.lightning.stats import LightningStats
from bridge.media.heard import Heard
from tests.support import agents
from tests.support.bridge import Stage, stage
from tests.support.fault_proxy import Fault, FaultProxy, Trouble
from tests.support.hearing import FIRST, OTHER_VOICE, SECOND, VOICE, Hearing, hearing_in
from tests.support.log import no_tracebacks
from tests.support.scripted_lightning import ScriptedLightning
from tests.support.voice import until_warm

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
#: How often it goes wrong; None: always.
Times: TypeAlias = int | None

#: For a handshake, a first audio, the next audio.
_DEADLINES: Final = ("connect_timeout_s", "first_audio_timeout_s", "stall_timeout_s")
#: What they are where one must pass, and where none should.
DEADLINE_S, AMPLE_S = 0.75, 3.0
#: After the handshake, before any audio.
AT_FIRST_BYTES: Final = 600
#: No call here lasts longer, whatever happens to it.
AT_MOST_S: Final = 20.0
CALLS_AT_ONCE: Final = 10
#: A machine that did nothing for so long has missed deadlines that nobody else did: the call is made again.
TOO_LATE_MS: Final = 300.0
TRIES: Final = 5
#: A caller who only listens and presses keys: to look for speech in so many voices is half of the work.
MUTE: Final = Misbehaviour(mute=True)


def on_the_way_back(
    trouble: Trouble, after_bytes: int, *, once: bool = False
) -> Callable[[FaultProxy, Times], None]:
    """Harm to what Lightning sends. `once`: however often it was to go wrong."""

    def harm(network: FaultProxy, times: Times) -> None:
        network.down.fault = Fault(trouble, after_bytes, 1 if once else times)

    return harm


def paced(**switches: Any) -> EmulatorOptions:
    """Audio comes faster than it is heard, as it does from the real one."""
    return EmulatorOptions(**{"first_byte_ms": 50.0, "realtime_factor": 3.3} | switches)


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What is wrong: with the emulator, with the way to it, or with another Lightning in its place."""

    options: Callable[[Times], EmulatorOptions] = lambda _: paced()
    network: Callable[[FaultProxy, Times], None] | None = None
    scripted: Callable[[Times], ScriptedLightning] | None = None
    deadline_s: float = DEADLINE_S
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Result:
    """What came of a call."""

    report: CallReport
    #: What each `say` of the agent's gave: `Heard`, or the error.
    told: list[object]
    stats: LightningStats
    #: Units of concurrency that are in use after the call, by our count and by the emulator's.
    units_in_use: int

    @cached_property
    def heard(self) -> Hearing:
        """What the caller heard."""
        return hearing_in(self.report)

    @property
    def told_whole(self) -> list[str]:
        """The texts of which the agent was told that the caller heard them to the end."""
        return [heard.text for heard in self.told if isinstance(heard, Heard) and not heard.interrupted]


R = TypeVar("R", bound=Result)


async def call_under(
    circumstances: Circumstances,
    *actions: Action,
    times: Times = None,
    texts: Sequence[str] = (FIRST, SECOND),
    fallback: bool = False,
) -> Result:
    """Have `texts` said, one after the other.

    Args:
        actions: what the caller does meanwhile.
        times: how often it goes wrong.
        fallback: whether there is another Lightning, with another voice.
    """
    return await in_time(partial(_call_under, circumstances, actions, times, texts, fallback))


async def in_time(call: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Make `call`; again when the machine was too busy to tell anything."""
    for _ in range(TRIES):
        result = await call()
        if result.report.late_ms <= TOO_LATE_MS:
            break
    return result


async def _call_under(
    circumstances: Circumstances,
    actions: Sequence[Action],
    times: Times,
    texts: Sequence[str],
    fallback: bool,
) -> Result:
    deadlines = dict.fromkeys(_DEADLINES, circumstances.deadline_s)
    lightning = {"voice_id": VOICE, "hedge_after_s": 0.0} | deadlines | dict(circumstances.config)
    async with AsyncExitStack() as stack:
        if circumstances.scripted:
            scripted = await stack.enter_async_context(circumstances.scripted(times))
            lightning["base_url"] = scripted.url
        s = await stack.enter_async_context(
            stage(
                "tests.support.agents:says_its_texts",
                lightning=circumstances.options(times),
                network=circumstances.network is not None,
                fallback=paced() if fallback else None,
                fallback_voice=OTHER_VOICE,
                sections={"lightning": lightning, "agent": {"options": {"texts": list(texts)}}},
            )
        )
        await until_warm(s)
        if circumstances.network and s.network:
            circumstances.network(s.network, times)
        async with asyncio.timeout(AT_MOST_S):
            return _result(s, await s.call(*actions, hang_up_after_s=AT_MOST_S - 1, misbehaviour=MUTE))


def _result(s: Stage, report: CallReport) -> Result:
    return Result(report, agents.log.pop(report.call_sid), s.server.runtime.voice.stats, s.units_in_use)


# -- side by side ------------------------------------------------------------------------------------------------


def side_by_side(calls: Mapping[K, Callable[[], Coroutine[Any, Any, T]]]) -> dict[K, T | BaseException]:
    """Make `calls`, and give what each came to, or failed with. None of them may log a traceback."""

    async def make_all() -> list[T | BaseException]:
        places = asyncio.Semaphore(CALLS_AT_ONCE)

        async def make(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
            async with places:
                return await call()

        return await asyncio.gather(*map(make, calls.values()), return_exceptions=True)

    with no_tracebacks():
        return dict(zip(calls, asyncio.run(make_all()), strict=True))


def selected(request: pytest.FixtureRequest, name: str) -> list[Any]:
    """The values of the parameter `name` in the tests of the requesting module that are going to run."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    here = [item for item in items if item.path == request.path and hasattr(item, "callspec")]
    return [item.callspec.params[name] for item in here if name in item.callspec.params]


def came_to(results: Mapping[K, T | BaseException], case: K) -> T:
    """The result of `case`, or its failure raised."""
    found = results[case]
    if isinstance(found, BaseException):
        raise found
    return found
