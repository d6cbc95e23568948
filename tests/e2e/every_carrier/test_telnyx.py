"""Calls through Telnyx, all the way."""

from __future__ import annotations

from bridge.secret import Secret
from tests.support.every_carrier import WithToken


class TestTelnyx(WithToken):
    carrier = "telnyx"
    settings = {"api_key": Secret("KEY0")}
