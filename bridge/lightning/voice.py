"""One voice: text in, mu-law out, piece after piece without a gap, whatever becomes of a door.

Strategy:

- When a door fails, the text that is still unsaid is spoken by the next entry of the configuration, and the call
  stays there: a voice that comes and goes is worse than another voice. Without a next entry there is one retry.
- A voice is shared by all calls of a process, and so is what it learns. Where a call stands is its own: `for_call`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable, Container, Sequence
from typing import Final, TypeAlias, Unpack

from bridge.config import LightningConfig
from bridge.config_lightning import PATIENCE_S
from bridge.errors import Busy, LightningError
from bridge.lightning.entries import Entry, VoiceOptions, open_entries
from bridge.lightning.limits import Units
from bridge.lightning.probes import Prober
from bridge.lightning.speaking import Speaking
from bridge.lightning.speech import Speech
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import MULAW_8K, AudioFormat

log = logging.getLogger(__name__)

BUSY_BACKOFF_S: Final = 0.5
#: What `speech.normalise` does to a piece: text and language in, text out.
Normaliser: TypeAlias = Callable[[str, str], str]


class Voice:
    """A voice for all calls of a process.

    Args:
        entries: who speaks, and who does when that fails; at least one.
        stats: where to count.
        normalise: what is done to text before it is spoken.
        busy_backoff_s: wait before the retry when Lightning said that it is busy, and not for how long.
        patience_s: the longest silence before an utterance is given up, over all entries and retries.
    """

    audio_format: Final[AudioFormat] = MULAW_8K

    def __init__(
        self,
        entries: Sequence[Entry],
        stats: LightningStats,
        *,
        normalise: Normaliser | None = None,
        busy_backoff_s: float = BUSY_BACKOFF_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.entries, self.stats = list(entries), stats
        self.normalise, self.busy_backoff_s = normalise, busy_backoff_s
        self.patience_s = patience_s
        self._prober = Prober(self.entries, stats)
        self._speaking: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Have every door get ready. Does not wait, and does not fail."""
        for entry in self.entries:
            await entry.door.start()

    async def close(self) -> None:
        """Close every door. What is being spoken fails."""
        await self._prober.close()
        for task in self._speaking:
            task.cancel()
        if self._speaking:
            await asyncio.wait(self._speaking)
        for entry in self.entries:
            await entry.door.close()

    async def __aenter__(self) -> Voice:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    @property
    def able(self) -> bool:
        """Whether any entry is believed to work."""
        return any(not entry.breaker.open for entry in self.entries)

    @property
    def accounts(self) -> list[Units]:
        """The units of all accounts, each once."""
        return list(dict.fromkeys(entry.units for entry in self.entries if entry.units is not None))

    def for_call(self) -> CallVoice:
        """The voice of one call."""
        return CallVoice(self)

    def others(self, entry: Entry, failed: Container[Entry] = ()) -> list[Entry]:
        """Who may be asked instead of `entry`, in order: those that work; when nobody does, all. None of `failed`."""
        at = self.entries.index(entry)
        others = [other for other in (*self.entries[at + 1 :], *self.entries[:at]) if other not in failed]
        return [other for other in others if not other.breaker.open] if self.able else others

    def after(self, entry: Entry, error: LightningError, failed: Container[Entry] = ()) -> Entry | None:
        """Who is asked when `entry` failed with `error`: the first of its `others` that can help."""
        others = self.others(entry, failed)
        if isinstance(error, Busy):  # the others of that account are as busy
            others = [other for other in others if other.units is None or other.units is not entry.units]
        return next(iter(others), None)

    def note_speaking(self, task: asyncio.Task[None]) -> None:
        """`task` speaks an utterance: it ends with the voice."""
        self._speaking.add(task)
        task.add_done_callback(self._speaking.discard)

    def note_failure(self, entry: Entry, error: LightningError) -> None:
        """`entry` failed: perhaps it is left alone from now on."""
        if entry.failed(error, asyncio.get_running_loop().time()):
            self.stats.breakers_opened += 1
            log.warning("voice %s is left alone for now: %s: %s", entry, type(error).__name__, error)
            self._prober.wake()


def open_voice(
    config: LightningConfig, stats: LightningStats | None = None, *, normalise: Normaliser | None = None
) -> Voice:
    """The voice that `config` describes, with all its fallbacks. `start` it next."""
    stats = stats or LightningStats()
    return Voice(open_entries(config, stats), stats, normalise=normalise, patience_s=config.patience_s)


def normaliser(wanted: bool) -> Normaliser | None:
    """What prepares text for the telephone, if that is `wanted`. Its tables are read only then."""
    if not wanted:
        return None
    from bridge.lightning.normalise import normalise

    return normalise


class CallVoice:
    """The voice of one call: once it has fallen back, it stays there."""

    audio_format: Final[AudioFormat] = MULAW_8K

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self._entry = voice.entries[0]

    def pick(self, failed: Container[Entry] = ()) -> Entry:
        """Who speaks next. Moves on for good from one that is known not to work to one that does, none of `failed`."""
        if self._entry.breaker.open:
            working = (
                entry for entry in self.voice.entries if not entry.breaker.open and entry not in failed
            )
            if (works := next(working, None)) is not None:
                self.fall_back(works)
        return self._entry

    def fall_back(self, entry: Entry) -> None:
        """From now on, `entry` speaks."""
        log.warning("a call's voice falls back from %s to %s", self._entry, entry)
        self.voice.stats.fallbacks += 1
        self._entry = entry

    def speak(self, text: str | AsyncIterable[str], **options: Unpack[VoiceOptions]) -> Speech:
        """Speak `text`. Returns at once; iterate the speech for its parts.

        Blank text is an `InvalidRequest`; an iterator that yields nothing is a speech without parts.
        """
        return Speaking(self, text, options).speech

    def options_for(self, entry: Entry, options: VoiceOptions) -> VoiceOptions:
        """Of an utterance's own wishes, those that `entry` can fulfil: the first one's voices are not all's."""
        if entry is self.voice.entries[0] or entry.stands_in_for(self.voice.entries[0]):
            return options
        kept = options.copy()
        kept.pop("voice_id", None)
        kept.pop("model", None)
        kept.pop("pronunciation_dicts", None)
        return kept
