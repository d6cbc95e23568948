"""A bridge behind a proxy: the address that counts is whom the proxy was asked by, and never what a stranger says."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
import pytest

from bridge.carriers.exotel import ExotelConfig
from tests.support.by_hand import by_hand
from tests.support.carrier_cases import all_cases
from tests.support.waiting import until

CALLER, STRANGER = "203.0.113.5", "198.51.100.9"
CASES = replace(all_cases()["exotel"], section=ExotelConfig(allowed_addresses=[CALLER]))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "let_in"),
    [
        (["127.0.0.1"], CALLER, True),
        (["127.0.0.0/8", STRANGER], f"{CALLER}, {STRANGER}", True),
        (["127.0.0.1"], f"{CALLER}, {STRANGER}", False),
        (["127.0.0.1"], "", False),
        (["127.0.0.2"], CALLER, False),
        ([], CALLER, False),
    ],
)
async def test_an_allowed_address_is_that_of_who_asked_our_proxy(
    proxies: list[str], forwarded: str, let_in: bool
) -> None:
    headers = {"X-Forwarded-For": forwarded}
    async with by_hand(CASES, server={"trusted_proxies": proxies}) as hand:
        said = await hand.get("/carriers/exotel/status", headers)
        if not let_in:
            assert said.status == 403
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                async with hand.socket(headers=headers):
                    pass
            assert hand.s.nothing_started
            return
        assert said.status in (200, 204)
        async with hand.socket(headers=headers) as socket:
            await hand.say(socket, *CASES.before, CASES.start)
            await until(lambda: bool(hand.s.server.runtime.calls))
