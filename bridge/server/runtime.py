"""Everything that one process holds for its calls: clock, detector, voice, admission, live calls.

Strategy:

- One of each per process, made at start and warmed before the first call: nothing is loaded per call.
- The pacer runs only while there are calls. On its beat the detector looks at every caller's new windows in one
  batch, and once a second the watchdogs look at every line.
- A call is admitted, made, run and ended here; HTTP and WebSockets are the handlers' business.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bridge.agents.loader import Agent, load_agent, prepare, prepare_quietly, require_words
from bridge.call import TRANSFERRED, Call
from bridge.carriers.carrier import Ended, Ending, IncomingCall
from bridge.carriers.registry import carriers_from
from bridge.config import BargeInConfig, Config
from bridge.config_agents import TurnsConfig
from bridge.control import CallControl, Errands
from bridge.errors import Refused
from bridge.lightning.voice import normaliser, open_voice
from bridge.media.barge_in import BargeIn, BargeInPolicy, TurnDetector, TurnPolicy
from bridge.media.pacer import Pacer
from bridge.media.playout import Playout
from bridge.media.smart_turn import SmartTurn
from bridge.media.vad import SpeechDetector, VadStream
from bridge.mouth import Line
from bridge.networks import networks
from bridge.observe.stats import BridgeStats
from bridge.prompts import apology, goodbye, one_moment
from bridge.server.admission import Admission
from bridge.server.flows import open_library, prepare_steps
from bridge.server.left_out import tell_what_is_unsafe, tell_who_is_left_out
from bridge.server.limits import Limits
from bridge.server.placing import Placements
from bridge.server.running import run_agent
from bridge.server.spending import SPENT, Spending
from bridge.server.turn_log import TurnLog
from bridge.store.memory import MemoryTokenStore
from bridge.surroundings import Surroundings
from bridge.transcribers.open import listener, open_transcriber
from bridge.wire import OURS, Wire

if TYPE_CHECKING:
    from bridge.server.session import Session

log = logging.getLogger(__name__)

#: The detector looks as soon as so many windows wait: a batch of 32 costs little more for each than one of 64.
DETECT_WAITING: Final = 32
#: ... and in any case on every second tick of 5 ms, so that few calls wait 10 ms at most.
DETECT_EVERY_TICKS: Final = 2
#: One batch of this many windows holds the loop for some 2 ms; the rest waits for the next tick.
DETECT_BATCH: Final = 128
WATCH_EVERY_TICKS: Final = 200
#: Calls whose end is remembered, for the carrier that asks what to do after it.
REMEMBERED_ENDS: Final = 1000
#: Ends that nobody has to apologise for.
PEACEFUL: Final = frozenset({"agent", "carrier", "silent_line", SPENT, TRANSFERRED})


def _policy(config: BargeInConfig) -> BargeInPolicy:
    return BargeInPolicy(
        mode=config.mode,
        min_words=config.min_words,
        threshold=config.threshold,
        onset_ms=config.onset_ms,
        gate_dbfs=config.gate_dbfs,
    )


def _smart_turn(config: TurnsConfig, source: str) -> SmartTurn | None:
    if not config.smart_turn:
        return None
    path = Path(source).parent / config.smart_turn
    return SmartTurn(path, config.smart_turn_threshold, source=source)


def _playout(wire: Wire, lead_ms: int) -> Playout:
    how = wire.dialect.delivery
    return Playout(
        OURS,
        lead_ms=lead_ms,
        message_ms=how.message_ms,
        tail_ms=how.tail_ms,
        marks=how.marks,
        clear=how.clear,
    )


def _ended(call: Call) -> Ended:
    """What is known of the end of `call`; of one that is on, that nobody here has ended it."""
    if call.transfer_to:
        return Ended(Ending.TRANSFERRED, call.transfer_to)
    return Ended(Ending.FINISHED if call.ended in PEACEFUL else Ending.LOST)


class Runtime:
    """One process's bridge.

    Args:
        config: checked by `bridge.config.require_for_serving`.
        agent: who talks.
        source: the configuration's file, for messages.
        limits: what carriers and agents may ask for.
        clock: monotonic seconds.
        unix_clock: seconds since 1970, which signatures are dated by.
    """

    def __init__(
        self,
        config: Config,
        agent: Agent,
        *,
        source: str = "",
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.limits = limits or Limits()
        self.stats = BridgeStats()
        self.clock, self.unix_clock = clock, unix_clock
        self.carriers = carriers_from(config.carriers)
        self.proxies = networks(config.server.trusted_proxies)
        tell_who_is_left_out(config)
        tell_what_is_unsafe(config, self.carriers)
        #: What agents share, and may know of the process.
        self.surroundings = Surroundings(Path(source).parent, config.lightning.api_key)
        self.voice = open_voice(config.lightning, normalise=normaliser(config.speech.normalise))
        #: Who listens to callers; None when nobody does.
        self.transcriber = open_transcriber(config, self.stats.transcriber, source)
        require_words(agent, config.agent, source, heard=self.transcriber is not None)
        #: Who judges by the sound whether callers are done; None when nobody does.
        self.smart_turn = _smart_turn(config.turns, source)
        #: Prompts and flows, by editions.
        self.library = open_library(config, source, self.voice, self.stats)
        #: What calls cost.
        self.spending = Spending(config.budget, self.stats.agents, unix_clock)
        self.admission = Admission(
            self.carriers,
            MemoryTokenStore(clock),
            config.server.public_url,
            has_voice=lambda: self.voice.able or not config.server.refuse_without_voice,
            budget_spent=lambda: self.spending.budget.spent,
        )
        self.pacer = Pacer(clock)
        self.detector = SpeechDetector()
        self.calls: dict[str, Call] = {}
        #: Called with each call when it is over; the demo and, later, recorders read its timeline here.
        self.on_ended: list[Callable[[Call], None]] = []
        #: How long callers waited for answers.
        self.turn_log = TurnLog(self.calls)
        self.on_ended.append(self.turn_log.keep)
        #: Who makes requests of the carriers, and what else runs beside the calls.
        self.errands = Errands(self.stats)
        #: The calls that are on, each with its media socket.
        self.sessions: dict[str, Session] = {}
        self._agent, self._source = agent, source
        self._placements = Placements()
        self._policy = _policy(config.barge_in)
        self._turn_policy = TurnPolicy(
            hangover_ms=config.turns.patience_ms, talking_gate_dbfs=config.barge_in.gate_dbfs
        )
        self._by_stream: dict[VadStream, Call] = {}
        self._seen: dict[str, int] = {}
        self._ends: OrderedDict[str, Ended] = OrderedDict()
        self._sockets = 0
        self._no_sockets = asyncio.Event()
        self._no_sockets.set()
        self.pacer.every(1, self._detect_many)
        self.pacer.every(DETECT_EVERY_TICKS, self._detect)
        self.pacer.every(WATCH_EVERY_TICKS, self._watch)

    async def start(self) -> None:
        """Load what calls must not wait for, and open the spare connections.

        Raises:
            ConfigError: the agent cannot do its work as it is configured.
            FilesRefused: something is wrong with prompts or flows.
        """
        for bundled in (apology, one_moment, goodbye):
            bundled()
        if self.transcriber is not None:  # first, because it may rely on it that what is closed was started
            await self.transcriber.start()
            log.info("callers' words come from %s", listener(self.config))
        await asyncio.to_thread(self.library.load)
        self.surroundings.prompts = self.library.edition.shelf.book.specs
        await prepare(self._agent, self.config.agent, self.surroundings, self._source)
        await prepare_steps(self.library.edition.flows, self.surroundings)
        await self.voice.start()

    async def close(self) -> None:
        """Let go of everything. Calls must be over."""
        self.pacer.stop()
        await self.errands.close()
        await self.library.close()
        await self.surroundings.close()
        if self.transcriber is not None:
            await self.transcriber.close()
        if self.smart_turn is not None:
            self.smart_turn.close()
        await self.voice.close()

    @property
    def draining(self) -> bool:
        """Whether new calls are refused because the process is going down."""
        return self.admission.draining

    @contextmanager
    def holding_a_socket(self) -> Iterator[None]:
        """For the handler of a media socket, from its upgrade to its last goodbye: `drained` waits for it."""
        self._sockets += 1
        self._no_sockets.clear()
        try:
            yield
        finally:
            self._sockets -= 1
            if not self._sockets:
                self._no_sockets.set()

    async def drained(self) -> None:
        """Wait until there is no media socket left: no call, none about to start, none saying goodbye."""
        await self._no_sockets.wait()

    # -- one call ----------------------------------------------------------------------------------------------

    def open_call(
        self, carrier: str, incoming: IncomingCall, line: Line, wire: Wire, *, can_speak: bool
    ) -> Call:
        """Make an admitted call. The caller's next duty: `run_agent`, and `close_call` when it is over."""
        ear = self.detector.open()
        call = Call(
            incoming,
            carrier=carrier,
            line=line,
            wire=wire,
            control=self._control(carrier, incoming),
            voice=self.voice.for_call(),
            transcriber=self.transcriber,
            playout=_playout(wire, self.config.playout.lead_ms),
            barge_in=BargeIn(self._policy),
            ear=ear,
            pacer=self.pacer,
            stats=self.stats,
            clock=self.clock,
            options=self.config.agent.options,
            mode=self.config.barge_in.mode,
            can_speak=can_speak,
            filler_after_s=self.config.speech.filler_after_s,
            turn_detector=TurnDetector(self._turn_policy),
            turns=self.config.turns,
            smart_turn=self.smart_turn,
            edition=self.library.lend(),
            budget=self.spending.budget.for_call(),
            in_band_keys=self.config.dtmf.in_band,
            surroundings=self.surroundings,
        )
        self.calls[call.id] = call
        self._by_stream[ear] = call
        self.stats.calls_started += 1
        self.pacer.start()
        log.info("call %s started on %s: %s", call.id, carrier, wire)
        return call

    def _control(self, carrier: str, incoming: IncomingCall) -> CallControl:
        return CallControl(self.carriers[carrier], incoming, self.admission.urls(carrier), self.errands)

    def close_call(self, call: Call, reason: str) -> None:
        """The call's socket is gone: end it and forget it."""
        call.end(reason)
        self.spending.close(call, self.clock())
        call.abandon()
        ear = call.ear
        if self._by_stream.pop(ear, None) is not None:
            self.detector.close(ear)
        self.calls.pop(call.id, None)
        self._seen.pop(call.id, None)
        self.library.give_back(call.edition)
        self.sessions.pop(call.id, None)
        self.stats.calls_ended[call.ended] += 1
        self._ends[call.id] = _ended(call)
        if len(self._ends) > REMEMBERED_ENDS:
            self._ends.popitem(last=False)
        log.info("call %s ended: %s", call.id, call.ended)
        for reader in self.on_ended:
            reader(call)
        if not self.calls:
            self.pacer.stop()

    def ended_of(self, call_id: str) -> Ended:
        """What is known of a call whose stream is over: lost, when this process has never heard of it."""
        call = self.calls.get(call_id)
        return _ended(call) if call else self._ends.get(call_id, Ended(Ending.LOST))

    def told_over(self, carrier: str, call_id: str) -> None:
        """The carrier says that a call is over: nobody needs to wait for its socket to say so, or to come back."""
        call = self.calls.get(call_id)
        if call is not None and call.carrier == carrier:
            call.drop(1000, "carrier")

    def live(self, call_id: str) -> Call | None:
        """The call that is on, by its id or by what `place_call` returned for it."""
        named = (call for call in self.calls.values() if call_id in (call.id, call.placed_as))
        return self.calls.get(call_id) or next(named, None)

    async def run_agent(self, call: Call) -> None:
        """Run the agent to its end. Its faults end its call and nothing else."""
        await run_agent(call, self.spending.within(call, self._talk(call)), self.stats)

    async def _talk(self, call: Call) -> None:
        agent = await self._placements.agent_of(call.carrier, call.id, call.placed_as)
        await (agent or self._agent)(call)

    async def place_call(self, via: str, to: str, from_number: str, entrypoint: str = "") -> str:
        """Have a carrier call somebody.

        Args:
            via: the carrier's name.
            entrypoint: who talks, ``module:function``; by default the agent of the configuration.

        Returns:
            The call's id, as its timeline will have it; of some carriers only what will be its `Call.placed_as`.

        Raises:
            Refused: no such carrier, or no room for another call.
            ConfigError: there is no such agent.
            CarrierError: the carrier did not do it, or (Unsupported) cannot.
        """
        carrier = self.carriers.get(via)
        if carrier is None:
            raise Refused("carrier", f"{via!r} is not configured", status=404)
        self.admission.refuse_new_calls()
        agent = self._agent_named(entrypoint) if entrypoint else self._agent
        plan = carrier.place_call(to, from_number, self.admission.urls(via))
        call_id = await self._placements.place(via, agent, lambda: self.errands.run("place_call", via, plan))
        self.stats.calls_placed += 1
        log.info("call %s placed through %s", call_id, via)
        return call_id

    def _agent_named(self, entrypoint: str) -> Agent:
        config = replace(self.config.agent, entrypoint=entrypoint)
        agent = load_agent(config)
        require_words(agent, config, heard=self.transcriber is not None)
        self.errands.spawn(prepare_quietly(agent, config, self.surroundings), f"prepare {entrypoint}")
        return agent

    # -- beats -------------------------------------------------------------------------------------------------

    def _detect_many(self, now_s: float) -> None:
        if self.detector.due >= DETECT_WAITING:
            self._detect(now_s)

    def _detect(self, _now_s: float) -> None:
        by_stream = self._by_stream
        for window in self.detector.run(DETECT_BATCH):
            call = by_stream.get(window.stream)
            if call is not None:
                call.listen(window)

    def _watch(self, now_s: float) -> None:
        live = [call for call in self.calls.values() if not call.ended]
        self.spending.beat(live, now_s)
        for call in [call for call in live if not call.ended]:
            seen = self._seen.get(call.id, 0)
            self._seen[call.id] = call.messages
            if call.suspended:
                call.media_s = now_s
                continue
            quiet_s = now_s - call.media_s
            if call.messages == seen:
                if quiet_s > self.limits.dead_line_s:
                    self.stats.silent_lines += 1
                    call.drop(1001, "silent_line")
                elif quiet_s > self.limits.dead_line_s / 2:
                    call.probe()
                continue
            call.media_s = now_s
            # After a stall, of the network or of this process, all that waited comes at once: that is no flood.
            if call.messages - seen > self.limits.messages_per_s * max(1.0, quiet_s):
                self.stats.floods += 1
                call.drop(1008, "flood")
