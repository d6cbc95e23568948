"""Calls through FreeSWITCH, all the way."""

from __future__ import annotations

from bridge.secret import Secret
from tests.support.every_carrier import WholeCalls


class TestFreeswitch(WholeCalls):
    carrier = "freeswitch"
    settings = {"api_username": "freeswitch", "api_password": Secret("works")}
