"""What the vendor's clients are asked to say, and what must then be heard."""

from __future__ import annotations

from typing import Any, Final

import pytest

from bridge.emulators.speech_engine import ToneEngine

TEXT: Final = "Hello there, this is Lightning."
#: As keyword arguments of the vendor's methods.
SPEECH: Final[dict[str, Any]] = {"text": TEXT, "voice_id": "magnus", "sample_rate": 8000}
#: Every test of the vendor's: their packages still use what others have deprecated.
MARKS: Final = [pytest.mark.vendor, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def spoken(text: str = TEXT, *, voice_id: str = "magnus") -> bytes:
    """What the emulator says for `text`: 16-bit PCM at 8 kHz."""
    return ToneEngine().speak(text, voice_id=voice_id, language="auto", speed=1).pcm
