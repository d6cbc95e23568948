"""In which order prompts are asked for: at the end, no unit of the account waits long for another."""

from __future__ import annotations

from bridge.config import LightningConfig, Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.observe.stats import PromptStats
from bridge.prompts.renderer import Renderer
from bridge.prompts.template import Piece


async def test_the_longest_come_first() -> None:
    texts = ["Hello.", "Please stay on the line, somebody will be with you.", "One moment, please."]
    async with EmulatedLightning() as emulator:
        config = LightningConfig(base_url=emulator.url, api_key=Secret("any"), concurrency=1)
        async with Renderer(config, None, PromptStats()) as renderer:
            report = await renderer.render([Piece(text, {}) for text in texts])
    assert report.rendered == 3
    assert list(emulator.stats.texts) == sorted(texts, key=len, reverse=True)
