"""Calls through Vonage, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WithToken


class TestVonage(WithToken):
    carrier = "vonage"
