"""Twilio's messages as files, and the ids in them. Names are paths in tests/data/twilio, without suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parents[1] / "data" / "twilio"

CALL_ID: Final = "CA4a1f3b9c0d5e4f6a8b7c9d0e1f2a3b4c"
STREAM_ID: Final = "MZ18ad3ab5a668481ce02b83e7395059f0"
ACCOUNT_ID: Final = "AC0123456789abcdef0123456789abcdef"
#: The 160 bytes of mu-law in the media files.
PAYLOAD: Final = bytes((0x7F + i * 7) % 256 for i in range(160))
PARAMETERS: Final = {
    "token": "one-time",
    "from": "+15550001111",
    "to": "+15550002222",
    "direction": "bidirectional",
}


def frame(name: str) -> bytes:
    """The message in `name`.json."""
    return (DATA / f"{name}.json").read_bytes()


def frames(folder: str) -> list[str]:
    """Names of all messages in a folder: `broken` ones tell their event at least, `hopeless` ones do not, or
    are a start.
    """
    return sorted(f"{folder}/{path.stem}" for path in (DATA / folder).iterdir())
