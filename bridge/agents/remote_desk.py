"""Does on a call what an agent elsewhere commands, and tells it what came of it.

Strategy:

- What is heard, or changes the call, is done one after the other, in the order in which it came. `stop`, `set` and
  `say_more` take effect at once.
- A caller who interrupts has heard enough: whatever waits to be said or played is not. What else waits is still done.
- Who answers a turn that is no longer the last one is told so, and the caller does not hear it.
- A command with an id that came before is that one, come again over another connection: it is not done twice.
- Keys belong to the `gather` that runs or waits; where there is none, the agent is told of each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from bridge.config import BargeInMode
from bridge.errors import CallEnded, CarrierError, LightningError, ListenOnly, PromptError, Unsupported
from bridge.plain_text import plain
from bridge.remote import protocol as p
from bridge.tasks import end

if TYPE_CHECKING:
    from bridge.call import Call, Heard

#: Commands that wait at most.
MAX_WAITING: Final = 64
#: Ids that are remembered.
MAX_IDS: Final = 256
#: A streamed text of which nothing more comes for so long is taken to be over.
STREAM_GAP_S: Final = 10.0
#: Nobody presses a key for longer than a call lasts.
_FOR_EVER_S: Final = 86_400.0
#: A voice that has failed so often is not tried again: all the caller hears is apologies.
MUTE_AFTER: Final = 3
_MAX_DETAIL: Final = 200


class Streamed:
    """A text that goes on: what `say` began, and `say_more` continues."""

    def __init__(self, text: str) -> None:
        self._parts = deque([text] if text else [])
        self._length, self._over = len(text), False
        self._news = asyncio.Event()

    def add(self, text: str, *, last: bool) -> bool:
        """The text goes on. False when it is too long: then it is over."""
        self._length += len(text)
        fits = self._length <= p.MAX_STREAMED
        if text and fits and not self._over:
            self._parts.append(text)
        self._over = self._over or last or not fits
        self._news.set()
        return fits

    async def parts(self) -> AsyncIterator[str]:
        """The text, as it comes."""
        while True:
            while self._parts:
                yield self._parts.popleft()
            if self._over:
                return
            self._news.clear()
            try:
                async with asyncio.timeout(STREAM_GAP_S):
                    await self._news.wait()
            except TimeoutError:
                self._over = True


@dataclass(frozen=True, slots=True)
class _Job:
    command: p.Queued
    streamed: Streamed | None = None


class Desk:
    """The commands of one call.

    Args:
        transfer_to: to whom each name of a `transfer` leads.
        transfer_any: whether it may also be a number.
        tell: takes events.
    """

    def __init__(
        self,
        call: Call,
        tell: Callable[[p.Event], None],
        *,
        transfer_to: dict[str, str],
        transfer_any: bool = False,
    ) -> None:
        self._call, self._tell = call, tell
        self._transfer_to, self._transfer_any = transfer_to, transfer_any
        #: The number of the caller's last turn.
        self.turn = 0
        #: Called when there is something to be done, or nothing on purpose.
        self.on_answer: Callable[[], None] = lambda: None
        self._mode: BargeInMode | None = None
        self._waiting: deque[_Job] = deque()
        self._news = asyncio.Event()
        self._job: _Job | None = None
        self._doing: asyncio.Task[None] | None = None
        self._streams: dict[str, Streamed] = {}
        self._ids: deque[str] = deque(maxlen=MAX_IDS)
        self._keys: asyncio.Task[None] | None = None
        #: Times in a row that the voice failed.
        self._unspoken = 0
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether something is being done, or waits."""
        return self._job is not None or bool(self._waiting)

    @property
    def waits(self) -> bool:
        """Whether there is something to be done next."""
        return bool(self._waiting)

    # -- what comes in -------------------------------------------------------------------------------------------------

    def take(self, command: p.Command | p.Refusal) -> None:
        """Take a command: do it, or have it wait. Does not wait, and does not raise. After `run` nothing is done."""
        if self._closed:
            return
        match command:
            case p.Refusal():
                self._fail(command.id, command.reason, command.detail)
            case p.SayMore():
                self._go_on(command)
            case p.Stop():
                self._stop()
            case p.Set():
                self._mode = command.barge_in
            case p.Ack():
                pass  # the link's business
            case p.Listen():
                if not self._is_stale(command):
                    self.on_answer()
            case _:
                self._enqueue(command)

    def end_streams(self) -> None:
        """The connection is gone over which texts went on: what has come of them is all."""
        for streamed in self._streams.values():
            streamed.add("", last=True)
        self._streams.clear()

    def _enqueue(self, command: p.Queued) -> None:
        if command.id and command.id in self._ids:
            return
        if self._is_stale(command):
            self._fail_stale(command)
        elif len(self._waiting) >= MAX_WAITING:
            self._fail(command.id, "too_many", f"{MAX_WAITING} commands wait")
        else:
            if command.id:
                self._ids.append(command.id)
            self._waiting.append(_Job(command, self._streamed(command)))
            self._news.set()
            self._mind_keys()
            if not (isinstance(command, p.Say) and command.more and not command.text):
                self.on_answer()

    def _streamed(self, command: p.Queued) -> Streamed | None:
        if not (isinstance(command, p.Say) and command.more):
            return None
        if before := self._streams.get(command.id):  # neither has an id: the first one is over
            before.add("", last=True)
        streamed = self._streams[command.id] = Streamed(_sayable(command.text))
        return streamed

    def _is_stale(self, command: p.Queued | p.Listen) -> bool:
        return command.turn not in (0, self.turn)

    def _fail_stale(self, command: p.Queued) -> None:
        self._fail(command.id, "stale", f"turn {self.turn} is the last one")

    def _go_on(self, command: p.SayMore) -> None:
        streamed = self._streams.get(command.id)
        if streamed is None:
            return  # it was interrupted, and the agent has not heard of that yet
        if command.text:
            self.on_answer()
        if not streamed.add(_sayable(command.text), last=command.last):
            self._fail(command.id, "too_long", f"more than {p.MAX_STREAMED} characters: the rest is not said")
        if command.last:
            self._streams.pop(command.id, None)

    def _stop(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        job, doing = self._job, self._doing
        if job is not None and doing is not None and not isinstance(job.command, p.Transfer | p.SendDigits):
            doing.cancel()
        for job in waiting:
            self._give_up(job, "stop")
        self._mind_keys()

    # -- what is done --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do what comes, until the call is over.

        Raises:
            CallEnded: it is.
            LightningError: the voice has failed `MUTE_AFTER` times in a row.
            BudgetSpent: it has cost what it may.
        """
        self._mind_keys()
        try:
            while not self._call.ended:
                while not self._waiting:
                    self._news.clear()
                    await self._news.wait()
                await self._work(self._waiting.popleft())
        finally:
            self._closed = True
            if self._keys is not None:
                await end(self._keys)

    async def _work(self, job: _Job) -> None:
        self._job, before = job, self._call.heard
        doing = self._doing = asyncio.create_task(self._do(job))
        try:
            await asyncio.wait({doing})
        finally:
            await end(doing)
            self._job = self._doing = None
            self._streams = {id: s for id, s in self._streams.items() if s is not job.streamed}
            self._mind_keys()
        if doing.cancelled():
            heard = self._call.heard
            self._give_up(job, "stop", None if heard == before else heard)
        else:
            doing.result()

    async def _do(self, job: _Job) -> None:
        command = job.command
        if self._is_stale(command):  # by now
            self._fail_stale(command)
            return
        try:
            await self._carry_out(command, job.streamed)
        except LightningError as error:
            self._unspoken += 1
            self._fail(command.id, "voice", str(error))
            if self._unspoken == MUTE_AFTER:
                raise
        except PromptError as error:
            self._fail(command.id, "no_such_prompt", str(error))
        except (Unsupported, ListenOnly) as error:
            self._fail(command.id, "unsupported", str(error))
        except CarrierError as error:
            self._fail(command.id, "carrier", str(error))
        except ValueError as error:
            self._fail(command.id, "bad_command", str(error))

    async def _carry_out(self, command: p.Queued, streamed: Streamed | None) -> None:
        call = self._call
        match command:
            case p.Say():
                text = streamed.parts() if streamed is not None else _sayable(command.text)
                heard = await call.say(text, barge_in=command.barge_in or self._mode)
                self._heard(command, heard)
            case p.Play():
                heard = await call.play(
                    command.prompt,
                    variables=command.variables,
                    language=command.language,
                    for_s=command.for_s,
                    barge_in=command.barge_in or self._mode,
                )
                self._heard(command, heard)
            case p.Gather():
                await self._gather(command)
            case p.Transfer():
                await self._transfer(command)
            case p.SendDigits():
                await call.send_digits(command.digits)
            case p.HangUp():
                await call.hang_up()
            case _:
                assert_never(command)

    def _heard(self, command: p.Say | p.Play, heard: Heard) -> None:
        self._unspoken = 0
        if heard.interrupted:
            self._tell(interrupted(command.id, heard))
            self._silence(heard.by)
        elif isinstance(command, p.Say):
            self._tell(p.Spoken(id=command.id, text=heard.text, ms=heard.ms))
        else:
            self._tell(p.Played(id=command.id, ms=heard.ms))

    def _silence(self, by: str) -> None:
        """The caller interrupted: nothing more of this is said."""
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            if isinstance(job.command, p.Say | p.Play):
                self._give_up(job, by)
            else:
                self._waiting.append(job)

    async def _gather(self, command: p.Gather) -> None:
        call = self._call
        if command.text:
            await call.say(_sayable(command.text), barge_in=self._mode)
        keys = await call.collect(
            command.digits,
            first_timeout_s=command.timeout_s,
            finish_on=command.finish_on,
            masked=command.mask,
        )
        full = len(keys.keys) == command.digits
        by = "finish_on" if keys.finished else "digits" if full else "timeout"
        self._tell(p.Gathered(id=command.id, digits=keys.keys, by=by))

    async def _transfer(self, command: p.Transfer) -> None:
        to = self._transfer_to.get(command.to, command.to if self._transfer_any else "")
        if to:
            await self._call.transfer(to)
        else:
            names = ", ".join(sorted(self._transfer_to)) or "nobody"
            self._fail(command.id, "not_allowed", f"the options allow {names}")

    # -- what is told --------------------------------------------------------------------------------------------------

    def _fail(self, command: str, reason: p.Reason, detail: str) -> None:
        self._tell(p.Failed(id=command, reason=reason, detail=detail[:_MAX_DETAIL]))

    def _give_up(self, job: _Job, by: str, heard: Heard | None = None) -> None:
        """`job` is not done, or no further."""
        command = job.command
        self._streams = {id: s for id, s in self._streams.items() if s is not job.streamed}
        if not isinstance(command, p.Say | p.Play):
            self._fail(command.id, "stopped", "stop came first")
        elif heard is None:
            self._tell(p.Interrupted(id=command.id, by=by))
        else:
            self._tell(
                p.Interrupted(id=command.id, by=by, text=heard.text, ms=heard.ms, total_ms=heard.total_ms)
            )

    # -- keys ----------------------------------------------------------------------------------------------------------

    def _mind_keys(self) -> None:
        """Have keys told, or kept for the `gather` that waits."""
        jobs = [*self._waiting, *([self._job] if self._job else [])]
        gathers = [job.command for job in jobs if isinstance(job.command, p.Gather)]
        self._call.digits_masked = any(gather.mask for gather in gathers)
        if gathers and self._keys is not None:
            self._keys.cancel()
            self._keys = None
        elif not gathers and self._keys is None and not (self._closed or self._call.ended):
            self._keys = asyncio.create_task(self._tell_keys())

    async def _tell_keys(self) -> None:
        try:
            while True:
                pressed = await self._call.collect(1, first_timeout_s=_FOR_EVER_S, finish_on="")
                if pressed.keys:
                    self._tell(p.Digits(digits=pressed.keys))
        except CallEnded:
            return


def interrupted(command: str, heard: Heard) -> p.Interrupted:
    """What the agent is told of an utterance that the caller cut short."""
    return p.Interrupted(id=command, by=heard.by, text=heard.text, ms=heard.ms, total_ms=heard.total_ms)


def _sayable(text: str) -> str:
    """`text` without characters that no voice has a sound for."""
    return plain(text, instead=" ")
