"""Calls through jambonz, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WithToken


class TestJambonz(WithToken):
    carrier = "jambonz"
