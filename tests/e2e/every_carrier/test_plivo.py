"""Calls through Plivo, all the way."""

from __future__ import annotations

from tests.support.every_carrier import WithToken


class TestPlivo(WithToken):
    carrier = "plivo"
    settings = {"auth_id": "MAXXXXXXXXXXXXXXXXXX"}
