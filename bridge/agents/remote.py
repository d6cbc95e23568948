"""The agent that is somewhere else, in any language: it is told what happens, and tells what to do. No audio.

Strategy:

- Commands are done by the desk, in order; this tells of turns, minds how long the caller waits, and keeps company.
- `start`, each turn and each `gathered` are questions. An agent that does not answer in time, or is not there, is an
  agent that thinks too long: a filler, an apology, listening again, and after some failures somebody else.
- Whatever the agent does, or the network, the call goes on.

The protocol is in ``docs/remote.md``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from bridge.agents.conversation import Manners
from bridge.agents.courtesy import Courtesy
from bridge.agents.loader import options_of
from bridge.agents.remote_desk import Desk, interrupted
from bridge.remote import protocol as p
from bridge.remote.address import SOCKETS, Address, fault_of
from bridge.remote.door import Door, Reception, Trouble
from bridge.remote.link import Link
from bridge.remote.webhooks import Connections, Webhooks
from bridge.secret import Secret
from bridge.tasks import until_one_is_over

if TYPE_CHECKING:
    from bridge.call import Call, Turn
    from bridge.surroundings import Surroundings

#: The id of what the options have as `greeting`.
GREETING: Final = "greeting"


class RemoteOptions(Manners, frozen=True, kw_only=True):
    """``[agent.options]`` of the remote agent: where it is, and the manners of every agent that thinks."""

    #: ws:// or wss:// is a WebSocket, http:// or https:// are webhooks.
    url: str
    #: What requests are signed with; the agent has the same.
    secret: Secret = msgspec.field(default_factory=Secret)
    #: Another machine may be asked in the clear, or unsigned.
    insecure: bool = False
    #: Said by the bridge, while the agent is connected to. Empty: the agent speaks first.
    greeting: str = ""
    #: Whom it may hand callers on to: name = number.
    transfer_to: dict[str, str] = {}
    #: It may name any number.
    transfer_any: bool = False
    #: Told to it in `start`, as it stands.
    custom: Annotated[dict[str, Any], Meta(max_length=64)] = {}

    def __post_init__(self) -> None:
        if fault := fault_of(self.url, signed=bool(self.secret), insecure=self.insecure):
            raise ValueError(fault)


#: Opens the way to an agent.
OpenDoor: TypeAlias = Callable[[RemoteOptions, "Surroundings", p.Start, Reception], Door]


def open_door(
    options: RemoteOptions, surroundings: Surroundings, start: p.Start, reception: Reception
) -> Door:
    """A WebSocket or webhooks, as the address says."""
    address = Address(options.url, options.secret, time.time)
    if address.scheme in SOCKETS:
        return Link(address, start, reception)
    connections = surroundings.shared(__name__, Connections)
    return Webhooks(address, start, reception, connections, deadline_s=options.apology_after_s)


async def agent(call: Call) -> None:
    """Have an agent elsewhere hold the conversation."""
    await Remote(call, options_of(call.options, RemoteOptions)).hold()


#: Lets a wrong ``[agent.options]`` be refused at start instead of in the first call.
agent.options_type = RemoteOptions  # type: ignore[attr-defined]


class Question:
    """What the agent has been asked last, and whether it has answered. The newest one counts."""

    def __init__(self) -> None:
        self._number, self._open = 0, False
        self._news = asyncio.Event()
        #: There will be no answer, somebody says.
        self.in_vain = False

    def ask(self) -> None:
        """Another one."""
        self._number, self._open, self.in_vain = self._number + 1, True, False
        self._news.set()

    def answer(self) -> None:
        """There is an answer."""
        self._open = False
        self._news.set()

    def despair(self) -> None:
        """There will be none."""
        self.in_vain = True
        self._news.set()

    @property
    def open(self) -> bool:
        """Whether an answer is waited for."""
        return self._open

    async def asked(self) -> int:
        """Wait for one that has no answer. Returns its number."""
        while not self._open:
            self._news.clear()
            await self._news.wait()
        return self._number

    async def over(self, number: int, by_s: float) -> bool:
        """Wait until question `number` is answered, or another one is asked. False: neither, and it is late or in vain.

        Args:
            by_s: in the loop's seconds.
        """
        try:
            async with asyncio.timeout_at(by_s):
                while self._open and self._number == number and not self.in_vain:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return not (self._open and self._number == number)


class Remote:
    """A conversation that an agent elsewhere holds on `call`."""

    def __init__(self, call: Call, options: RemoteOptions, door: OpenDoor = open_door) -> None:
        self._call, self._options = call, options
        self._courtesy, self._question = Courtesy(call, options), Question()
        self._desk = Desk(
            call, self._tell, transfer_to=options.transfer_to, transfer_any=options.transfer_any
        )
        self._desk.on_answer = self._answered
        self._door = door(
            options, call.surroundings, self._start(), Reception(self._desk.take, self._in_trouble)
        )
        #: How often in a row the caller was asked whether they are there.
        self._idle = 0

    async def hold(self) -> None:
        """Until it is over.

        Raises:
            CallEnded: the call ended while something was said.
            LightningError: nothing can be said.
            BudgetSpent: the call has cost what it may.
        """
        call = self._call
        async with self._door:
            if not self._options.greeting:
                self._question.ask()
            try:
                await until_one_is_over(self._listen(), self._desk.run(), self._mind())
            finally:
                ms = round((asyncio.get_running_loop().time() - self._began_s) * 1000)
                self._door.tell(p.End(reason=call.ended or "agent", duration_ms=ms))

    # -- what is told --------------------------------------------------------------------------------------------------

    def _start(self) -> p.Start:
        self._began_s = asyncio.get_running_loop().time()
        call, options = self._call, self._options
        return p.Start(
            call_id=call.id,
            carrier=call.carrier,
            from_=call.from_number,
            to=call.to_number,
            hears=call.hears,
            can=list(_can(options)),
            transfer_to=sorted(options.transfer_to),
            custom=options.custom,
        )

    def _tell(self, event: p.Event) -> None:
        if isinstance(event, p.Digits | p.Gathered):
            self._idle = 0
        if isinstance(event, p.Turn) or (isinstance(event, p.Gathered) and not self._desk.waits):
            self._question.ask()
        self._door.tell(event)

    def _answered(self) -> None:
        self._courtesy.failed = 0
        self._question.answer()

    def _in_trouble(self, trouble: Trouble) -> None:
        if self._question.open or not (trouble.kind == "hung" and trouble.in_vain):
            self._courtesy.count(trouble.kind)  # else the apology was quicker, and it is counted
        self._desk.end_streams()
        if trouble.in_vain:
            self._question.despair()

    # -- the caller ----------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._options.greeting:
            heard = await self._courtesy.tell(self._options.greeting)
            self._tell(
                interrupted(GREETING, heard)
                if heard.interrupted
                else p.Spoken(id=GREETING, text=heard.text, ms=heard.ms)
            )
        while not self._call.ended:
            async for turn in self._call.turns(timeout_s=self._options.idle_s):
                self._take(turn)
            if not (self._call.ended or self._question.open or self._desk.busy):
                await self._ask_whether_there()

    def _take(self, turn: Turn) -> None:
        self._idle = 0
        self._desk.turn += 1
        self._tell(
            p.Turn(
                number=self._desk.turn,
                text=turn.text,
                language=turn.language,
                start_ms=round(turn.start_ms),
                end_ms=round(turn.end_ms),
            )
        )

    async def _ask_whether_there(self) -> None:
        """The caller is silent. Without `reprompt` that is the agent's business."""
        options, self._idle = self._options, self._idle + 1
        self._tell(p.Idle(times=self._idle))
        if not options.reprompt:
            return
        if self._idle <= options.reprompts:
            self._call.stats.agents.reprompts += 1
            await self._courtesy.tell(options.reprompt[(self._idle - 1) % len(options.reprompt)])
        elif (await self._courtesy.tell(options.goodbye)).interrupted:
            self._idle = 0
        else:
            await self._call.hang_up()

    async def _mind(self) -> None:
        """Let nobody wait in silence for an agent that does not answer."""
        options, question, clock = self._options, self._question, asyncio.get_running_loop().time
        while True:
            number, asked_s = await question.asked(), clock()
            apology_s, filler_s = asked_s + options.apology_after_s, asked_s + options.filler_after_s
            while not (over := await question.over(number, min(filler_s, apology_s))):
                if question.in_vain or filler_s >= apology_s:
                    break
                if not self._desk.busy:
                    await self._courtesy.tell(options.filler)
                filler_s = clock() + options.filler_every_s
            if over:
                continue
            if not question.in_vain:
                self._courtesy.count("hung")
            question.answer()
            await self._courtesy.fail(options.apology)
            if self._call.ended:
                return


def _can(options: RemoteOptions) -> tuple[str, ...]:
    """The commands that work."""
    names = p.NAMES
    if urlsplit(options.url).scheme not in SOCKETS:
        names = tuple(name for name in names if name not in p.NEED_A_SOCKET)
    if not (options.transfer_to or options.transfer_any):
        names = tuple(name for name in names if name != "transfer")
    return names
