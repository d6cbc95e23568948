"""At start: does the account have the voices that the configuration names?

The catalogue knows the voices that the documentation names. The service knows all of them, and is asked once, in the
background: a misspelt voice is then told at start with the nearest names, instead of on the first call.
"""

from __future__ import annotations

from typing import TypeAlias

from bridge.catalogue import BASE, PRO, Catalogue, pool_of
from bridge.config import LightningConfig, key_of_entry
from bridge.errors import LightningError
from bridge.lightning.account import Account
from bridge.lightning.account_data import model_slug

#: What has been asked, by all that an answer depends on; None where there was none.
_Listings: TypeAlias = dict[tuple[object, ...], list[str] | None]


async def doubtful_voices(config: LightningConfig) -> list[str]:
    """What the services say against the voices of `config`: key and reason. What cannot be asked is not doubted."""
    found = []
    listings: _Listings = {}
    for number, entry in enumerate(config.entries):
        if entry.door == "local" or pool_of(entry.model) is None:
            continue
        if reason := await _problem(entry, listings):
            found.append(f"{key_of_entry(number)}.voice_id: {reason}")
    return found


async def _problem(entry: LightningConfig, listings: _Listings) -> str:
    catalogue = Catalogue()
    async with Account(entry) as account:
        for model in (entry.model, BASE, PRO):
            asked = (entry.base_url, entry.api_key, entry.proxy, entry.connect_timeout_s, model_slug(model))
            if asked not in listings:
                listings[asked] = await _listing(account, model)
            if (listing := listings[asked]) is None:
                return ""  # whoever speaks will say why
            catalogue.learn(model, listing)
    return catalogue.problem_with_voice(entry.voice_id, entry.model)


async def _listing(account: Account, model: str) -> list[str] | None:
    try:
        return [voice.id for voice in await account.voices(model)]
    except LightningError:
        return None
