"""The voices that the emulated Lightning lists: the ones that are publicly named, with tags to search by.

Strategy:

- One table. A voice belongs to one pool, and the pools of two models have no voice in common (lightning.md 3).
- The ids are Lightning's own. The tags are plausible, not copied: the catalogue has about 217 voices and is
  not public as a whole. Languages are told by name, as the vendor's own package documents them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Voice:
    """One entry of the catalogue."""

    voice_id: str
    languages: tuple[str, ...]
    accent: str
    gender: str
    age: str
    emotions: tuple[str, ...] = ()
    usecases: tuple[str, ...] = ("conversational",)

    def wire(self) -> dict[str, object]:
        """As `get_voices` lists it."""
        tags = {
            "language": self.languages,
            "accent": self.accent,
            "gender": self.gender,
            "age": self.age,
            "emotions": self.emotions,
            "usecases": self.usecases,
        }
        return {"voiceId": self.voice_id, "displayName": self.voice_id.title(), "tags": tags}

    def catalogue_wire(self) -> dict[str, object]:
        """As `get-all-models` lists it: with prose and a preview, and with fewer tags."""
        return {
            "_id": self.voice_id.encode().hex().ljust(24, "0")[:24],
            "voiceId": self.voice_id,
            "displayName": self.voice_id.title(),
            "description": f"A {self.age} {self.accent} {self.gender} voice",
            "audioPreview": f"https://previews.example/{self.voice_id}.wav",
            "tags": {"age": self.age, "emotions": self.emotions, "language": self.languages},
        }


_BASE: Final = (
    Voice("magnus", ("english",), "american", "male", "middle aged", (), ("narration", "conversational")),
    Voice("sophia", ("english",), "american", "female", "young", ("friendly",)),
    Voice("devansh", ("english", "hindi"), "indian", "male", "young", (), ("customer support",)),
    Voice("kartik", ("hindi", "english"), "indian", "male", "young", ("calm",)),
    Voice(
        "maithili", ("english", "hindi"), "indian", "female", "young", ("friendly",), ("customer support",)
    ),
    Voice("liam", ("english",), "british", "male", "young", (), ("narration",)),
    Voice("avery", ("english",), "american", "female", "middle aged", ("calm",), ("customer support",)),
)
_PRO: Final = (
    Voice("meher", ("english", "hindi"), "indian", "female", "young", ("friendly",), ("customer support",)),
    Voice("kaitlyn", ("english",), "american", "female", "young", ("excited",)),
    Voice("rhea", ("english", "hindi"), "indian", "female", "middle aged", ("calm",), ("narration",)),
    Voice("aviraj", ("hindi", "english"), "indian", "male", "young"),
    Voice("sophie", ("english",), "british", "female", "young", ("friendly",)),
    Voice("sam", ("english",), "american", "male", "middle aged", (), ("narration", "customer support")),
)
_V4: Final = (
    Voice("brannock", ("english",), "american", "male", "middle aged", ("expressive",)),
    Voice("rhodes", ("english",), "british", "male", "young", ("expressive",)),
)
#: By the slug that stands in the path of `get_voices`.
VOICES: Final = {
    "lightning-v3.1": _BASE,
    "lightning-v3.1-pro": _PRO,
    "lightning-v2": _BASE,
    "lightning-v4": _V4,
}


def ids_of(slug: str) -> tuple[str, ...]:
    """The voices that `get_voices` lists under `slug`, in its order."""
    return tuple(voice.voice_id for voice in VOICES[slug])
