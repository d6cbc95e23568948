"""What all tests share."""

from __future__ import annotations

import gc
import signal

from hypothesis import settings

# An example's time says how busy the machine is and nothing about the code.
settings.register_profile("bridge", deadline=None)
# The second Python: what it does otherwise shows in few examples.
settings.register_profile("again", deadline=None, max_examples=10)
settings.load_profile("bridge")

# What a shell starts in the background ignores Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: no collection of garbage need walk it again and again."""
    gc.collect()
    gc.freeze()
