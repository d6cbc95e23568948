"""Calls through Exotel, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestExotel(WholeCalls):
    carrier = "exotel"
