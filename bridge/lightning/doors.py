"""Which door is which: from an entry of the configuration to a `Door`, and what to ask it for.

Strategy:

- A door is imported when it is opened: a bridge with one door pays for one.
- Doors of one account share its units of concurrency; all doors of a process share its counters.
"""

from __future__ import annotations

from bridge.catalogue import PCM_DOORS
from bridge.config import LightningConfig
from bridge.lightning.door import Door
from bridge.lightning.limits import Units
from bridge.lightning.messages import ENCODINGS
from bridge.lightning.stats import LightningStats
from bridge.names import DoorName
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding


def answers_pcm_alone(door: DoorName) -> bool:
    """Whether all that comes through `door` is PCM, and converted here."""
    return door in PCM_DOORS or door == "local"


def wanted_format(config: LightningConfig) -> AudioFormat:
    """What to ask of `config`'s door for a telephone line."""
    if config.output != "auto":
        return AudioFormat(ENCODINGS[config.output], config.sample_rate)
    if config.sample_rate == MULAW_8K.rate_hz and not answers_pcm_alone(config.door):
        return MULAW_8K
    return AudioFormat(Encoding.PCM16, config.sample_rate)


def open_door(config: LightningConfig, stats: LightningStats, units: Units) -> Door:
    """The door that `config` names, not started yet."""
    return _kind_of(config.door)(config, stats=stats, units=units)


def _kind_of(door: DoorName) -> type[Door]:
    if door in ("sse", "v3.1-sse", "v2-sse"):
        from bridge.lightning.sse import LightningSse

        return LightningSse
    if door == "http":
        from bridge.lightning.rest import LightningHttp

        return LightningHttp
    if door == "v3.1":
        from bridge.lightning.v31 import LightningV31

        return LightningV31
    if door == "v2":
        from bridge.lightning.v2 import LightningV2

        return LightningV2
    if door == "v4":
        from bridge.lightning.v4 import LightningV4

        return LightningV4
    if door == "local":
        from bridge.lightning.local import LocalEngine

        return LocalEngine
    from bridge.lightning.live import LightningLive

    assert door == "live", "every door has its branch"
    return LightningLive
