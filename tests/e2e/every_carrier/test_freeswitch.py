"""Calls through FreeSWITCH, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestFreeSwitch(WholeCalls):
    carrier = "freeswitch"
