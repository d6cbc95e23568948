"""Lightning for a program of one's own, without a call: what a phone call's voice does, in a few lines.

async with Lightning(voice_id="sophia") as lightning:
    async for audio in lightning.say("Good morning."):
        ...  # 8 kHz mu-law, as it comes

Strategy:

- Nothing is done here. It is the voice of one call, with its doors, fallbacks and streaming text, and clips beside it.
- What is not given comes from the environment, as it does for the commands.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Final, Self, TypedDict, Unpack

from bridge.config import FallbackConfig, LightningConfig, Secret, load_config, mismatches
from bridge.errors import ConfigError
from bridge.lightning.clip import Clip, ClipFormat, synthesise_clip
from bridge.lightning.entries import VoiceOptions
from bridge.lightning.speech import Speech, SpeechAudio
from bridge.lightning.stats import LightningStats
from bridge.lightning.voice import CallVoice, normaliser, open_voice
from bridge.names import ClipName, DoorName, SampleRate, TextStreaming
from telephony_codecs.formats import MULAW_8K, AudioFormat


class Settings(TypedDict, total=False):
    """What a program may want otherwise; for everything else, give a `LightningConfig`."""

    api_key: str
    base_url: str
    door: DoorName
    model: str
    voice_id: str
    language: str
    speed: float
    text_streaming: TextStreaming
    concurrency: int
    fallbacks: list[FallbackConfig]


class Lightning:
    """A voice, used as ``async with``.

    Args:
        config: what it is like; by default what the environment says (SMALLEST_API_KEY, BRIDGE_LIGHTNING__...).
        normalise: prepare text for the telephone: no markdown, no emoji, numbers as they are spoken.
        settings: what is otherwise than in `config`.

    Raises:
        ConfigError: the key is missing, or settings do not fit together; names them.
    """

    def __init__(
        self, config: LightningConfig | None = None, *, normalise: bool = False, **settings: Unpack[Settings]
    ) -> None:
        changes = dict(settings)
        if "api_key" in settings:
            changes["api_key"] = Secret(settings["api_key"])
        self.config = (config or load_config().lightning).with_changes(changes)
        require_usable(self.config)
        #: Everything that went other than well.
        self.stats = LightningStats()
        self._normalise = normaliser(normalise)
        self._call: CallVoice | None = None

    async def __aenter__(self) -> Self:
        voice = open_voice(self.config, self.stats, normalise=self._normalise)
        self._call = voice.for_call()
        await voice.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._call is not None:
            await self._call.voice.close()
        self._call = None

    def say(self, text: str | AsyncIterable[str], **options: Unpack[VoiceOptions]) -> Utterance:
        """Speak `text`, whole or as a language model writes it. Returns at once; iterate over what it returns.

        Raises:
            RuntimeError: outside of ``async with``.
        """
        if self._call is None:
            raise RuntimeError("use it as: async with Lightning(...) as lightning")
        return Utterance(self._call.speak(text, **options))

    async def clip(
        self,
        text: str,
        format: ClipName = "pcm",
        rate_hz: SampleRate = 24000,
    ) -> Clip:
        """Speak `text` and wait for all of it: audio to keep, at any rate. `Clip.write` makes a file of it.

        Fallbacks do not speak here.

        Raises:
            LightningError: it could not be had.
        """
        said = self._normalise(text, self.config.language) if self._normalise else text
        return await synthesise_clip(said, ClipFormat(format, rate_hz), self.config)


class Utterance:
    """What is said, as audio: iterate over it, once. `cancel` stops it, and so does leaving ``async with``.

    Raises `LightningError` after the last audio when the voice failed, and whatever the iterator of text raised.
    """

    audio_format: Final[AudioFormat] = MULAW_8K

    def __init__(self, speech: Speech) -> None:
        #: The same with its words and when they are spoken.
        self.speech = speech

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            part = await anext(self.speech)
            if isinstance(part, SpeechAudio):
                return part.payload

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.cancel()

    @property
    def first_audio_ms(self) -> float | None:
        """How long Lightning took from its first request to its first audio."""
        return self.speech.first_audio_ms

    def cancel(self) -> None:
        """Stop, now: nothing more comes, and Lightning is told."""
        self.speech.cancel()


def require_usable(config: LightningConfig) -> None:
    """Refuse what no synthesis can come of.

    Raises:
        ConfigError: names the setting.
    """
    if not all(entry.has_key for entry in config.entries):
        raise ConfigError("is missing: set SMALLEST_API_KEY", key="lightning.api_key")
    for key, reason in mismatches(config):
        raise ConfigError(reason, key=key)
