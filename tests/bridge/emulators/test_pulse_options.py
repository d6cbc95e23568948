"""The switches of the emulated Pulse."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.secret import Secret


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"partial_ms": -1}, "partial_ms must not be negative"),
        ({"final_ms": -1}, "final_ms"),
        ({"concurrency": -1}, "concurrency"),
        ({"flood": -1}, "flood"),
        ({"faulty_sockets": -1}, "faulty_sockets"),
        ({"handshake_ms": -1}, "handshake_ms"),
        ({"partial_every_ms": 0}, "partial_every_ms must be positive"),
        ({"idle_timeout_s": 0}, "idle_timeout_s"),
        ({"refuse": 200}, "refuse must be an HTTP error status"),
    ],
)
def test_what_cannot_be(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PulseEmulatorOptions(**changed)


def test_they_tell_what_is_changed_and_not_the_key() -> None:
    assert PulseEmulatorOptions().describe() == "no switches"
    options = PulseEmulatorOptions(api_key=Secret("tops3cret"), final_ms=60, hang=True, flood=3)
    assert options.describe() == "final_ms 60, hang, flood 3"


def test_which_sockets_have_faults() -> None:
    assert PulseEmulatorOptions().is_faulty(99)
    two = PulseEmulatorOptions(faulty_sockets=2)
    assert [two.is_faulty(number) for number in (1, 2, 3)] == [True, True, False]
