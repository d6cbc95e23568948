"""What an operator is warned of when a server starts: carriers that are not served, and secrets that are none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from bridge.carriers.carrier import Carrier
from bridge.carriers.registry import configured
from bridge.config import Config
from bridge.networks import is_loopback

log = logging.getLogger(__name__)


def tell_who_is_left_out(config: Config) -> None:
    """Say which carriers have a section, and are not served all the same."""
    for name, carrier in configured(config.carriers).items():
        if missing := carrier.missing():
            key, why = missing[0]
            log.warning(
                "%s is not served: carriers.%s.%s %s", carrier.title, name, key, carrier.lack(key, why)
            )


def tell_what_is_unsafe(config: Config, carriers: Mapping[str, Carrier]) -> None:
    """Say which secrets are none, on a server that others can reach."""
    if is_loopback(urlsplit(config.server.public_url).hostname or ""):
        return
    for name, carrier in carriers.items():
        for key, why in carrier.unsafe():
            log.warning("carriers.%s.%s is no secret: %s", name, key, why)
