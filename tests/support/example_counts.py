"""How many examples a test is tried on, where each takes its time."""

from __future__ import annotations

from hypothesis import settings


def at_most(count: int) -> int:
    """`count`, or fewer where the profile wants fewer: see tests/conftest.py."""
    return min(count, settings().max_examples)
