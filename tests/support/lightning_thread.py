"""An emulated Lightning in a thread of its own, for tests of commands that run an event loop themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from tests.support.in_thread import in_thread


@contextmanager
def lightning_in_thread(options: EmulatorOptions | None = None) -> Iterator[EmulatedLightning]:
    """Listens while the block runs. Its options may be changed meanwhile."""
    with in_thread(EmulatedLightning(options)) as emulator:
        yield emulator
