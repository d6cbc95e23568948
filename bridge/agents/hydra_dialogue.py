"""One call with Hydra: the caller's voice up, its answers down, and nobody left in silence.

Strategy:

- Hydra hears, thinks and speaks by itself; here its answers become utterances of the call, in order, and its news that
  the caller speaks becomes silence at once. The bridge's own detector may be first: then Hydra is told to stop.
- Its function calls are the tools of every agent. When all their outputs are there, it is asked to go on.
- A wait has a filler, then an apology, and after some of those the call is handed on or ended, as with every agent
  that thinks. Of a session that hangs the bridge's own ears tell: a turn to which there was no message at all.
- A session that breaks is opened anew, with an apology: the new one does not know what was said. One that idleness
  closed is opened anew without a word.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, assert_never

from bridge.agents.courtesy import Courtesy
from bridge.agents.crew import Crew
from bridge.agents.hydra_waits import Company, Waits
from bridge.errors import CallEnded, ProtocolError, ThinkerError, ThinkerFailure
from bridge.hydra import messages as m
from bridge.hydra.answers import Answer
from bridge.hydra.audio import Uplink
from bridge.hydra.functions import FunctionCall
from bridge.hydra.session import HydraSettings, OpenSession, Session, open_session
from bridge.observe import timeline as tl
from bridge.tools import Toolbox, ToolFailed

if TYPE_CHECKING:
    from bridge.agents.conversation import Manners
    from bridge.call import Call

log = logging.getLogger(__name__)

#: A session that cannot be opened is tried again, after about so long, unless it never will be.
OPEN_AGAIN_AFTER_S: Final = (0.3, 1.0)
IN_VAIN: Final = frozenset({"unauthorized", "request"})
#: A session that is closed sooner was not idle.
SHORT_S: Final = 10.0
#: So many answers in a row that did not come, and the session is given up for another one.
REOPEN_AFTER: Final = 2
#: That are begun and not ended, or not heard, at once.
MOST_ANSWERS: Final = 8
#: Function calls at once; and how often Hydra may go on from them before the caller has said anything.
MOST_AT_WORK: Final = 16
MOST_ROUNDS: Final = 8
#: What is told of a function that was asked for in an answer which the caller has cut short.
NOT_DONE: Final = "not done: the caller has gone on speaking: listen to them first"
#: What the bridge's own ears take for a turn, whatever Hydra takes it for.
SURE_TURN_MS: Final = 700.0


@dataclass(slots=True, eq=False)
class _Work:
    """Function calls since the caller last spoke: at work, whether outputs wait for Hydra, and how often they did."""

    running: int = 0
    owes: bool = False
    rounds: int = 0


class Dialogue:
    """A conversation that Hydra holds on `call`."""

    def __init__(self, call: Call, manners: Manners, open_session: OpenSession = open_session) -> None:
        self._call, self._manners, self._stats = call, manners, call.stats.hydra
        self._open_session = open_session
        self._courtesy, self._crew = Courtesy(call, manners), Crew()
        self._uplink = Uplink(self._stats)
        self._session: Session | None = None
        #: Those that are not over, by id, and the newest of this session.
        self._answers: dict[str, Answer] = {}
        self._newest: Answer | None = None
        #: Those that the caller hears, or is about to.
        self._speaking: set[Answer] = set()
        self._news = asyncio.Event()
        self._waits = Waits(self._crew, self._courtesy, manners, self._is_heard, self._be_late)
        self._company = Company(call, self._courtesy, manners, self._is_busy)
        self._work = _Work()
        #: How often the caller has taken the floor.
        self._turns_taken = 0
        #: When Hydra last said anything.
        self._message_ms = -inf

    async def hold(self, settings: HydraSettings, toolbox: Toolbox) -> None:
        """Until it is over.

        Raises:
            CallEnded: the caller has hung up.
            BudgetSpent: the call has cost what it may.
        """
        self._settings, self._toolbox = settings, toolbox
        self._call.timeline.follow(self._notice)
        self._crew.start(self._company.keep())
        self._crew.start(self._until_the_call_is())
        with self._call.hearing(self._uplink.push, tells_turns=True):
            await self._crew.lead(self._converse())

    async def all_heard(self) -> None:
        """Wait until the caller has heard all that Hydra has to say so far.

        Raises:
            ToolFailed: the caller has taken the floor meanwhile.
        """
        turns_taken = self._turns_taken
        while (self._is_answering() or self._speaking) and turns_taken == self._turns_taken:
            self._news.clear()
            await self._news.wait()
        if turns_taken != self._turns_taken:
            raise ToolFailed("the caller has gone on speaking: listen to them first")

    async def _until_the_call_is(self) -> None:
        await self._call.over.wait()
        raise CallEnded(f"call {self._call.id} is over: {self._call.ended}")

    # -- sessions ------------------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        settings = self._settings.greeting(self._manners.greeting)
        while not self._call.ended and (session := await self._open(settings)) is not None:
            try:
                await self._attend(session, settings)
            except ThinkerError as error:
                await self._lose(error)
            finally:
                self._forget()
                await session.close()
            settings = self._settings

    async def _open(self, settings: HydraSettings) -> Session | None:
        """A session; None when there will be none, and the caller has been told."""
        self._waits.begin(patient=True)
        for after_s in (*OPEN_AGAIN_AFTER_S, None):
            try:
                return await self._open_session(settings, self._uplink, self._stats)
            except ThinkerError as error:
                self._stats.refusals[error.kind] += 1
                self._courtesy.count(error.kind)
                log.warning("call %s: no session with Hydra: %s", self._call.id, error)
                if after_s is None or error.kind in IN_VAIN:
                    break
            await asyncio.sleep(after_s * (0.5 + random.random()))  # noqa: S311 -- nothing is secret here
        self._waits.end()
        await self._courtesy.give_up()
        return None

    async def _attend(self, session: Session, settings: HydraSettings) -> None:
        loop = asyncio.get_running_loop()
        began_s, self._session = loop.time(), session
        self._waits.end()
        if settings.speaks_first:
            self._waits.begin()
        async for message in session:
            self._message_ms = self._call.now_ms
            try:
                self._take(message)
            except ProtocolError as error:
                raise ThinkerError("garbage", error.reason) from None
        if not session.closed and loop.time() - began_s < SHORT_S:
            raise ThinkerError("cut", "closed as soon as it was open")

    async def _lose(self, error: ThinkerError) -> None:
        if self._call.ended:
            return
        self._forget()
        self._stats.dropped_sessions += 1
        self._courtesy.count(error.kind)
        log.warning("call %s: the session with Hydra is lost: %s", self._call.id, error)
        telling = self._crew.start(self._courtesy.fail(self._manners.apology))
        if self._courtesy.failed + 1 >= self._manners.failures:
            await telling  # the call is over with it: no other session is wanted

    def _forget(self) -> None:
        """Nothing more comes of this session; what has come of its answers is still heard."""
        for answer in self._answers.values():
            answer.end_sound()
        self._answers.clear()
        self._session = self._newest = None
        self._work = _Work()
        self._waits.end()
        self._news.set()

    # -- what Hydra says -----------------------------------------------------------------------------------------

    def _take(self, message: m.Message) -> None:
        match message:
            case m.AudioDelta(delta, response_id):
                answer = self._answer(response_id)
                if answer is not None and answer.sound(delta):
                    self._begin(answer)
            case m.SpeechStarted():
                self._caller_speaks()
            case m.SpeechStopped(audio_end_ms):
                self._caller_stopped(self._call.now_ms - self._uplink.ago_ms(audio_end_ms))
            case m.ResponseCreated(response):
                self._begin_answer(response.id)
            case m.TranscriptDelta(delta, response_id):
                if (answer := self._answer(response_id)) is not None:
                    answer.words(delta)
            case m.AudioDone(response_id):
                if (answer := self._answer(response_id)) is not None:
                    answer.end_sound()
            case m.ArgumentsDelta(response_id=response_id):
                if (answer := self._named(response_id)) is not None:
                    answer.functions.add(message)
            case m.ArgumentsDone(response_id=response_id):
                answer = self._named(response_id)
                if answer is not None and (asked := answer.functions.complete(message)):
                    self._do(asked, answer)
            case m.ResponseDone():
                self._end_answer(message)
            case m.Failed():
                log.warning("call %s: Hydra says %s", self._call.id, re.sub(r"\W", "?", message.code[:40]))
            case m.Created() | m.Configured() | m.Unused():
                pass
            case _:
                assert_never(message)

    def _answer(self, response_id: str | None) -> Answer | None:
        """The one of that id, if it is wanted."""
        answer = self._named(response_id)
        if answer is None or not answer.wanted:
            self._stats.stale_messages += 1
            return None
        return answer

    def _named(self, response_id: str | None) -> Answer | None:
        """The answer of that id; without one, the newest."""
        return self._newest if response_id is None else self._answers.get(response_id)

    def _is_answering(self) -> bool:
        return any(answer.wanted for answer in self._answers.values())

    def _is_heard(self) -> bool:
        return bool(self._speaking)

    def _is_busy(self) -> bool:
        return self._waits.on or self._is_heard()

    def _caller_speaks(self) -> None:
        self._company.stir(caller_on=True)
        self._turns_taken += 1
        self._work = (
            _Work()
        )  # whatever comes of the old: the answer to what they say now takes it into account
        self._waits.end()
        self._drop_answers()
        self._call.turn_clock.interrupted(self._call.now_ms)

    def _caller_stopped(self, speech_end_ms: float) -> None:
        self._company.stir()
        self._call.note_turn(speech_end_ms)
        self._waits.begin()

    def _begin_answer(self, response_id: str) -> None:
        if self._newest is not None and not self._newest.sound_over:
            self._drop_answers()
        assert self._session is not None
        if len({*self._answers.values(), *self._speaking}) >= MOST_ANSWERS:
            raise ThinkerError("flood", f"more than {MOST_ANSWERS} answers at once")
        self._stats.answers += 1
        self._newest = Answer(response_id, self._session.output_hz, self._manners.apology_after_s)
        self._answers[response_id] = self._newest
        self._call.note_token()

    def _begin(self, answer: Answer) -> None:
        """The first of its sound has come."""
        self._waits.end()
        self._speaking.add(answer)
        self._crew.start(self._say(answer))

    def _end_answer(self, done: m.ResponseDone) -> None:
        answer = self._answers.pop(done.response.id, None)
        self._news.set()
        if answer is None:
            return
        answer.over = True
        answer.end_sound()
        if done.reason == "interrupted":
            self._drop(answer)
        if done.completed:
            for asked in answer.functions.rest():
                self._do(asked, answer)
        elif answer.wanted and not answer.sounded:
            self._crew.start(self._be_late("server"))
        self._go_on()
        self._call.budget.spend("tokens", done.tokens)

    # -- what the caller hears -----------------------------------------------------------------------------------

    async def _say(self, answer: Answer) -> None:
        try:
            heard = await self._call.stream(answer.parts())
        finally:
            self._speaking.discard(answer)
            self._news.set()
            self._company.stir()
        if heard.interrupted:
            self._turns_taken += 1
            self._stats.interrupted += 1
            if (
                answer.wanted
            ):  # it was the bridge's own detector, or a key: what waits behind it is not wanted either
                self._drop_answers()
            self._drop(answer)
        elif answer.stalled:
            await self._be_late("hung")
        elif answer.wanted:
            self._courtesy.failed = 0

    def _drop_answers(self) -> None:
        """Silence: of none of them anything more is heard."""
        speaking = bool(self._speaking)
        for answer in (*self._answers.values(), *self._speaking):
            self._drop(answer)
        if speaking:
            self._call.interrupt("speech")

    def _drop(self, answer: Answer) -> None:
        if answer.wanted and self._session is not None and answer.response_id in self._answers:
            self._session.send(m.encode_cancel(answer.response_id))
        answer.drop()
        self._news.set()

    # -- function calls ------------------------------------------------------------------------------------------

    def _do(self, asked: FunctionCall, answer: Answer) -> None:
        session, work = self._session, self._work
        assert session is not None
        if not answer.wanted:
            session.send(m.encode_output(asked.call_id, NOT_DONE))
            return
        if work.running >= MOST_AT_WORK:
            raise ThinkerError("flood", f"more than {MOST_AT_WORK} function calls at once")
        if not work.running:
            self._waits.begin(patient=True)
        work.running += 1
        self._crew.start(self._run(asked, session, work))

    async def _run(self, asked: FunctionCall, session: Session, work: _Work) -> None:
        try:
            result = await self._toolbox.run(asked.name, asked.arguments)
        finally:
            work.running -= 1
        if session is self._session:
            session.send(m.encode_output(asked.call_id, result.text))
            work.owes = True
            self._go_on()

    def _go_on(self) -> None:
        """Have Hydra go on from the outputs, when all are there and it says nothing else."""
        work = self._work
        if not work.owes or work.running or self._is_answering() or self._session is None:
            return
        work.owes = False
        work.rounds += 1
        if work.rounds > MOST_ROUNDS:
            self._crew.start(self._be_late("garbage"))
            return
        self._session.send(m.CREATE_RESPONSE)
        self._waits.begin()

    # -- answers that do not come ----------------------------------------------------------------------------------

    async def _be_late(self, failure: ThinkerFailure) -> None:
        """There is no answer: say so, and listen again."""
        self._waits.end()
        self._courtesy.count(failure)
        self._drop_answers()
        await self._courtesy.fail(self._manners.apology)
        self._company.stir()
        if self._courtesy.failed >= REOPEN_AFTER and self._session is not None and not self._call.ended:
            await self._session.close()

    def _notice(self, entry: tl.Entry) -> None:
        """The bridge's own ears: a turn of which Hydra has said nothing may be one that it never heard."""
        if not isinstance(entry, tl.CallerSpoke) or self._call.ended:
            return
        self._company.stir()
        # Its times count the caller's audio, which may lag behind the call: a line that was lost, a packet.
        lag_ms = self._call.now_ms - self._call.ear.pushed_ms
        sure = entry.end_ms - entry.start_ms >= SURE_TURN_MS or entry.text
        unheard = self._message_ms <= entry.start_ms + lag_ms
        if sure and unheard and self._session is not None and not self._waits.on:
            self._caller_stopped(entry.end_ms + lag_ms)
