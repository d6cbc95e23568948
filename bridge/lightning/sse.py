"""Doors that answer with server-sent events: `/waves/v1/tts/live` by POST, and the older paths of each model.

Strategy:

- One request is one POST; audio comes in events as it is made. Where the paths differ stands in `_WIRES` and nowhere
  else.
- The stream ends with the event that says so, or with the body. A body that the network cut is an error; one that
  ends in order without a word of the end is not, because older servers do not say it.
- Words are not asked to be timed, because Lightning does not do it here, and text cannot come bit by bit
  (lightning.md 5).
"""

from __future__ import annotations

import logging
from typing import Final

from bridge.errors import ProtocolError
from bridge.lightning.http_door import HttpDoor, HttpSynthesis
from bridge.lightning.messages import (
    MAX_MALFORMED,
    Chunk,
    Complete,
    Failed,
    Message,
    SynthesisRequest,
    Unknown,
    Word,
)
from bridge.lightning.speech import PartSink, SpokenWord
from bridge.lightning.sse_events import Event, EventParser, meaning
from bridge.lightning.wire import Wire, posted_fields, v2_fields, v31_posted_fields

logger = logging.getLogger(__name__)

ACCEPT: Final = "text/event-stream"

_WIRES: Final = {
    wire.door: wire
    for wire in (
        Wire("sse", "/waves/v1/tts/live", posted_fields),
        Wire("v3.1-sse", "/waves/v1/lightning-v3.1/stream", v31_posted_fields),
        Wire("v2-sse", "/waves/v1/lightning-v2/stream", v2_fields),
    )
}


class LightningSse(HttpDoor):
    """A `Synthesizer` on server-sent events."""

    def _synthesis(
        self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None
    ) -> _SseSynthesis:
        return _SseSynthesis(request, into, self, wait_s)


class _SseSynthesis(HttpSynthesis):
    """A synthesis that comes in events."""

    accept = ACCEPT

    def __init__(
        self, request: SynthesisRequest, into: PartSink | None, door: LightningSse, wait_s: float | None
    ) -> None:
        super().__init__(request, into, door, _WIRES[door.config.door], wait_s)
        self._parser = EventParser()
        self._malformed = 0

    def _take(self, chunk: bytes) -> None:
        try:
            events = self._parser.feed(chunk)
        except ProtocolError as broken:
            self._stats.malformed_messages += 1
            self.finish(self._unavailable(broken.reason, "protocol"))
            return
        for event in events:
            self._receive(event)

    def _body_ended(self) -> None:
        for event in self._parser.flush():
            self._receive(event)
        self._complete_if_heard("ended before it began")

    def _receive(self, event: Event) -> None:
        if self.over:
            return
        try:
            messages = meaning(event)
        except ProtocolError as broken:
            self._count_malformed(broken)
            return
        self._malformed = 0
        for message in messages:
            self._obey(message)

    def _obey(self, message: Message) -> None:
        if isinstance(message, Chunk):
            self._take_audio(message.audio)
        elif isinstance(message, Word):
            self.deliver(SpokenWord(message.word, message.start_ms, message.end_ms))
        elif isinstance(message, Complete):
            self._complete()
        elif isinstance(message, Failed):
            self._refused(message.fault)
        else:
            self._stats.unknown_messages += isinstance(message, Unknown)

    def _count_malformed(self, broken: ProtocolError) -> None:
        self._stats.malformed_messages += 1
        self._malformed += 1
        logger.debug("skipped an event: %s", broken)
        if self._malformed >= MAX_MALFORMED:
            self.finish(self._unavailable(f"{self._malformed} broken events in a row", "protocol"))
