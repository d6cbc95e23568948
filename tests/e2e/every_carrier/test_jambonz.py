"""Calls through jambonz, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestJambonz(WholeCalls):
    carrier = "jambonz"
