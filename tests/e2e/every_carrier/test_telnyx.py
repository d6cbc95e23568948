"""Calls through Telnyx, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestTelnyx(WholeCalls):
    carrier = "telnyx"
