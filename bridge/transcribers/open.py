"""The transcriber that the configuration names, with every mistake told at start instead of in the first call."""

from __future__ import annotations

import inspect
from typing import Final

from msgspec.structs import replace

from bridge.config import Config, PulseConfig
from bridge.entrypoint import found
from bridge.errors import ConfigError
from bridge.observe.stats import TranscriberStats
from bridge.transcribers.guarded import Guarded
from bridge.transcribers.transcriber import Transcriber

_KEY: Final = "transcriber.entrypoint"
_PARTS: Final = ("start", "close", "open")


def open_transcriber(config: Config, stats: TranscriberStats, source: str = "") -> Transcriber | None:
    """What listens to callers: that of ``[transcriber]``, else Pulse where there is ``[pulse]``, else None.

    Raises:
        ConfigError: ``[transcriber]`` names nothing, or something that is no transcriber or does not take its options.
    """
    if config.transcriber.entrypoint:
        return _made(config, stats, source)
    if (pulse := keyed_pulse(config)) is None:
        return None
    from bridge.transcribers.pulse import Pulse

    return Pulse(pulse, stats)


def keyed_pulse(config: Config) -> PulseConfig | None:
    """``[pulse]`` with the key that it asks with: its own, else Lightning's."""
    if config.pulse is None:
        return None
    return replace(config.pulse, api_key=config.pulse.api_key or config.lightning.api_key)


def listener(config: Config) -> str:
    """Who listens, for the log; empty when nobody does."""
    if config.transcriber.entrypoint:
        return config.transcriber.entrypoint
    return f"{config.pulse.model} ({config.pulse.language})" if config.pulse is not None else ""


def _made(config: Config, stats: TranscriberStats, source: str) -> Transcriber:
    name = config.transcriber.entrypoint
    make = found(name, key=_KEY, source=source)
    if not callable(make) or inspect.iscoroutinefunction(make):
        raise ConfigError(f"{name} must be a function of options and stats", key=_KEY, source=source)
    try:
        made: Transcriber = make(config.transcriber.options, stats)
    except ConfigError as error:
        key = f"transcriber.options.{error.key}" if error.key else "transcriber.options"
        raise ConfigError(error.reason, key=key, source=source) from None
    except Exception as error:  # whatever an operator's own code does with its options
        reason = f"{name} failed: {type(error).__name__}: {error}"
        raise ConfigError(reason, key=_KEY, source=source) from error
    if lacking := [part for part in _PARTS if not callable(getattr(made, part, None))]:
        reason = f"{name} made a {type(made).__name__}, which has no {', '.join(lacking)}"
        raise ConfigError(reason, key=_KEY, source=source)
    return Guarded(made)
