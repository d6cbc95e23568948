"""A message that the caller leaves: what of it is kept, and when it is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

EndedBy: TypeAlias = Literal["silence", "digit", "limit", "hang_up"]


@dataclass(frozen=True, slots=True)
class Recording:
    """What a caller said. `audio` is raw 8 kHz mu-law, `ms` its length; `by` is what ended it."""

    audio: bytes
    ms: int
    by: EndedBy
