"""Calls through Asterisk, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestAsterisk(WholeCalls):
    carrier = "asterisk"
