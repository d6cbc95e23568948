"""Calls through Twilio, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WithToken


class TestTwilio(WithToken):
    carrier = "twilio"
