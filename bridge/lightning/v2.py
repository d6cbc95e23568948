"""The socket of Lightning v2, for deployments that still run it. Lightning itself has retired the model (410).

Strategy:

- Its request has fields of its own and knows no `output_format`, so it answers 16-bit PCM, which is converted
  elsewhere; no `word_timestamps`; and no ids, so that nothing says which request an answer belongs to but that
  there is never more than one on a socket.
- No message is documented that cancels or keeps open. A socket that is no longer wanted is closed, and an idle one
  is replaced by a new one before it times out.

Fields and ranges: the reference of the v2 socket, from before it was taken down.
"""

from __future__ import annotations

from typing import ClassVar, Final

from bridge.config import LightningConfig
from bridge.lightning.live import SocketDoor
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.wire import Fields, Wire


def v2_fields(request: SynthesisRequest, config: LightningConfig) -> Fields:
    """A request as the paths of Lightning v2 take it."""
    return {
        "text": request.text,
        "voice_id": request.voice_id,
        "language": request.language,
        "sample_rate": request.sample_rate,
        "speed": request.speed,
        "consistency": config.consistency,
        "similarity": config.similarity,
        "enhancement": config.enhancement,
        "add_wav_header": False,
    }


def v2_socket_fields(request: SynthesisRequest, config: LightningConfig) -> Fields:
    """The same on the socket, where `complete` would trail the last audio by 4 s if nobody said otherwise."""
    return {**v2_fields(request, config), "complete_backoff_ms": request.complete_backoff_ms}


#: 60 s is the most that it took for an idle timeout; without the query it was 20 s.
V2: Final = Wire(
    "v2", "/waves/v1/lightning-v2/get_speech/stream?timeout=60", v2_socket_fields, ping=b"", cancels=False
)


class LightningV2(SocketDoor):
    """A `Synthesizer` on the socket of Lightning v2."""

    wire: ClassVar[Wire] = V2
