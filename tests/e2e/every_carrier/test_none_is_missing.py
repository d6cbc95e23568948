"""Every carrier that the bridge knows is called here."""

from __future__ import annotations

from pathlib import Path

from bridge.carriers.registry import carrier_types
from bridge.emulators.exchange import exchange_type


def test_every_carrier_can_be_simulated_and_is_called() -> None:
    called = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert set(carrier_types()) - called == set()
    assert all(exchange_type(name).name == name for name in carrier_types())
