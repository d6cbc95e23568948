"""What the tests with the vendor's own packages share. Without the packages there is nothing to collect here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec

import pytest

from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.secret import Secret
from tests.support.lightning_thread import lightning_in_thread

if find_spec("smallestai") is None or find_spec("livekit") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import httpx
    from smallestai import AsyncSmallestAI, SmallestAI, SmallestAIEnvironment

    @pytest.fixture
    def environment(emulator: EmulatedLightning) -> SmallestAIEnvironment:
        """The vendor's own way to say where the service is."""
        http, ws = emulator.url, emulator.url.replace("http", "ws", 1)
        return SmallestAIEnvironment(atoms=http, waves=http, waves_ws=ws, payment=http)

    @pytest.fixture
    def client(environment: SmallestAIEnvironment) -> Iterator[SmallestAI]:
        """The vendor's client, on an HTTP client that can be closed, because its own cannot."""
        with httpx.Client() as http:
            yield SmallestAI(environment=environment, api_key="right", httpx_client=http, max_retries=0)

    @pytest.fixture
    async def async_client(environment: SmallestAIEnvironment) -> AsyncIterator[AsyncSmallestAI]:
        """The vendor's other client, likewise."""
        async with httpx.AsyncClient() as http:
            yield AsyncSmallestAI(environment=environment, api_key="right", httpx_client=http, max_retries=0)


@pytest.fixture
def emulator() -> Iterator[EmulatedLightning]:
    """An emulated Lightning in a thread of its own, because half of the vendor's clients block."""
    with lightning_in_thread(EmulatorOptions(api_key=Secret("right"))) as emulator:
        yield emulator
