"""The socket of Lightning v2, for deployments that still run it. Lightning itself has retired the model (410).

Strategy:

- Its request has fields of its own and knows no `output_format`, so it answers 16-bit PCM, which is converted
  elsewhere; no `word_timestamps`; and no ids, so that nothing says which request an answer belongs to but that
  there is never more than one on a socket.
- No message is documented that cancels or keeps open. A socket that is no longer wanted is closed, and an idle one
  is replaced by a new one before it times out.
"""

from __future__ import annotations

from typing import ClassVar, Final

from bridge.lightning.live import SocketDoor
from bridge.lightning.wire import Wire, v2_socket_fields

#: 60 s is the most that it took for an idle timeout; without the query it was 20 s.
V2: Final = Wire(
    "v2", "/waves/v1/lightning-v2/get_speech/stream?timeout=60", v2_socket_fields, ping=b"", cancels=False
)


class LightningV2(SocketDoor):
    """A `Synthesizer` on the socket of Lightning v2."""

    wire: ClassVar[Wire] = V2
