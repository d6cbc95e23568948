"""At start: does the account have the voices that the configuration names?

The catalogue knows the voices that the documentation names. The service knows all of them, and is asked once, in the
background: a misspelt voice is then told at start with the nearest names, instead of on the first call.
"""

from __future__ import annotations

from bridge.catalogue import Catalogue, pool_of
from bridge.config import LightningConfig
from bridge.errors import LightningError


async def doubtful_voices(config: LightningConfig) -> list[str]:
    """What the services say against the voices of `config`: key and reason. What cannot be asked is not doubted."""
    found = []
    for number, entry in enumerate(config.entries):
        if entry.door == "local" or pool_of(entry.model) is None:
            continue
        if reason := await _problem(entry):
            key = f"lightning.fallbacks[{number - 1}].voice_id" if number else "lightning.voice_id"
            found.append(f"{key}: {reason}")
    return found


async def _problem(entry: LightningConfig) -> str:
    from bridge.lightning.account import Account

    catalogue = Catalogue()
    try:
        async with Account(entry) as account:
            for model in dict.fromkeys((entry.model, "lightning_v3.1", "lightning_v3.1_pro")):
                catalogue.learn(model, [voice.id for voice in await account.voices(model)])
    except LightningError:
        return ""  # whoever speaks will say so
    return catalogue.problem_with_voice(entry.voice_id, entry.model)
