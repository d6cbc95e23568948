"""What a try of a flow has instead of a call: its sound, who speaks, and what the world answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias

from bridge.flows.actions import Fetch, Fetched, Message
from bridge.prompts.rendition import ToSpeak
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import wav_bytes

if TYPE_CHECKING:
    from bridge.config import LightningConfig
    from bridge.lightning.client import Lightning

BYTES_PER_S: Final = MULAW_8K.bytes_in(1000)
#: How long a character takes that nobody speaks: for silence in its place.
_S_PER_CHAR: Final = 0.065

#: Asks a webhook; told which step wants it.
Fetches: TypeAlias = Callable[[str, Fetch], Awaitable[Fetched]]


@dataclass(frozen=True, kw_only=True)
class World:
    """What a call has around it.

    Attributes:
        fetch: asks a webhook.
        message: what callers leave when a flow takes a message; None: they have to say whether they do.
        transfers: whether they work.
    """

    fetch: Fetches
    message: Message | None = None
    transfers: bool = True


def answered(answers: Mapping[str, Sequence[Fetched]], otherwise: Fetches) -> Fetches:
    """Gives the steps in `answers` what is there for them, in turn, the last one again and again."""
    left = {step: deque(each) for step, each in answers.items()}

    async def fetch(step: str, asked: Fetch) -> Fetched:
        if step not in left:
            return await otherwise(step, asked)
        return left[step].popleft() if len(left[step]) > 1 else left[step][0]

    return fetch


# -- sound -------------------------------------------------------------------------------------------------------------


@dataclass
class Track:
    """What the caller has heard since the call began: 8 kHz mu-law."""

    audio: bytearray = field(default_factory=bytearray)

    @property
    def seconds(self) -> float:
        """How long the call has lasted."""
        return len(self.audio) / BYTES_PER_S

    def wav(self) -> bytes:
        """As a file."""
        return wav_bytes(MULAW_8K, bytes(self.audio))


def silence(seconds: float) -> bytes:
    """So much of it."""
    return MULAW_8K.silence(seconds * 1000)


def over_and_over(audio: bytes, seconds: float) -> bytes:
    """`audio` as often as it takes to last `seconds`; silence when there is none."""
    wanted_bytes = int(seconds * BYTES_PER_S)
    if not audio:
        return silence(seconds)
    return (audio * (wanted_bytes // len(audio) + 1))[:wanted_bytes]


class Speaker(Protocol):
    """Who says what is not kept."""

    async def speak(self, part: ToSpeak) -> bytes:
        """All of its audio.

        Raises:
            LightningError: it could not be had.
        """


class Silent:
    """Nobody: silence of about the right length."""

    async def speak(self, part: ToSpeak) -> bytes:
        return silence(len(part.text) * _S_PER_CHAR)


class Spoken:
    """The configured voice, from the first part on that has to be spoken; used as ``async with``.

    Fallbacks do not speak: what they say is in another voice, and would not be kept.

    Raises, when something has to be spoken:
        ConfigError: there is no key.
    """

    def __init__(self, config: LightningConfig, *, normalise: bool) -> None:
        self._config, self._normalise = config.entries[0], normalise
        self._lightning: Lightning | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    async def speak(self, part: ToSpeak) -> bytes:
        lightning = self._lightning or await self._started()
        audio = b"".join([chunk async for chunk in lightning.say(part.text, **part.options)])
        part.on_spoken(audio)
        return audio

    async def _started(self) -> Lightning:
        from bridge.lightning.client import Lightning

        config = self._config.with_changes({"spare_connections": min(1, self._config.spare_connections)})
        self._lightning = await self._stack.enter_async_context(Lightning(config, normalise=self._normalise))
        return self._lightning
