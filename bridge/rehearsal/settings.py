"""The configuration that a rehearsal runs with: the bridge's own, made safe to be called from this machine alone.

Strategy:

- What is rehearsed is what is served: voice, turns, barge-in, prompts and agent are those of the configuration.
- Where it listens, and who may call, is the rehearsal's own: loopback, any free port, and a secret that nobody has.
- An emulated engine takes the place of the real one with its address and a key of its own; no real key is sent there.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bridge.carriers.twilio import TwilioConfig
from bridge.config import CarriersConfig, Config, PulseConfig, Secret, TranscriberConfig, load_config
from bridge.emulators.lightning_process import KEY
from bridge.rehearsal.script import Rehearsal, Script

#: What the bridge takes its address to be; the caller knows where it really is.
PUBLIC_URL: Final = "https://bridge.example"


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration, and the file that it came from."""

    config: Config
    source: str


def settings_of(rehearsal: Rehearsal, agent: str = "", config: Path | None = None) -> Settings:
    """What `rehearsal` is run with.

    Args:
        agent: instead of the script's, and of the configuration's.
        config: the same for the configuration's file.

    Raises:
        ConfigError: the configuration cannot be read, is wrong, or has not what the script wants of it.
    """
    script = rehearsal.script
    path = config or _config_of(rehearsal)
    loaded = load_config(path)
    if script.engines.pulse == "real" and loaded.pulse is None and not loaded.transcriber.entrypoint:
        raise rehearsal.fault("engines.pulse", '"real" needs a [pulse] section in the configuration')
    return Settings(
        replace(_private(loaded), agent=_agent(loaded, script, agent)), str(path or rehearsal.path)
    )


def _config_of(rehearsal: Rehearsal) -> Path | None:
    """The configuration that the script names."""
    named = rehearsal.script.rehearsal.config
    path = rehearsal.folder / named
    if named and not path.exists():
        raise rehearsal.fault("rehearsal.config", f"there is no {path}; the path is relative to this file")
    return path if named else None


def _private(config: Config) -> Config:
    server = replace(
        config.server, host="127.0.0.1", port=0, public_url=PUBLIC_URL, refuse_without_voice=False
    )
    twilio = TwilioConfig(account_sid=f"AC{secrets.token_hex(16)}", auth_token=Secret(secrets.token_hex(16)))
    return replace(config, server=server, carriers=CarriersConfig(twilio=twilio))


def _agent(config: Config, script: Script, entrypoint: str) -> Any:
    agent, given = config.agent, script.agent
    chosen = entrypoint or given.entrypoint or agent.entrypoint
    options = agent.options if chosen == agent.entrypoint else {}
    return replace(agent, entrypoint=chosen, options={**options, **given.options})


def with_carrier(config: Config, url: str) -> Config:
    """Transfers and the like are asked of the emulated carrier at `url`."""
    return replace(config, carriers=CarriersConfig(twilio=replace(config.carriers.twilio, api_url=url)))


def with_lightning(config: Config, url: str) -> Config:
    """Spoken by the emulated Lightning at `url`; by a program on this machine where the configuration says so."""
    lightning = config.lightning
    if lightning.door == "local":
        return config
    return replace(
        config,
        lightning=replace(lightning, base_url=url, api_key=Secret(KEY), proxy=Secret(""), fallbacks=[]),
    )


def with_pulse(config: Config, url: str) -> Config:
    """Heard by the emulated Pulse at `url`; by nobody when that is empty."""
    if not url:
        return replace(config, pulse=None, transcriber=TranscriberConfig())
    pulse = replace(config.pulse or PulseConfig(), base_url=url, api_key=Secret(KEY), proxy=Secret(""))
    return replace(config, pulse=pulse, transcriber=TranscriberConfig())


def with_model(config: Config, url: str) -> Config:
    """Thought by the emulated language model at `url`."""
    options = {**config.agent.options, "base_url": url, "api_key": KEY}
    return replace(config, agent=replace(config.agent, options=options))
