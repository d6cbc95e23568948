"""Calls through Telnyx, all the way: TeXML, Call Control, and a socket that is lost and opened again."""

from __future__ import annotations

from bridge.emulators.carriers.telnyx import TelnyxControlExchange
from bridge.secret import Secret
from tests.support.every_carrier import WithToken
from tests.support.reopened import Reopened


class TestTelnyx(Reopened):
    carrier = "telnyx"
    settings = {"api_key": Secret("KEY0")}


class TestTelnyxCallControl(WithToken):
    carrier = "telnyx"
    exchange = TelnyxControlExchange
    settings = {"api_key": Secret("KEY0")}
