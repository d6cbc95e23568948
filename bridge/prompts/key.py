"""What a piece of sound is kept under: everything that changes it. Pure.

Strategy:

- A key is a SHA-256 of who speaks (address or program, model, voice), what is said and how, and of what is done to the
  audio here (`FORMAT_VERSION`). Change any of it and the sound is another one; nothing is ever overwritten by mistake.
- What does not change the sound is left out: doors of one model, deadlines, the account. A prompt that was rendered
  through the HTTP door serves calls of the live one.
- The text counts as it is spoken: after `speech.normalise`, where that is on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Final, TypeAlias

import msgspec

from bridge.catalogue import V2
from bridge.config import LightningConfig
from bridge.lightning.entries import VoiceOptions

#: Of all that is done to audio between Lightning and the cache. Raise it when that changes, as when silence is cut in
#: another way: what was kept before is then made again.
FORMAT_VERSION: Final = 1
#: Keys of what callers' own data filled in are remembered up to so many.
_REMEMBERED: Final = 10_000

#: Text and language in, text as it is spoken out: what `speech.normalise` does.
Normaliser: TypeAlias = Callable[[str, str], str]


def key_of(config: LightningConfig, text: str, options: VoiceOptions) -> str:
    """The key of `text`, as it is spoken, by `config`'s first entry with `options`."""
    model = options.get("model", config.model)
    sound: dict[str, object] = {
        "version": FORMAT_VERSION,
        "engine": config.command or "espeak" if config.door == "local" else config.base_url.rstrip("/"),
        "model": model,
        "voice": options.get("voice_id", config.voice_id),
        "language": options.get("language", config.language),
        "speed": float(options.get("speed", config.speed)),
        "dictionaries": list(options.get("pronunciation_dicts", ())),
        "sample_rate": config.sample_rate,
        "output": config.output,
        "text": text,
    }
    if model == V2:
        sound["v2"] = [config.consistency, config.similarity, config.enhancement]
    return hashlib.sha256(msgspec.json.encode(sound)).hexdigest()


def key_of_file(content: bytes) -> str:
    """The key of a recording, by all of its file."""
    return hashlib.sha256(b"file %d\0" % FORMAT_VERSION + content).hexdigest()


class Keys:
    """Keys of what one configuration speaks, each worked out once.

    Args:
        normalise: what is done to text before it is spoken.
    """

    def __init__(self, config: LightningConfig, normalise: Normaliser | None = None) -> None:
        self.config = config
        self.normalise = normalise
        self._known: dict[Hashable, str] = {}

    def spoken(self, text: str, options: VoiceOptions) -> str:
        """`text` as it is spoken; empty when nothing of it is."""
        language = options.get("language", self.config.language)
        return (self.normalise(text, language) if self.normalise else text).strip()

    def of(self, text: str, options: VoiceOptions) -> str:
        """The key of `text` before it is normalised."""
        known_as = (text, *(str(item) for item in options.items()))
        key = self._known.get(known_as)
        if key is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            key = self._known[known_as] = key_of(self.config, self.spoken(text, options), options)
        return key
