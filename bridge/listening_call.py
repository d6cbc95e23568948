"""What an agent is told of the caller: keys and turns. The half of `bridge.call.Call` that only listens.

Strategy:

- Who waits for keys or for a turn is woken when there is one, when time runs out, and when the call ends.
- What was pressed or said before it is asked for is kept, so that callers may be quicker than agents.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from bridge.keypad import Keys
from bridge.live_call import LiveCall
from bridge.turns import Turn


class ListeningCall(LiveCall):
    """A live call, as far as an agent listens to it."""

    # -- keys ------------------------------------------------------------------------------------------------

    async def gather(self, digits: int = 1, timeout_s: float = 5.0, finish_on: str = "#") -> str:
        """Collect keys. What was pressed since the last `gather` counts, so callers may type ahead.

        Args:
            digits: how many to collect at most.
            timeout_s: how long to wait for each next one.
            finish_on: keys that end the input at once; they are not part of the result.

        Returns:
            The keys, fewer than `digits` (or none) when time ran out or a `finish_on` key came.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
        """
        return (await self.collect(digits, first_timeout_s=timeout_s, finish_on=finish_on)).keys

    async def collect(
        self,
        digits: int = 1,
        *,
        first_timeout_s: float = 5.0,
        next_timeout_s: float | None = None,
        finish_on: str = "#",
        masked: bool = False,
        until_speech: bool = False,
    ) -> Keys:
        """Collect keys as `gather` does, and tell what ended them.

        Args:
            digits: how many to collect at most.
            first_timeout_s: how long to wait for the first one.
            next_timeout_s: how long for each further one; by default as long.
            finish_on: keys that end the input at once; they are not part of the result.
            masked: the timeline does not show what is pressed meanwhile. For keys typed ahead see `digits_masked`.
            until_speech: the caller's voice ends it, too: one that is talking already, or begins to.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
        """
        if digits < 1:
            raise ValueError(f"digits must be 1 or more, not {digits}")
        return await self._ears.collect(
            digits,
            first_timeout_s=first_timeout_s,
            next_timeout_s=first_timeout_s if next_timeout_s is None else next_timeout_s,
            finish_on=finish_on,
            masked=masked,
            until_speech=until_speech,
        )

    @property
    def digits(self) -> str:
        """The keys pressed and not yet gathered."""
        return self._ears.digits

    def forget_digits(self) -> None:
        """Drop the keys that were pressed and not yet gathered: after a mistake they do not mean what they did."""
        self._ears.forget_digits()

    @property
    def digits_masked(self) -> bool:
        """Whether the timeline shows each key as "•", because it is, or may be typed ahead of, a secret."""
        return self._ears.keypad.masked

    @digits_masked.setter
    def digits_masked(self, masked: bool) -> None:
        self._ears.keypad.masked = masked

    # -- turns -----------------------------------------------------------------------------------------------

    def turns(self, *, timeout_s: float | None = None, eager: bool = False) -> AsyncIterator[Turn]:
        """What the caller says, a turn at a time: each comes when the caller has fallen silent again.

        With a transcriber a turn has words; who is only loud has no turn. Ends when the call does, or when the caller
        has not begun to speak for `timeout_s`, not counting the time that the bridge spoke.

        Args:
            eager: a turn may come while the caller may not be done: think about it, and await its `settled` before
                anything is said. With ``[turns] eager`` and a transcriber.
        """
        return self._ears.turns(timeout_s, eager=eager)

    async def caller_speaks(self) -> None:
        """Wait until the caller speaks anew, or has a turn that was not taken yet. Race it against what thinks.

        Where words can be expected, it waits for one: a turn is sure to follow.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
        """
        await self._ears.caller_speaks()

    @property
    def hears(self) -> bool:
        """Whether words can be expected: somebody transcribes, and is able to."""
        return self._ears.hears
