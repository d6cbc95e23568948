"""Calls through Genesys, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestGenesys(WholeCalls):
    carrier = "genesys"
