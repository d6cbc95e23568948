"""Calls through Asterisk, all the way."""

from __future__ import annotations

import msgspec

from bridge.config_tree import Section
from bridge.emulators.carriers.asterisk import AsteriskIncomingExchange
from tests.support.bridge import free_port
from tests.support.every_carrier import WholeCalls


class TestAsterisk(WholeCalls):
    carrier = "asterisk"


class TestAsteriskThatWaits(WholeCalls):
    """The other direction: the dialplan asks, and the bridge connects to the channel that waits for it."""

    carrier = "asterisk"
    exchange = AsteriskIncomingExchange

    def section(self) -> Section:
        return msgspec.structs.replace(super().section(), media_url=f"ws://127.0.0.1:{free_port()}")
