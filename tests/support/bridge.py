"""A bridge, a Lightning and a caller on loopback, for tests that go all the way.

Between the bridge and the Lightning there may be a network that fails, and behind it a second Lightning to fall back
on, with a voice of its own.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bridge.call import Call
from bridge.carriers.twilio import TwilioConfig
from bridge.config import Config, Secret
from bridge.config_lightning import FallbackConfig
from bridge.config_tree import Section
from bridge.emulators.call_report import CallReport
from bridge.emulators.caller import place_call
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_script import Action
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.speech_engine import SpeechEngine, ToneEngine
from bridge.server.limits import Limits
from bridge.server.serve import Server, running
from tests.support.fault_proxy import FaultProxy

AUTH_TOKEN = Secret("an-auth-token-for-tests")
API_KEY = Secret("sk-a-key-for-tests")
#: The key of the account that the fallback is on.
FALLBACK_KEY = Secret("sk-another-key-for-tests")


def free_port() -> int:
    """A port that nobody has, and that nobody is given who asks for any: it is below those."""
    while True:
        port = 20_000 + secrets.randbelow(
            10_000
        )  # whatever seed a test has set: two runs beside each other differ
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def make_config(lightning_url: str, agent: str, /, **sections: dict[str, Any]) -> Config:
    """A complete configuration on loopback; `sections` change single keys. Those of ``carriers`` are whole sections."""
    port = free_port()
    config = Config()
    changes: dict[str, dict[str, Any]] = {
        "server": {"host": "127.0.0.1", "port": port, "public_url": f"http://127.0.0.1:{port}"},
        "lightning": {"base_url": lightning_url, "api_key": API_KEY, "concurrency": 10},
        "agent": {"entrypoint": agent},
        "carriers": {"twilio": TwilioConfig(auth_token=AUTH_TOKEN)},
    }
    for name, section in sections.items():
        changes.setdefault(name, {}).update(section)
    replaced = {
        name: msgspec.structs.replace(getattr(config, name), **keys) for name, keys in changes.items()
    }
    return msgspec.structs.replace(config, **replaced)


@dataclass
class Stage:
    """All three of them."""

    server: Server
    lightning: EmulatedLightning
    config: Config
    #: Between the bridge and `lightning`, when it was asked for.
    network: FaultProxy | None = None
    #: Who speaks when `lightning` cannot, when it was asked for.
    fallback: EmulatedLightning | None = None
    #: Who calls.
    carrier: str = "twilio"
    ended: list[Call] = field(default_factory=list)

    def plan(self, *actions: Action, **changes: Any) -> CallPlan:
        changes.setdefault("hang_up_after_s", 15.0)
        changes.setdefault("section", getattr(self.config.carriers, self.carrier))
        answer_url = f"{self.config.server.public_url}/carriers/{self.carrier}/answer"
        return CallPlan(answer_url=answer_url, carrier=self.carrier, actions=actions, **changes)

    async def call(self, *actions: Action, **changes: Any) -> CallReport:
        """Place a call, to its end."""
        return await place_call(self.plan(*actions, **changes))

    @property
    def the_call(self) -> Call:
        """The one call that has ended."""
        (call,) = self.ended
        return call

    @property
    def units_in_use(self) -> int:
        """Units of concurrency that the bridge thinks it uses."""
        return sum(units.in_use for units in self.server.runtime.voice.accounts)

    @property
    def nothing_started(self) -> bool:
        """No call was made and Lightning was asked for nothing."""
        return not self.server.runtime.stats.calls_started and not self.lightning.stats.requests


@asynccontextmanager
async def stage(
    agent: str = "bridge.agents.greeter:greeter",
    *,
    lightning: EmulatorOptions | None = None,
    engine: SpeechEngine | None = None,
    sections: dict[str, dict[str, Any]] | None = None,
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
    network: bool = False,
    fallback: EmulatorOptions | None = None,
    fallback_voice: str = "liam",
    carrier: str = "twilio",
    section: Section | None = None,
) -> AsyncIterator[Stage]:
    """Set it up; take it down.

    Args:
        network: put a `FaultProxy` in front of the Lightning.
        fallback: how a second Lightning behaves, on an account of its own, which speaks with `fallback_voice`.
        carrier, section: who calls, and that carrier's configuration; by default Twilio.
    """
    changes = {name: dict(keys) for name, keys in (sections or {}).items()}
    if section is not None:
        changes["carriers"] = {carrier: section}
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(
            EmulatedLightning(lightning or EmulatorOptions(), engine or ToneEngine())
        )
        proxy = await stack.enter_async_context(FaultProxy(emulator.url)) if network else None
        second = None
        if fallback is not None:
            second = await stack.enter_async_context(EmulatedLightning(fallback, engine or ToneEngine()))
            entry = FallbackConfig(base_url=second.url, api_key=FALLBACK_KEY, voice_id=fallback_voice)
            changes.setdefault("lightning", {})["fallbacks"] = [entry]
        config = make_config(proxy.url if proxy else emulator.url, agent, **changes)
        server = await stack.enter_async_context(running(config, source="test", limits=limits, clock=clock))
        made = Stage(server, emulator, config, proxy, second, carrier)
        server.runtime.on_ended.append(made.ended.append)
        yield made
