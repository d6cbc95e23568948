"""The socket of its own that Lightning v3.1 had before `/waves/v1/tts/live`. Same messages, another path.

Its retirement was announced for 2026-07-14; later Lightning said that it is hidden and goes on working. Self-hosted
and older deployments have nothing else. The path implies the model, so that is not sent.
"""

from __future__ import annotations

from typing import ClassVar, Final

from bridge.lightning.live import LightningLive
from bridge.lightning.wire import Wire, v31_fields

V31: Final = Wire("v3.1", "/waves/v1/lightning-v3.1/get_speech/stream", v31_fields)


class LightningV31(LightningLive):
    """A `StreamingSynthesizer` on the socket of Lightning v3.1."""

    wire: ClassVar[Wire] = V31
