"""Name to carrier. One that is not listed here does not exist; one that is passes admission like the rest."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.carriers.carrier import Carrier
from bridge.carriers.twilio import Twilio
from bridge.config import CarriersConfig


def carriers_from(config: CarriersConfig) -> dict[str, Carrier]:
    """The carriers that have a table in the configuration, by name."""
    return {carrier.name: carrier for carrier in _configured(config)}


def _configured(config: CarriersConfig) -> Iterator[Carrier]:
    if config.twilio is not None:
        yield Twilio(config.twilio)
