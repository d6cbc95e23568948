"""Calls through SignalWire, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WithToken


class TestSignalWire(WithToken):
    carrier = "signalwire"
