"""``[lightning]`` and ``[[lightning.fallbacks]]``: where speech comes from, in what voice, and what comes after it.

A fallback may change any key of ``[lightning]`` and inherits the rest, so one that only changes the region is one
line. `LightningConfig.entries` gives them ready to use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bridge.names import DoorName, Output, SampleRate, TextStreaming
from bridge.secret import Secret

#: See `LightningConfig.patience_s`.
PATIENCE_S: Final = 4.5

Timeout: TypeAlias = Annotated[float, Meta(gt=0, le=600)]
Wait: TypeAlias = Annotated[float, Meta(ge=0, le=600)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Speed: TypeAlias = Annotated[float, Meta(ge=0.5, le=2.0)]
Concurrency: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
Spares: TypeAlias = Annotated[int, Meta(ge=0, le=500)]
Failures: TypeAlias = Annotated[int, Meta(ge=1, le=100)]
Enhancement: TypeAlias = Annotated[int, Meta(ge=0, le=2)]
ContentFilter: TypeAlias = Literal["", "reject", "flag"]


class FallbackConfig(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[[lightning.fallbacks]]``: what differs from ``[lightning]`` when that has failed."""

    base_url: Name | UnsetType = UNSET
    api_key: Secret | UnsetType = UNSET
    door: DoorName | UnsetType = UNSET
    model: Name | UnsetType = UNSET
    voice_id: Name | UnsetType = UNSET
    language: Name | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET
    text_streaming: TextStreaming | UnsetType = UNSET
    output: Output | UnsetType = UNSET
    sample_rate: SampleRate | UnsetType = UNSET
    spare_connections: Spares | UnsetType = UNSET
    concurrency: Concurrency | UnsetType = UNSET
    proxy: Secret | UnsetType = UNSET
    connect_timeout_s: Timeout | UnsetType = UNSET
    queue_timeout_s: Wait | UnsetType = UNSET
    first_audio_timeout_s: Timeout | UnsetType = UNSET
    stall_timeout_s: Timeout | UnsetType = UNSET
    hedge_after_s: Wait | UnsetType = UNSET
    breaker_failures: Failures | UnsetType = UNSET
    consistency: Share | UnsetType = UNSET
    similarity: Share | UnsetType = UNSET
    enhancement: Enhancement | UnsetType = UNSET
    content_filter: ContentFilter | UnsetType = UNSET
    command: list[str] | UnsetType = UNSET


class LightningConfig(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[lightning]``: Smallest AI's text-to-speech."""

    base_url: Name = "https://api.smallest.ai"
    api_key: Secret = msgspec.field(default_factory=Secret)
    door: DoorName = "live"
    model: Name = "lightning_v3.1"
    voice_id: Name = "magnus"
    language: Name = "en"
    speed: Speed = 1.0
    text_streaming: TextStreaming = "sentences"
    output: Output = "auto"
    #: In hertz. Anything but 8000 is resampled here.
    sample_rate: SampleRate = 8000
    #: Sockets held open and idle, so that neither a first word nor a barge-in waits for a handshake.
    spare_connections: Spares = 2
    #: Syntheses that the account may run at once; more wait here instead of being refused there. Shared by all
    #: entries with the same key.
    concurrency: Concurrency = 1
    #: URL of an HTTP proxy, secret because it may hold a password. Empty: none, whatever the environment says.
    proxy: Secret = msgspec.field(default_factory=Secret)
    connect_timeout_s: Timeout = 2.0
    #: How long a synthesis may wait for a unit of concurrency.
    queue_timeout_s: Wait = 10.0
    #: How long a synthesis may wait for its first audio, and later for its next.
    first_audio_timeout_s: Timeout = 2.0
    stall_timeout_s: Timeout = 1.5
    #: Without audio for so long, the same is asked once more on another connection if a unit is free; the first
    #: answer wins. 0 is never.
    hedge_after_s: Wait = 0.6
    #: How long a caller hears nothing before an utterance is given up: over all deadlines, entries and retries. Each
    #: entry that may still be asked has its share of it.
    patience_s: Timeout = PATIENCE_S
    #: So many failures within 10 s, and this entry is left alone until a probe succeeds.
    breaker_failures: Failures = 3
    #: Lightning v2 only.
    consistency: Share = 0.5
    similarity: Share = 0.0
    enhancement: Enhancement = 1
    #: Lightning v4 only; empty is off.
    content_filter: ContentFilter = ""
    #: `local` only: program and arguments, in which {language}, {voice_id} and {speed} are replaced. It reads the text
    #: on standard input and writes a WAV on standard output. Empty: eSpeak NG, which the extra `demo` installs.
    command: list[str] = msgspec.field(default_factory=list)
    #: What speaks when this cannot, in order.
    fallbacks: list[FallbackConfig] = msgspec.field(default_factory=list)

    def with_changes(self, changes: Mapping[str, Any]) -> LightningConfig:
        """A copy with `changes`; those that are None are left out."""
        return msgspec.structs.replace(self, **{k: v for k, v in changes.items() if v is not None})

    @property
    def account(self) -> Secret | None:
        """The key of the account that pays for it; None for a program on this machine, which is on nobody's."""
        return None if self.door == "local" else self.api_key

    @property
    def has_key(self) -> bool:
        """Whether it has the key that it needs, if any."""
        return self.account is None or bool(self.account)

    @property
    def entries(self) -> list[LightningConfig]:
        """This and its fallbacks, each complete and without fallbacks of its own."""
        first = msgspec.structs.replace(self, fallbacks=[])
        return [first, *(msgspec.structs.replace(first, **_set(fallback)) for fallback in self.fallbacks)]


def _set(fallback: FallbackConfig) -> dict[str, Any]:
    names: Final = fallback.__struct_fields__
    return {name: value for name in names if (value := getattr(fallback, name)) is not UNSET}
