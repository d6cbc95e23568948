from __future__ import annotations

import json

import pytest

from bridge.config import Secret
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_protocol import handshake_refusal, idle_timeout_s


@pytest.mark.parametrize(
    ("query", "seconds"),
    [(None, 60), ("", 60), ("20", 20), ("1", 1), ("180", 180), ("999", 180), ("9" * 400, 180), ("0", 60),
     ("-5", 60), ("1.5", 60), ("²", 60), ("x", 60)],
)  # fmt: skip
def test_the_idle_timeout_of_the_query(query: str | None, seconds: float) -> None:
    assert idle_timeout_s(query, 60) == seconds


KEYED = EmulatorOptions(api_key=Secret("right"))
HANDSHAKES = [
    ("Bearer right", KEYED, None),
    ("bearer right", KEYED, None),
    ("Bearer wrong", KEYED, 401),
    ("Bearer righ", KEYED, 401),
    ("Bearer \udcff", KEYED, 401),
    ("Basic right", KEYED, 401),
    ("Bearer any", EmulatorOptions(), None),
    ("Bearer ", EmulatorOptions(), 401),
    ("", EmulatorOptions(), 401),
    ("Bearer any", EmulatorOptions(refuse=503), 503),
    ("Bearer any", EmulatorOptions(refuse=418), 418),
]


@pytest.mark.parametrize(("authorization", "options", "status"), HANDSHAKES)
def test_handshakes(authorization: str, options: EmulatorOptions, status: int | None) -> None:
    refusal = handshake_refusal(authorization, options)
    assert (refusal and refusal.status) == status
    if refusal:
        told = json.loads(refusal.body)
        assert told["status"] == "error"
        assert told["message"]
        assert "right" not in str(told)
