"""Which door is which: from an entry of the configuration to a `Synthesizer`, and what to ask it for.

Strategy:

- A door is imported when it is opened: a bridge with one door pays for one.
- Doors of one account share its units of concurrency; all doors of a process share its counters.
"""

from __future__ import annotations

from bridge.catalogue import PCM_DOORS
from bridge.config import LightningConfig
from bridge.config_lightning import DoorName
from bridge.lightning.limits import Units
from bridge.lightning.messages import ENCODINGS
from bridge.lightning.speech import Synthesizer
from bridge.lightning.stats import LightningStats
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


def open_door(config: LightningConfig, stats: LightningStats, units: Units) -> Synthesizer:
    """The door that `config` names, not started yet."""
    if config.door in ("sse", "v3.1-sse", "v2-sse"):
        from bridge.lightning.sse import LightningSse

        return LightningSse(config, stats=stats, units=units)
    if config.door == "http":
        from bridge.lightning.rest import LightningHttp

        return LightningHttp(config, stats=stats, units=units)
    if config.door == "v3.1":
        from bridge.lightning.v31 import LightningV31

        return LightningV31(config, stats=stats, units=units)
    if config.door == "v2":
        from bridge.lightning.v2 import LightningV2

        return LightningV2(config, stats=stats, units=units)
    if config.door == "v4":
        from bridge.lightning.v4 import LightningV4

        return LightningV4(config, stats=stats, units=units)
    if config.door == "local":
        from bridge.lightning.local import LocalEngine

        return LocalEngine(config, stats=stats, units=units)
    from bridge.lightning.live import LightningLive

    assert config.door == "live", "every door has its branch"
    return LightningLive(config, stats=stats, units=units)
