"""What is played for a prompt: parts that are ready, and parts that a voice has yet to speak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from bridge.lightning.entries import VoiceOptions
from bridge.observe.timeline import HIDDEN
from bridge.prompts.prompt import Prompt


@dataclass(frozen=True, slots=True)
class ToSpeak:
    """A part that is not in the cache.

    Attributes:
        text: as it is given to the voice.
        options: in which voice.
        on_spoken: given all of its audio, 8 kHz mu-law, when it was spoken whole and in the voice that was asked for;
            given None when it was not: interrupted, or spoken by a fallback.
        private: its words are shown to nobody but the caller and the agent.
    """

    text: str = field(repr=False)
    options: VoiceOptions = field(default_factory=VoiceOptions)
    on_spoken: Callable[[bytes | None], None] = field(default=lambda _audio: None, compare=False)
    private: bool = False


Part: TypeAlias = Prompt | ToSpeak


@dataclass(frozen=True, slots=True)
class Rendition:
    """The parts of a prompt, in order; at least one."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """What is said, all of it."""
        return " ".join(part.text for part in self.parts if part.text)

    @property
    def shown(self) -> str:
        """The same, as it may be shown: without what is private."""
        texts = (HIDDEN if isinstance(part, ToSpeak) and part.private else part.text for part in self.parts)
        return " ".join(text for text in texts if text)

    @property
    def ready(self) -> Prompt | None:
        """All of it as one recording; None when something has yet to be spoken."""
        prompts = [part for part in self.parts if isinstance(part, Prompt)]
        if len(prompts) != len(self.parts):
            return None
        return prompts[0] if len(prompts) == 1 else Prompt(b"".join(p.audio for p in prompts), self.text)
