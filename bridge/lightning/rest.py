"""The `/waves/v1/tts` door: a whole clip as the body of one answer. For prompts, not for calls.

Strategy:

- The body is audio in the format that was asked for, or in the WAV that it says it is; `Content-Type` says
  `audio/wav` whatever it is, so nobody looks at it. Text with status 200 is an error all the same.
- Lightning may make all of a clip before it sends a byte. So the wait for the first one grows with the text.
- A body that ends before its `Content-Length`, or before its last chunk, is an error and not a short clip.
"""

from __future__ import annotations

from typing import Final

from bridge.lightning.http_door import HttpDoor, HttpSynthesis
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import PartSink
from bridge.lightning.wire import Wire, posted_fields

#: The sources disagree whether `Accept` matters; this is the value that some of them require.
ACCEPT: Final = "audio/wav"
#: Twice what a character takes to make: 65 ms of speech, at 3.3 times real time (lightning.md 12).
MAKING_S_PER_CHAR: Final = 0.04


_WIRE: Final = Wire("http", "/waves/v1/tts", posted_fields)


class LightningHttp(HttpDoor):
    """A `Synthesizer` of whole clips."""

    def _synthesis(
        self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None
    ) -> _ClipSynthesis:
        return _ClipSynthesis(request, into, self, wait_s)


class _ClipSynthesis(HttpSynthesis):
    """A synthesis that comes in one piece, or in as many as the network makes of it."""

    accept = ACCEPT

    def __init__(
        self, request: SynthesisRequest, into: PartSink | None, door: LightningHttp, wait_s: float | None
    ) -> None:
        super().__init__(request, into, door, _WIRE, wait_s)

    def _first_audio_limit_s(self) -> float:
        making_s = MAKING_S_PER_CHAR * len(self.request.text) / self.request.speed
        return super()._first_audio_limit_s() + making_s

    def _take(self, chunk: bytes) -> None:
        self._take_audio(chunk)

    def _body_ended(self) -> None:
        self._complete_if_heard("answered without audio")
