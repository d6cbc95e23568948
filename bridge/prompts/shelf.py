"""The prompts that calls play: in memory where they are ready, spoken by the call's voice where they are not.

Strategy:

- A rendition is made of what is in memory at that moment: no disk, no network, nothing to wait for.
- What is missing is spoken live, and kept: in memory at once, on disk soon after. What was interrupted, or spoken by a
  fallback, is rendered behind the calls instead, once.
- What is private is neither looked up nor kept.
- Ids of the sounds that are always there, the apology and "One moment, please." always work. A prompt of the book may
  take the place of one of them as long as it is ready: who apologises because the voice has failed cannot ask for it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from bridge.config import LightningConfig
from bridge.errors import PromptError
from bridge.lightning.voice import Voice
from bridge.observe.stats import PromptStats
from bridge.problems import Problem
from bridge.prompts.background import Background
from bridge.prompts.book import Book, PromptSpec, Variant
from bridge.prompts.cache import PromptCache
from bridge.prompts.edges import trimmed
from bridge.prompts.key import Keys, Normaliser, key_of_file
from bridge.prompts.memory import Memory
from bridge.prompts.prompt import BUNDLED, Prompt, mulaw_in
from bridge.prompts.rendition import Part, Rendition, ToSpeak
from bridge.prompts.sounds import SOUNDS, sound
from bridge.prompts.spoken_forms import prepare, spoken
from bridge.prompts.template import Piece, cut, fixed_pieces, variables_in
from telephony_codecs.formats import MULAW_8K

log = logging.getLogger(__name__)

#: What is played for a prompt that has nothing to say, because none of its variables has a value.
_NOTHING: Final = Prompt(MULAW_8K.silence(20))


class Shelf:
    """All prompts of an edition. An empty one knows only what is always there.

    Args:
        cache: where audio is kept between processes; None keeps it in memory alone.
        config: who speaks: its first entry.
        memory_mb: room for audio.
        normalise: what is done to text before it is spoken (`bridge.lightning.voice.normaliser`).
        voice: the calls' own, behind which what was interrupted is rendered; None renders nothing.
    """

    def __init__(
        self,
        book: Book | None = None,
        cache: PromptCache | None = None,
        *,
        config: LightningConfig | None = None,
        stats: PromptStats | None = None,
        memory_mb: int = 256,
        normalise: Normaliser | None = None,
        voice: Voice | None = None,
    ) -> None:
        self.book = book or Book()
        self.stats = stats or PromptStats()
        self._cache = cache
        self._keys = Keys(config or LightningConfig(), normalise)
        self._memory = Memory(memory_mb * 1_000_000, self.stats)
        self._background = Background(self._keys, voice, cache, self.stats, self._take)
        #: What is rendered, and too much for the memory.
        self._without_room: set[str] = set()
        #: Pieces of what is always the same, by variant: cut once, since cutting takes longer than all the rest.
        self._without_variables = {
            id(variant): cut(variant, {})
            for spec in self.book.specs.values()
            for variant in spec.variants()
            if not variables_in(variant.text)
        }
        #: Recordings, by their file.
        self._recorded: dict[str, str] = {}

    # -- at start --------------------------------------------------------------------------------------

    def warm(self) -> list[Problem]:
        """Read into memory what is kept: fixed pieces, recordings, then what callers' data filled in, newest first.

        Takes time: call it in a thread, before the shelf is used.

        Returns:
            What is wrong with recordings, which nothing else can stand in for.
        """
        for bundled in BUNDLED.values():
            bundled()
        for name in SOUNDS:
            sound(name)
        problems = list(self._read_recordings())
        self._read_fixed()
        self._read_spoken()
        for language in self._languages():
            prepare(language)
        return problems

    def missing(self) -> list[Piece]:
        """The fixed pieces that are neither in memory nor, when it was read, on disk: what is to be rendered."""
        return [
            piece
            for key, piece in self._fixed.items()
            if key not in self._memory and key not in self._without_room
        ]

    def needed(self) -> set[str]:
        """Keys of all fixed pieces and recordings: what `PromptCache.prune` must keep. Reads the recordings."""
        keys = set(self._fixed)
        for _, _, variant in self._recordings():
            with contextlib.suppress(OSError):
                keys.add(key_of_file(Path(variant.file).read_bytes()))
        return keys

    @cached_property
    def _fixed(self) -> dict[str, Piece]:
        """By key. `warm` works it out, in its thread: the loop need not when it asks what is `missing`."""
        pieces = (piece for spec in self.book.specs.values() for piece in fixed_pieces(spec))
        return {self._keys.of(piece.text, piece.options): piece for piece in pieces}

    def _on_disk(self, key: str) -> bytes | None:
        return self._cache.get(key) if self._cache else None

    def _languages(self) -> set[str]:
        """In which callers' data are said."""
        return {
            self._language(variant)
            for spec in self.book.specs.values()
            if spec.variables
            for variant in spec.variants()
        }

    def _language(self, variant: Variant) -> str:
        return variant.language or self._keys.config.language

    def _read_fixed(self) -> None:
        for key, piece in self._fixed.items():
            if (audio := self._on_disk(key)) is None:
                continue
            if not self._memory.keep(key, Prompt(audio, piece.text), fixed=True):
                self._without_room.add(key)
        if self._without_room:
            count = len(self._without_room)
            log.warning("%d rendered pieces of prompts have no room in prompts.memory_mb: raise it", count)

    def _read_spoken(self) -> None:
        """What callers' data filled in: as much as there is room for, the newest first to stay."""
        entries = self._cache.entries() if self._cache else ()
        found = [each for each in entries if each.is_spoken and each.key not in self._memory]
        found.sort(key=lambda entry: entry.written_at_s, reverse=True)
        room_bytes, newest = self._memory.left_bytes, []
        for entry in found:
            room_bytes -= entry.size_bytes
            if room_bytes < 0:
                break
            newest.append(entry)
        for entry in reversed(newest):
            if (audio := self._on_disk(entry.key)) is not None:
                self._memory.keep(entry.key, Prompt(audio))

    # -- recordings ------------------------------------------------------------------------------------

    def _recordings(self) -> Iterator[tuple[str, str, Variant]]:
        """Prompt, key in its file, and what names a recording."""
        for prompt, spec in self.book.specs.items():
            for language, variant in (("", spec), *spec.in_.items()):
                if variant.file:
                    yield prompt, f"in.{language}.file" if language else "file", variant

    def _read_recordings(self) -> Iterator[Problem]:
        for prompt, key, variant in self._recordings():
            try:
                self._read_recording(variant)
            except PromptError as error:
                source, line = self.book.places.get(prompt, ("", 0))
                yield Problem(source, line, f"prompts.{prompt}.{key}", str(error))

    def _read_recording(self, variant: Variant) -> None:
        try:
            content = Path(variant.file).read_bytes()
        except OSError as error:
            raise PromptError(f"{variant.file}: cannot be read: {error.strerror}") from error
        key = key_of_file(content)
        if (audio := self._on_disk(key)) is None:
            try:
                audio = mulaw_in(content)
            except ValueError as error:
                raise PromptError(f"{variant.file}: {error}") from error
            if self._cache:
                self._cache.put(key, audio, {"of": "recorded", "file": variant.file, "text": variant.text})
        self._recorded[variant.file] = key
        self._memory.keep(key, Prompt(audio, variant.text), fixed=True, force=True)

    # -- for calls -------------------------------------------------------------------------------------

    def rendition(
        self,
        prompt: str,
        variables: Mapping[str, object] | None = None,
        *,
        language: str = "",
        private: Collection[str] = (),
    ) -> Rendition:
        """What to play for a prompt, in time for a caller: nothing is read from disk or the network.

        Args:
            prompt: its id, or the name of a sound that is always there, or ``apology`` or ``one_moment``.
            variables: what fills it in; one that is missing is left out.
            language: which of its languages; the prompt's own where it has no such.
            private: of `variables`, whose sound is never kept, besides those of the prompt itself.

        Raises:
            PromptError: there is no such prompt, or its recording could not be read.
        """
        always = _always(prompt)
        spec = self.book.specs.get(prompt)
        if spec is None:
            if always is None:
                raise PromptError(f'there is no prompt "{prompt}"')
            return Rendition((always,))
        rendition = self._of_book(prompt, spec, variables or {}, language, private)
        return Rendition((always,)) if always is not None and rendition.ready is None else rendition

    def _of_book(
        self,
        prompt: str,
        spec: PromptSpec,
        variables: Mapping[str, object],
        language: str,
        private: Collection[str],
    ) -> Rendition:
        variant = spec.in_language(language) if language else spec
        if variant.file:
            return Rendition((self._recording(prompt, variant),))
        pieces = self._without_variables.get(id(variant))
        if pieces is None:
            pieces = self._cut(prompt, spec, variant, variables, {*spec.private, *private})
        return Rendition(tuple(map(self._part, pieces)) or (_NOTHING,))

    def _cut(
        self,
        prompt: str,
        spec: PromptSpec,
        variant: Variant,
        variables: Mapping[str, object],
        private: Collection[str],
    ) -> list[Piece]:
        said, wrong = spoken(variables, spec.variables, self._language(variant))
        if wrong:
            log.warning('prompt "%s" is said with data as they are: %s', prompt, "; ".join(wrong))
        return cut(variant, said, private)

    def _recording(self, prompt: str, variant: Variant) -> Prompt:
        recorded = self._memory.get(self._recorded.get(variant.file, ""))
        if recorded is None:
            raise PromptError(f'the recording of prompt "{prompt}" has not been read')
        self.stats.hits += 1
        return recorded

    def _part(self, piece: Piece) -> Part:
        if piece.private:
            self.stats.misses += 1
            return ToSpeak(piece.text, piece.options, private=True)
        key = self._keys.of(piece.text, piece.options)
        if (kept := self._memory.get(key)) is not None:
            self.stats.hits += 1
            return kept if kept.text == piece.text else Prompt(kept.audio, piece.text)
        self.stats.misses += 1
        return ToSpeak(piece.text, piece.options, partial(self._spoken, key, piece))

    # -- after calls -----------------------------------------------------------------------------------

    def _spoken(self, key: str, piece: Piece, audio: bytes | None) -> None:
        """A call has had `piece` spoken; or not, and it is still missing."""
        if key in self._memory:
            return  # another call was first
        if not audio:
            self._background.render(key, piece)
            return
        audio = trimmed(audio, piece.text)
        self._take(key, piece, audio)
        self.stats.kept += 1
        self._background.write(key, piece, audio)

    def _take(self, key: str, piece: Piece, audio: bytes) -> None:
        self._memory.keep(key, Prompt(audio, piece.text), fixed=piece.fixed)

    async def close(self) -> None:
        """End what goes on in the background. What calls have had spoken is still written."""
        await self._background.close()


def _always(prompt: str) -> Prompt | None:
    """What is always there under that name."""
    if prompt in BUNDLED:
        return BUNDLED[prompt]()
    return sound(prompt) if prompt in SOUNDS else None
