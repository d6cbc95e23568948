"""What the options of emulated services have in common: keys, ranges, and the line that tells them."""

from __future__ import annotations

import pytest

from bridge.emulators.hydra_options import HydraEmulatorOptions
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.emulators.switches import Switches, accepts, bearer
from bridge.secret import Secret

SERVICES: list[type[Switches]] = [EmulatorOptions, PulseEmulatorOptions, HydraEmulatorOptions]


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer right", "right"),
        ("bearer  right ", "right"),
        ("Basic right", ""),
        ("right", ""),
        ("Bearer", ""),
        ("", ""),
    ],
)
def test_the_key_in_a_header(header: str, key: str) -> None:
    assert bearer(header) == key


@pytest.mark.parametrize(
    ("wanted", "key", "may"),
    [
        ("right", "right", True),
        ("right", "righ", False),
        ("right", "\udcff", False),
        ("right", "", False),
        ("", "any", True),
        ("", "", False),
    ],
)
def test_who_may_come_in(wanted: str, key: str, may: bool) -> None:
    assert accepts(Secret(wanted), key) is may
    assert Switches(api_key=Secret(wanted)).accepts(key) is may


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", [200, 399, 600, -1])
def test_only_errors_refuse_a_handshake(service: type[Switches], status: int) -> None:
    with pytest.raises(ValueError, match="refuse"):
        service(refuse=status)


@pytest.mark.parametrize("service", SERVICES)
def test_the_line_tells_what_is_switched_and_no_key(service: type[Switches]) -> None:
    assert service().describe() == "no switches"
    assert service(api_key=Secret("canary"), refuse=503).describe() == "refuse 503"
