"""Calls through Plivo, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WholeCalls


class TestPlivo(WholeCalls):
    carrier = "plivo"
