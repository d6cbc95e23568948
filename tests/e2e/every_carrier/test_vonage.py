"""Calls through Vonage, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestVonage(WholeCalls):
    carrier = "vonage"
