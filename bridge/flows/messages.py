"""Messages that callers leave, as WAV files. A disk that fails loses a message and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bridge.observe.stats import BridgeStats
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import wav_bytes

log = logging.getLogger(__name__)

#: Of a carrier's id of a call, what a file's name may have of it, and how much.
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_ID: Final = 80


def name_of(call_id: str, step: str, at: datetime) -> str:
    """The name of a message's file: when, which call, which step. Names sort by time."""
    utc = at.astimezone(UTC)
    when = f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03}Z"
    return "-".join((when, _UNSAFE.sub("_", call_id)[:_LONGEST_ID], _UNSAFE.sub("_", step))) + ".wav"


class Messages:
    """Where messages are kept.

    Args:
        folder: made when the first one comes.
        stats: counts those that are kept, and those that are lost.
    """

    def __init__(self, folder: Path, stats: BridgeStats) -> None:
        self._folder, self._stats = folder, stats

    async def keep(self, mulaw: bytes, *, call_id: str, step: str, at: datetime, instead_of: str = "") -> str:
        """Write a message (8 kHz mu-law) in a thread. Returns its path; empty when the disk did not take it.

        Args:
            instead_of: the path of one that this takes the place of: it goes when the new one is there.
        """
        path = self._folder / name_of(call_id, step, at)
        try:
            await asyncio.to_thread(_write, path, mulaw, instead_of)
        except OSError as error:
            self._stats.messages_lost += 1
            log.warning("call %s: a message is lost: %s: %s", call_id, path, error.strerror or error)
            return ""
        self._stats.messages_kept += 1
        return str(path)


def _write(path: Path, mulaw: bytes, instead_of: str) -> None:
    """All of it or nothing: whoever looks into the folder finds no half message."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        part.write_bytes(wav_bytes(MULAW_8K, mulaw))
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if instead_of and instead_of != str(path):
        with suppress(OSError):  # then there are two, and nothing is lost
            os.unlink(instead_of)
