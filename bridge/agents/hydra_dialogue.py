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
from typing import TYPE_CHECKING, Final, assert_never

from bridge.agents.courtesy import Courtesy
from bridge.agents.crew import Crew
from bridge.agents.hydra_waits import Wait
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
SHORT_S: Final = 1.0
#: So many answers in a row that did not come, and the session is given up for another one.
REOPEN_AFTER: Final = 2
#: That are begun and not ended, at once.
MOST_ANSWERS: Final = 8
#: What the bridge's own ears take for a turn, whatever Hydra takes it for.
SURE_TURN_MS: Final = 700.0


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
        self._wait: Wait | None = None
        #: Function calls at work, and whether outputs are there that Hydra has not been asked to go on from.
        self._working, self._owes = 0, False
        #: Whether the caller speaks, as Hydra hears it, and how often they have taken the floor.
        self._caller_on, self._turns_taken = False, 0
        #: When Hydra last said anything, and when anybody did.
        self._message_ms = 0.0
        self._stirred_s = asyncio.get_running_loop().time()

    async def hold(self, settings: HydraSettings, toolbox: Toolbox) -> None:
        """Until it is over.

        Raises:
            CallEnded: the caller has hung up.
            BudgetSpent: the call has cost what it may.
        """
        self._settings, self._toolbox = settings, toolbox
        self._call.timeline.follow(self._notice)
        self._crew.start(self._keep_company())
        self._crew.start(self._until_the_call_is())
        with self._call.hearing(self._uplink.push, tells_turns=True):
            await self._crew.lead(self._converse())

    async def all_heard(self) -> None:
        """Wait until the caller has heard all that Hydra has to say so far.

        Raises:
            ToolFailed: the caller has taken the floor meanwhile.
        """
        turns_taken = self._turns_taken
        while (self._answers or self._speaking) and turns_taken == self._turns_taken:
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
        while (session := await self._open(settings)) is not None:
            try:
                await self._attend(session, settings)
            except ThinkerError as error:
                self._lose(error)
            finally:
                self._forget()
                await session.close()
            settings = self._settings

    async def _open(self, settings: HydraSettings) -> Session | None:
        """A session; None when there will be none, and the caller has been told."""
        self._begin_wait(patient=True)
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
        self._end_wait()
        await self._courtesy.give_up()
        return None

    async def _attend(self, session: Session, settings: HydraSettings) -> None:
        loop = asyncio.get_running_loop()
        began_s, self._session = loop.time(), session
        self._end_wait()
        if settings.speaks_first:
            self._begin_wait()
        async for message in session:
            self._message_ms = self._call.now_ms
            try:
                self._take(message)
            except ProtocolError as error:
                raise ThinkerError("garbage", error.reason) from None
        if loop.time() - began_s < SHORT_S:
            raise ThinkerError("cut", "closed as soon as it was open")

    def _lose(self, error: ThinkerError) -> None:
        if self._call.ended:
            return
        self._stats.dropped_sessions += 1
        self._courtesy.count(error.kind)
        log.warning("call %s: the session with Hydra is lost: %s", self._call.id, error)
        self._crew.start(self._courtesy.fail(self._manners.apology))

    def _forget(self) -> None:
        """Nothing more comes of this session; what has come of its answers is still heard."""
        for answer in self._answers.values():
            answer.end_sound()
        self._answers.clear()
        self._session = self._newest = None
        self._owes = self._caller_on = False
        self._end_wait()
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
            case m.ArgumentsDelta():
                if self._newest is not None:
                    self._newest.functions.add(message)
            case m.ArgumentsDone():
                if self._newest is not None and (asked := self._newest.functions.complete(message)):
                    self._work(asked)
            case m.ResponseDone():
                self._end_answer(message)
            case m.Failed():
                log.warning("call %s: Hydra says %s", self._call.id, re.sub(r"\W", "?", message.code[:40]))
            case m.Created() | m.Configured() | m.Unused():
                pass
            case _:
                assert_never(message)

    def _answer(self, response_id: str | None) -> Answer | None:
        """The answer of that id; without one, the newest. None when it is not wanted any more."""
        answer = self._newest if response_id is None else self._answers.get(response_id)
        if answer is None or not answer.wanted:
            self._stats.stale_messages += 1
            return None
        return answer

    def _caller_speaks(self) -> None:
        self._stir()
        self._caller_on = True
        self._turns_taken += 1
        self._end_wait()
        self._drop_answers()
        self._call.turn_clock.interrupted(self._call.now_ms)

    def _caller_stopped(self, speech_end_ms: float) -> None:
        self._stir()
        self._caller_on = False
        self._call.note_turn(speech_end_ms)
        self._begin_wait()

    def _begin_answer(self, response_id: str) -> None:
        if self._newest is not None and not self._newest.sound_over:
            self._drop_answers()
        assert self._session is not None
        if len(self._answers) >= MOST_ANSWERS:
            raise ThinkerError("flood", f"more than {MOST_ANSWERS} answers at once")
        self._stats.answers += 1
        self._newest = Answer(response_id, self._session.output_hz)
        self._answers[response_id] = self._newest
        self._call.note_token()

    def _begin(self, answer: Answer) -> None:
        """The first of its sound has come."""
        self._end_wait()
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
                self._work(asked)
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
            self._stir()
        if heard.interrupted:
            self._turns_taken += 1
            self._stats.interrupted += 1
            self._drop(answer)
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

    def _work(self, asked: FunctionCall) -> None:
        if not self._working:
            self._begin_wait(patient=True)
        self._working += 1
        self._crew.start(self._run(asked, self._session))

    async def _run(self, asked: FunctionCall, session: Session | None) -> None:
        try:
            result = await self._toolbox.run(asked.name, asked.arguments)
        finally:
            self._working -= 1
        if session is not None and session is self._session:
            session.send(m.encode_output(asked.call_id, result.text))
            self._owes = True
            self._go_on()

    def _go_on(self) -> None:
        """Have Hydra go on from the outputs, when all are there and it says nothing else."""
        if self._owes and not self._working and not self._answers and self._session is not None:
            self._owes = False
            self._session.send(m.CREATE_RESPONSE)
            self._begin_wait()

    # -- how long the caller waits -------------------------------------------------------------------------------

    def _begin_wait(self, *, patient: bool = False) -> None:
        self._end_wait()
        self._wait = Wait(patient=patient)
        self._crew.start(self._mind(self._wait))

    def _end_wait(self) -> None:
        if self._wait is not None:
            self._wait.end()
            self._wait = None

    async def _mind(self, wait: Wait) -> None:
        manners, loop = self._manners, asyncio.get_running_loop()
        late_s = loop.time() + manners.apology_after_s
        filler_s = manners.filler_after_s
        while not await wait.over(filler_s):
            if not self._speaking:
                await self._courtesy.tell(manners.filler)
            if not wait.patient:
                if not await wait.over(max(0.0, late_s - loop.time())):
                    await self._be_late("hung")
                return
            filler_s = manners.filler_every_s

    async def _be_late(self, failure: ThinkerFailure) -> None:
        """There is no answer: say so, and listen again."""
        self._end_wait()
        self._courtesy.count(failure)
        self._drop_answers()
        await self._courtesy.fail(self._manners.apology)
        self._stir()
        if self._courtesy.failed >= REOPEN_AFTER and self._session is not None and not self._call.ended:
            await self._session.close()

    def _notice(self, entry: tl.Entry) -> None:
        """The bridge's own ears: a turn of which Hydra has said nothing may be one that it never heard."""
        if not isinstance(entry, tl.CallerSpoke) or self._call.ended:
            return
        self._stir()
        sure = entry.end_ms - entry.start_ms >= SURE_TURN_MS or entry.text
        if sure and self._session is not None and self._wait is None and self._message_ms <= entry.start_ms:
            self._caller_stopped(entry.end_ms)

    # -- a caller who is silent ----------------------------------------------------------------------------------

    def _stir(self) -> None:
        self._stirred_s = asyncio.get_running_loop().time()

    async def _keep_company(self) -> None:
        """Ask a silent caller whether they are there, and then say goodbye."""
        manners, asked, since_s = self._manners, 0, self._stirred_s
        while True:
            await self._until_idle()
            asked = asked if self._stirred_s == since_s else 0
            if asked < manners.reprompts:
                await self._ask_whether_there(asked)
            elif not (await self._courtesy.tell(manners.goodbye)).interrupted:
                await self._call.hang_up()
                return
            asked += 1
            self._stir()
            since_s = self._stirred_s

    async def _ask_whether_there(self, asked: int) -> None:
        if reprompt := self._manners.reprompt:
            self._call.stats.agents.reprompts += 1
            await self._courtesy.tell(reprompt[asked % len(reprompt)])

    async def _until_idle(self) -> None:
        loop, idle_s = asyncio.get_running_loop(), self._manners.idle_s
        while True:
            busy = self._caller_on or self._wait is not None or bool(self._speaking)
            left_s = idle_s if busy else self._stirred_s + idle_s - loop.time()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)
