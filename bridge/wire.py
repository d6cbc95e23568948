"""Between the playout and a carrier's socket: its dialect, and its audio format where that is not ours.

Strategy:

- The bridge speaks and listens in 8 kHz mu-law; a carrier may want A-law, or linear audio at another rate. Both chains
  are drawn up once, when the stream has started, and printed once a call.
- Where the formats are equal nothing is in the way: the very bytes pass, and no function is called for it.
- A message in is a message out, of the same length: what a resampler holds back is held back from before the first
  message on. An utterance begins afresh: nothing of an earlier one is left in the filter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.carriers.dialect import Dialect
from bridge.media.marks import Mark
from bridge.media.playout import Outgoing
from telephony_codecs.formats import MULAW_8K, AudioFormat
from telephony_codecs.transcoder import Transcoder

#: What the bridge speaks and listens in.
OURS: Final[AudioFormat] = MULAW_8K


class Wire:
    """One media socket's protocol. Make it when the stream has started: the formats are known then.

    Raises:
        ValueError: the dialect's audio cannot be converted.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._outbound = Transcoder(OURS, dialect.outbound_format)
        self._inbound = Transcoder(dialect.inbound_format, OURS)
        self._message_of = dialect.audio if self._outbound.is_identity else self._converted
        self.begin()

    def __str__(self) -> str:
        return f"caller {self._inbound}; bridge {self._outbound}"

    def begin(self) -> None:
        """What is sent from now on is another utterance."""
        self._outbound.flush()
        if self._outbound.delay_ms:
            self._outbound.feed(OURS.silence(self._outbound.delay_ms))

    def messages(self, due: list[Outgoing]) -> list[bytes]:
        """What to send, in order."""
        message_of = self._message_of
        messages: list[bytes] = []
        for item in due:
            if isinstance(item, Mark):
                messages += self.dialect.mark(item.name)
            else:
                messages.append(message_of(item))
        return messages

    def listener(self, ear: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """What takes the caller's payloads and hands them to `ear` as mu-law; `ear` itself when they are."""
        if self._inbound.is_identity:
            return ear
        convert = self._inbound.feed
        return lambda payload: ear(convert(payload))

    def _converted(self, audio: bytes) -> bytes:
        return self.dialect.audio(self._outbound.feed(audio))
