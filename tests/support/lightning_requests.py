"""A request to Lightning that nothing is wrong with, and changes to it."""

from __future__ import annotations

from typing import Any

from bridge.lightning.messages import SynthesisRequest


def request(**changes: Any) -> SynthesisRequest:
    """The request ``r1``, with `changes`."""
    fields: dict[str, Any] = {
        "text": "Hello.",
        "voice_id": "magnus",
        "model": "lightning_v3.1",
        "language": "en",
        "sample_rate": 8000,
        "output_format": "ulaw",
        "request_id": "r1",
    }
    return SynthesisRequest(**(fields | changes))
