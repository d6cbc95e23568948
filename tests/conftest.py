"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# An example's time says how busy the machine is and nothing about the code.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")
