"""Rendered audio on disk: WAV files named by what made their sound.

Strategy:

- A file is an ordinary WAV, 8 kHz mu-law, that any player plays. A chunk before its audio says what it is and holds
  the digest of all of it. What does not match its digest is removed, and made again by whoever needs it.
- A file appears whole or not at all: it is written beside its name and renamed. It is not flushed to the platter:
  after a loss of power it may be empty, and its digest says so.
- A disk that says no is nobody's end: `get` and `put` do not raise. The first time is a warning, every time is counted.
- A file is removed only when it is named as ours, and says in its header that it is, or is empty.
- What a caller's own data filled in has no words in its header, and is removed when it has grown old.
- Everything here but `lock` reads or writes while it is called: call it in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import struct
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bridge.observe.stats import PromptStats
from bridge.prompts.key import FORMAT_VERSION
from bridge.prompts.lock import Held, PieceLock, clear
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import read_wav, wav_bytes

log = logging.getLogger(__name__)

#: Another process's lock is waited for so long; then the piece is rendered a second time.
LOCK_PATIENCE_S: Final = 60.0
#: What a caller's own data filled in is kept for so long after it was written.
SPOKEN_DAYS: Final = 30.0
#: Older temporary files are those of a process that was killed.
STALE_TEMP_S: Final = 3600.0
DAY_S: Final = 86_400.0
#: `about["of"]`, for what a caller's own data filled in: kept by age. All else is kept as long as a prompt needs it.
SPOKEN: Final = "spoken"

_WAV: Final = re.compile(r"([0-9a-f]{64})\.wav")
_LOCK: Final = re.compile(r"[0-9a-f]{64}\.lock")
_TEMP: Final = re.compile(r"\.[0-9a-f]{64}\..*\.tmp")
_RIFF_BYTES: Final = 12
_CHUNK: Final = struct.Struct("<4sI")
_CHUNK_NAME: Final = b"brdg"
#: More than the longest text takes.
_MOST_ABOUT_BYTES: Final = 1 << 18


class _About(msgspec.Struct):
    """Our chunk."""

    version: int
    key: str
    digest: str = ""
    about: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class CachedPrompt:
    """A file of the cache, as far as its header says. `about` is what `put` was told."""

    key: str
    path: Path
    size_bytes: int
    written_at_s: float
    about: Mapping[str, str]

    @property
    def is_spoken(self) -> bool:
        """Whether a caller's own data filled it in."""
        return self.about.get("of") == SPOKEN


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` did: files removed, and room made."""

    removed: int
    freed_bytes: int


class PromptCache:
    """A folder of them. May be used by several threads and processes at once.

    Args:
        folder: made when the first file is written.
        stats: where to count.
    """

    def __init__(self, folder: Path, stats: PromptStats | None = None) -> None:
        self.folder = folder
        self.stats = stats or PromptStats()
        self._counting = threading.Lock()
        self._warned = False
        #: Why the last file could not be written; empty while it could.
        self.write_error = ""

    def path_of(self, key: str) -> Path:
        """Where the audio of `key` is, if it is there."""
        return self.folder / f"{key}.wav"

    def get(self, key: str) -> bytes | None:
        """The audio kept under `key`, 8 kHz mu-law; None when there is none that can be believed."""
        path = self.path_of(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._trouble("read_failures", "read", error)
            return None
        header = _header_in(data)
        if header is not None and header.version != FORMAT_VERSION:
            return None  # another version's, to which it may be of use
        audio = _audio_in(data) if header is not None and header.key == key else None
        if header is None or audio is None or header.digest != _digest(header, audio):
            self._count("corrupt")
            log.warning("%s is corrupt, and is made again", path)
            self.remove(key)
            return None
        return audio

    def put(self, key: str, audio: bytes, about: Mapping[str, str]) -> bool:
        """Keep `audio`, 8 kHz mu-law, under `key`. Returns whether the disk took it.

        Args:
            about: what is told of it later; ``of`` says what it belongs to.
        """
        header = _About(FORMAT_VERSION, key, about=dict(about))
        header.digest = _digest(header, audio)
        try:
            self._write(key, _with_chunk(wav_bytes(MULAW_8K, audio), msgspec.json.encode(header)))
        except OSError as error:
            self.write_error = error.strerror or type(error).__name__
            self._trouble("write_failures", "written", error)
            return False
        self.write_error = ""
        return True

    def _write(self, key: str, data: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".tmp", f".{key}.", self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, self.path_of(key))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def remove(self, key: str) -> bool:
        """Remove what is kept under `key`. Returns whether anything was, and could be."""
        try:
            self.path_of(key).unlink()
        except OSError:
            return False
        return True

    def entries(self) -> Iterator[CachedPrompt]:
        """What is there, by key. Headers alone are read: whether the audio can be believed, `get` says."""
        return (
            entry
            for entry, header in self._ours()
            if header and header.version == FORMAT_VERSION and header.key == entry.key
        )

    def _ours(self) -> Iterator[tuple[CachedPrompt, _About | None]]:
        """Files with a header of any version, and empty ones, which were being written when the power went."""
        for file in self._files():
            if match := _WAV.fullmatch(file.name):
                with contextlib.suppress(OSError):  # removed meanwhile, or not to be read
                    path, status = Path(file.path), file.stat()
                    header = _header_at(path)
                    if header or not status.st_size:
                        about = header.about if header else {}
                        yield CachedPrompt(match[1], path, status.st_size, status.st_mtime, about), header

    def _files(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.folder) as files:
                return sorted(files, key=lambda file: file.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._trouble("read_failures", "read", error)
            return []

    def unneeded(
        self, needed: Collection[str], *, older_than_days: float = SPOKEN_DAYS, now_s: float | None = None
    ) -> Iterator[CachedPrompt]:
        """What `prune` removes, told the same."""
        young_s = (time.time() if now_s is None else now_s) - older_than_days * DAY_S
        for entry, _ in self._ours():
            if entry.key not in needed and not (entry.is_spoken and entry.written_at_s > young_s):
                yield entry

    def prune(
        self, needed: Collection[str], *, older_than_days: float = SPOKEN_DAYS, now_s: float | None = None
    ) -> Pruned:
        """Remove what no prompt needs, and what killed processes left behind.

        Args:
            needed: keys to keep.
            older_than_days: what callers' data filled in is kept for so long after it was written.
            now_s: seconds since the epoch.
        """
        now_s = time.time() if now_s is None else now_s
        unneeded = list(self.unneeded(needed, older_than_days=older_than_days, now_s=now_s))
        gone = [entry for entry in unneeded if self.remove(entry.key)]
        for file in self._files():
            if _LOCK.fullmatch(file.name):
                clear(Path(file.path))
            elif _is_stale_temp(file, now_s):
                with contextlib.suppress(OSError):
                    os.unlink(file.path)
        return Pruned(len(gone), sum(entry.size_bytes for entry in gone))

    def expire(self, *, now_s: float | None = None) -> None:
        """Remove what callers' data filled in and is older than `SPOKEN_DAYS`."""
        before_s = (time.time() if now_s is None else now_s) - SPOKEN_DAYS * DAY_S
        for entry in self.entries():
            if entry.is_spoken and entry.written_at_s <= before_s:
                self.remove(entry.key)

    @contextlib.asynccontextmanager
    async def lock(self, key: str, patience_s: float = LOCK_PATIENCE_S) -> AsyncGenerator[Held, None]:
        """While the block runs nobody else renders `key`, if what it is given is ``ours`` (see `Held`).

        Args:
            patience_s: how long another's is waited for; 0 is one try.
        """
        lock = PieceLock(self.folder / f"{key}.lock")
        try:
            yield await lock.acquire(patience_s)
        finally:
            await lock.release()

    def _trouble(self, counter: str, what: str, error: OSError) -> None:
        self._count(counter)
        with self._counting:
            first, self._warned = not self._warned, True
        if first:
            log.warning(
                "prompts in %s cannot be %s: %s; calls go on with live synthesis, and this is said once",
                self.folder,
                what,
                error.strerror or type(error).__name__,
            )

    def _count(self, counter: str) -> None:
        with self._counting:
            setattr(self.stats, counter, getattr(self.stats, counter) + 1)


def default_folder() -> Path:
    """Where rendered prompts are kept when the configuration does not say."""
    return _user_cache() / "bridge" / "prompts"


def _user_cache() -> Path:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if os.path.isabs(named) else home / ".cache"  # a relative one is to be ignored, by XDG


# -- what is in a file -------------------------------------------------------------------------------------------------


def _digest(header: _About, audio: bytes) -> str:
    said = msgspec.json.encode([header.version, header.key, sorted(header.about.items())])
    return hashlib.sha256(said + b"\0" + audio).hexdigest()


def _with_chunk(wav: bytes, content: bytes) -> bytes:
    """`wav` with our chunk before all others."""
    content += b" " * (len(content) % 2)
    body = wav[8:_RIFF_BYTES] + _CHUNK.pack(_CHUNK_NAME, len(content)) + content + wav[_RIFF_BYTES:]
    return _CHUNK.pack(b"RIFF", len(body)) + body


def _header_in(data: bytes) -> _About | None:
    """Our chunk of a file, or of its beginning; None when it is none of ours."""
    if len(data) < _RIFF_BYTES + _CHUNK.size or data[:4] != b"RIFF":
        return None
    name, size = _CHUNK.unpack_from(data, _RIFF_BYTES)
    if name != _CHUNK_NAME:
        return None
    try:
        return msgspec.json.decode(data[_RIFF_BYTES + _CHUNK.size :][:size], type=_About)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _header_at(path: Path) -> _About | None:
    with path.open("rb") as file:
        head = file.read(_RIFF_BYTES + _CHUNK.size)
        if len(head) < _RIFF_BYTES + _CHUNK.size:
            return None
        _, size = _CHUNK.unpack_from(head, _RIFF_BYTES)
        return _header_in(head + file.read(min(size, _MOST_ABOUT_BYTES)))


def _audio_in(data: bytes) -> bytes | None:
    try:
        wav = read_wav(data)
    except ValueError:
        return None
    return wav.audio if wav.format == MULAW_8K and wav.channels == 1 else None


# -- what nobody needs -------------------------------------------------------------------------------------------------


def _is_stale_temp(file: os.DirEntry[str], now_s: float) -> bool:
    try:
        return bool(_TEMP.fullmatch(file.name)) and file.stat().st_mtime < now_s - STALE_TEMP_S
    except OSError:
        return False
