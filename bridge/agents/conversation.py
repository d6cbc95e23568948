"""What every thinking agent does with a call: greets, listens, has the answer thought of, says it, and keeps company.

Strategy:

- A `Thinker` has the words of an answer; this has the manners. Whatever the thinker does, the caller is never left in
  silence without cause: a filler, then an apology and listening again, and after `failures` in a row somebody else.
- It may think while a turn is not certain to be over. Nothing of that sounds before the turn is settled.
- A caller who goes on before anything was heard of the answer has not been answered: the words are joined, and the
  answer is thought of anew. Where it was only noise, it is the same answer to the same words.
- What was said is told to the thinker as it was heard, not as it was meant.
- Whatever was begun for an answer is over when the answer is: no task outlives it, nor the call.

Facts, from the shared reference on reliability, section 3 ("agent/LLM hangs", "caller silence", "agent raises").
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from bridge.agents.courtesy import Courtesy
from bridge.agents.drafts import Busy, Draft
from bridge.call import Heard
from bridge.config_tree import Section
from bridge.errors import BridgeError, ConfigError, LightningError, ThinkerError, ThinkerFailure
from bridge.prompts.prompt import BUNDLED
from bridge.tasks import end

if TYPE_CHECKING:
    from bridge.call import Call, Turn
    from bridge.surroundings import Surroundings

__all__ = ["Busy", "Manners", "Thinker", "converse"]

log = logging.getLogger(__name__)

Seconds = Annotated[float, Meta(gt=0, le=600)]

#: A caller who seemed to go on, and after so long has said no word, has not gone on.
GOES_ON_WITHIN_S: Final = 2.0


#: What looks like the id of a prompt, and not like words.
_ID: Final = re.compile(r"\w+(?:[._]\w+)+")
#: What has interrupted an answer that could not be spoken to its end.
VOICE: Final = "voice"


class News(Enum):
    """What the wait for an answer was over by."""

    WORDS = auto()
    #: The answer is: there are no more words.
    OVER = auto()
    #: The caller speaks.
    CALLER = auto()


class Manners(Section, frozen=True):
    """How an agent behaves besides its answers. What it says is a text, or the id of a prompt."""

    #: Said first. Empty: the caller speaks first.
    greeting: str = "Hello! How can I help you?"
    #: Said when there is no word of an answer after `filler_after_s`, and again after every `filler_every_s`.
    filler: str = "one_moment"
    filler_after_s: Seconds = 1.2
    filler_every_s: Seconds = 4.0
    #: Said when there is no word of an answer after `apology_after_s`, or there will be none; then it listens again.
    apology: str = "I am sorry, I could not think of an answer in time. Could you say that again?"
    apology_after_s: Seconds = 5.0
    #: Said when the caller spoke, and the words are not known.
    not_heard: str = "Sorry, I did not catch that. Could you say it again?"
    #: So many answers in a row that could not be given, and the call is handed on, or ended.
    failures: Annotated[int, Meta(ge=1, le=20)] = 3
    #: Whom the caller is handed on to then. Empty: the call is ended.
    failure_transfer: str = ""
    #: Said before either.
    handing_on: str = "I am having trouble. I will connect you with somebody who can help."
    giving_up: str = "I am sorry, I am having trouble today. Please call again later. Goodbye."
    #: Said in turn when the caller has said nothing for `idle_s`; after so many `reprompts`, `goodbye`.
    idle_s: Seconds = 8.0
    reprompts: Annotated[int, Meta(ge=0, le=20)] = 2
    reprompt: list[str] = msgspec.field(
        default_factory=lambda: ["Are you still there?", "I can still hear you, if you speak up."]
    )
    goodbye: str = "I will hang up now. Goodbye."

    def check(self, surroundings: Surroundings) -> None:
        """Refuse what looks like the id of a prompt, and is none: it would be read out.

        Raises:
            ConfigError: there is such a field; its key is relative to ``[agent.options]``.
        """
        if surroundings.prompts is None:
            return
        for key in (
            "greeting",
            "filler",
            "apology",
            "not_heard",
            "handing_on",
            "giving_up",
            "reprompt",
            "goodbye",
        ):
            said = getattr(self, key)
            for words in said if isinstance(said, list) else [said]:
                if _ID.fullmatch(words) and words not in BUNDLED and words not in surroundings.prompts:
                    raise ConfigError(f'there is no prompt "{words}"', key=key)


class Thinker(Protocol):
    """Has the answers."""

    def answer(self, turn: Turn) -> AsyncIterator[str | Busy]:
        """The answer to `turn`, word by word. Closed when it is void: the caller went on, or interrupted.

        May be asked while the turn is not certain to be over: do nothing then that cannot be undone, before
        ``await turn.settled()`` is True. When nothing of the last answer was heard, forget the turn: its words come
        again.

        Yields:
            words; or `Busy` when a wait follows that is not for words. Each part before and after is an utterance.

        Raises:
            ThinkerError: there will be no answer, or no more of it.
        """

    def heard(self, heard: Heard) -> None:
        """What the caller heard of an utterance of the answer: of each that was begun to be said, in order.

        And of the greeting, and of each question whether the caller is still there.
        """


async def converse(call: Call, thinker: Thinker, manners: Manners) -> None:
    """Hold a conversation until the call is over, or the caller has fallen silent for good.

    Raises:
        CallEnded: the call ended while something was said.
        BudgetSpent: the call has cost what it may.
    """
    await Conversation(call, thinker, manners).hold()


class Conversation:
    """A conversation that is held on `call`."""

    def __init__(self, call: Call, thinker: Thinker, manners: Manners) -> None:
        self._call, self._thinker, self._manners = call, thinker, manners
        #: What the caller said that has not been answered: it belongs to what is said next.
        self._owed: Turn | None = None
        self._courtesy = Courtesy(call, manners)

    async def hold(self) -> None:
        """Until it is over."""
        if self._manners.greeting:
            self._thinker.heard(await self._courtesy.tell(self._manners.greeting))
        turn = await self._listen()
        while turn is not None:
            turn = await self._take(turn) or await self._listen()

    # -- listening -----------------------------------------------------------------------------------------

    async def _listen(self) -> Turn | None:
        """What the caller says next; None when the conversation is over, and all is said."""
        manners = self._manners
        while True:
            for asked in range(manners.reprompts + 1):
                turn = await self._next_turn(manners.idle_s)
                if turn is not None or self._call.ended:
                    return turn
                if asked < manners.reprompts and manners.reprompt:
                    self._call.stats.agents.reprompts += 1
                    asking = manners.reprompt[asked % len(manners.reprompt)]
                    self._thinker.heard(await self._courtesy.tell(asking))  # what comes next may answer it
            if not (await self._courtesy.tell(manners.goodbye)).interrupted:
                await self._call.hang_up()
                return None

    async def _next_turn(self, timeout_s: float) -> Turn | None:
        """The caller's next turn; None when the call is over, or the caller does not begin one in time."""
        async for turn in self._call.turns(timeout_s=timeout_s, eager=True):
            return turn
        return None

    # -- answering -----------------------------------------------------------------------------------------

    async def _take(self, turn: Turn) -> Turn | None:
        """Answer `turn`, and what is owed before it. Returns the turn to be answered next, when it is known already."""
        turn = joined(self._owed, turn)
        draft = self._draft_of(turn) if turn.text else None
        failure: ThinkerFailure
        try:
            if not await turn.settled():
                return None
            self._owed = None
            if draft is None:
                await self._fail("not_heard", self._manners.not_heard)
                return None
            return await self._answer(turn, draft)
        except ThinkerError as error:
            log.warning("call %s: no answer: %s", self._call.id, error)
            failure, words = error.kind, self._manners.apology
        except LightningError as error:  # the caller has heard the bundled apology
            log.warning("call %s: an answer is not heard whole: %s", self._call.id, error)
            failure, words = "voice", ""
        except BridgeError:
            raise
        except Exception:
            log.exception("call %s: what thinks failed", self._call.id)
            self._call.stats.agent_errors += 1
            failure, words = "error", self._manners.apology
        finally:
            if draft is not None:
                await draft.close()
        await self._fail(failure, words)
        return None

    async def _fail(self, failure: ThinkerFailure, words: str) -> None:
        self._courtesy.count(failure)
        await self._courtesy.fail(words)

    def _draft_of(self, turn: Turn) -> Draft:
        return Draft(
            partial(self._thinker.answer, turn),
            stall_s=self._manners.apology_after_s,
            on_first=self._call.note_token,
        )

    async def _answer(self, turn: Turn, draft: Draft) -> Turn | None:
        """Have the caller hear `draft`. Returns the turn to be answered next, when that is known already."""
        answered = False
        while (news := await self._until_words(draft)) is not News.OVER:
            if news is News.WORDS:
                heard = await self._say(draft)
                answered = answered or bool(heard.text)
                if not heard.interrupted:
                    continue
                if answered:
                    break
            elif not draft.busy:
                await draft.close()
            following = await self._next_turn(GOES_ON_WITHIN_S)
            if following is None and news is News.CALLER and draft.busy:
                continue
            if following is not None and not answered:
                self._owed = turn
            return following or turn
        if not (draft.spoke or draft.busy):
            raise ThinkerError("empty")
        self._courtesy.failed = 0
        return None

    async def _say(self, draft: Draft) -> Heard:
        """Say what there is, and tell the thinker what was heard of it. When that is not all, `draft` is closed.

        Raises:
            LightningError: the voice failed on the way.
        """
        try:
            heard = await self._call.say(draft.utterance())
        except LightningError as error:
            await draft.close()
            self._thinker.heard(Heard(error.heard_text, by=VOICE if error.heard_text else ""))
            raise
        if heard.interrupted:
            await draft.close()
        self._thinker.heard(heard)
        return heard

    async def _until_words(self, draft: Draft) -> News:
        """Wait for the next words of `draft`, and keep the caller company meanwhile.

        Raises:
            ThinkerError: there were none in time.
        """
        loop, manners = asyncio.get_running_loop(), self._manners
        began_s = loop.time()
        filler_s = began_s + manners.filler_after_s
        ready = asyncio.create_task(draft.ready())
        speaks = asyncio.ensure_future(self._call.caller_speaks())
        try:
            while True:
                due_s = began_s + max(manners.apology_after_s, draft.busy.deadline_s if draft.busy else 0.0)
                wait_s = max(0.0, min(filler_s, due_s) - loop.time())
                await asyncio.wait({ready, speaks}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if ready.done():
                    return News.WORDS if ready.result() else News.OVER
                if speaks.done():
                    speaks.result()
                    return News.CALLER
                if loop.time() >= due_s:
                    raise ThinkerError("hung", "no word in time")
                if loop.time() >= filler_s:
                    await self._courtesy.tell(manners.filler)
                    filler_s = loop.time() + manners.filler_every_s
        finally:
            await end(ready, speaks)


def joined(before: Turn | None, turn: Turn) -> Turn:
    """`turn` with the words of the one before it that has not been answered."""
    if before is None:
        return turn
    return replace(turn, start_ms=before.start_ms, text=f"{before.text} {turn.text}".strip())
