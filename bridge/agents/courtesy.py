"""What is said to a caller besides answers: fillers, apologies, a goodbye; and what is done when nobody has answers.

Strategy: a voice that fails is no reason to end a call, nor is a prompt that is not there. So many failures in a row
are: then the caller is handed on, or the call is ended, and never in silence.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bridge.call import Heard
from bridge.errors import CarrierError, LightningError, PromptError, ThinkerFailure
from bridge.observe import timeline as tl
from bridge.prompts.prompt import BUNDLED

if TYPE_CHECKING:
    from bridge.agents.conversation import Manners
    from bridge.call import Call

log = logging.getLogger(__name__)


class Courtesy:
    """Of one call.

    Args:
        manners: what is said.
    """

    def __init__(self, call: Call, manners: Manners) -> None:
        self._call, self._manners = call, manners
        #: Answers in a row that could not be given; who has one sets it to 0.
        self.failed = 0

    async def tell(self, words: str, *, interruptible: bool = True) -> Heard:
        """Say a text, or the prompt of that id.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
            ListenOnly: the carrier only listens in.
        """
        call = self._call
        try:
            if words in BUNDLED or words in call.edition.shelf.book.specs:
                return await call.play(words, interruptible=interruptible, answers=False)
            return await call.say(words, interruptible=interruptible, answers=False)
        except (LightningError, PromptError) as error:
            log.warning("call %s: something is not heard: %s", call.id, error)
            return Heard()

    def count(self, failure: ThinkerFailure) -> None:
        """Something that thinks has failed; whether that is heard, or not."""
        self._call.stats.agents.failures[failure] += 1
        self._call.note(tl.ThinkingFailed, failure=failure)

    async def fail(self, words: str) -> None:
        """There is no answer: say so, and listen again; or, the last time, give up."""
        call = self._call
        self.failed += 1
        call.note_failed()
        if self.failed >= self._manners.failures:
            await self.give_up()
        elif words:
            call.stats.agents.apologies += 1
            await self.tell(words)

    async def give_up(self) -> None:
        """Hand the caller on, or end the call."""
        call, manners = self._call, self._manners
        if manners.failure_transfer:
            await self.tell(manners.handing_on, interruptible=False)
            try:
                await call.transfer(manners.failure_transfer)
                return
            except CarrierError as error:
                log.warning("call %s: not transferred: %s", call.id, error)
        await self.tell(manners.giving_up, interruptible=False)
        await call.hang_up()
