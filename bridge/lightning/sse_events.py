"""Server-sent events: bytes in, cut anywhere, and what each event means. No I/O, no clock.

Strategy:

- The parser is the standard's: lines end in CRLF, LF or CR, comments and unknown fields are skipped, `data` lines
  add up, an empty line ends an event. An event that the end of the body cuts off before its empty line counts: it
  may be the last of the audio.
- Both envelopes are read (lightning.md 5): `audio` with `status` 206 and 200, and the socket's, which older
  servers and older pages have. A parser of one drops every event of the other without a word.
- What an error looks like once the stream has begun is not known, so it is read in all shapes.
- What cannot be decoded is a `ProtocolError` and nothing else, whatever the bytes are; and no event grows beyond
  `MAX_EVENT_BYTES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw, Struct

from bridge.errors import ProtocolError
from bridge.lightning.faults import fault_of, plain
from bridge.lightning.messages import Chunk, Complete, Failed, Message, Unknown, decode

#: 80 s of 8 kHz PCM in one event, as on the socket.
MAX_EVENT_BYTES: Final = 2**21

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: What some servers of other streams send last; it is no JSON.
_DONE: Final = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    name: str
    data: bytes


class EventParser:
    """Events out of the bytes of a body: `feed` it, then `flush`."""

    def __init__(self) -> None:
        self._line: list[bytes] = []  # of the line that is not whole yet
        self._data: list[bytes] = []
        self._name = ""
        self._size_bytes = 0
        self._begun = self._after_cr = False

    def feed(self, raw: bytes) -> list[Event]:
        """The events that are whole now.

        Raises:
            ProtocolError: one is too big. The stream cannot go on.
        """
        if self._after_cr and raw:
            # The CR has ended its line; an LF behind it belongs to the same end.
            raw, self._after_cr = raw.removeprefix(b"\n"), False
        self._after_cr = self._after_cr or raw.endswith(b"\r")
        first, *others = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._hold(first)
        events = []
        for line in others:
            if event := self._end_line():
                events.append(event)
            self._hold(line)
        return events

    def flush(self) -> list[Event]:
        """The event that the end of the body has cut off, if there is one."""
        ends = [self._end_line(), self._end_event()]
        return [event for event in ends if event]

    def _hold(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes > MAX_EVENT_BYTES:
            raise ProtocolError(
                f"an event of more than {MAX_EVENT_BYTES} bytes", peer="lightning", kind="too_big"
            )
        if part:
            self._line.append(part)

    def _end_line(self) -> Event | None:
        line = b"".join(self._line)
        self._line.clear()
        if not self._begun:
            line, self._begun = line.removeprefix(_BYTE_ORDER_MARK), True
        if not line:
            return self._end_event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size_bytes += 1  # the line's end
        else:
            self._size_bytes -= len(line)
            if field == b"event":
                self._name = value[:100].decode(errors="replace")
        return None

    def _end_event(self) -> Event | None:
        event = Event(self._name, b"\n".join(self._data)) if self._data else None
        self._data.clear()
        self._name, self._size_bytes = "", 0
        return event


class _Envelope(Struct):
    status: str | int | None = None
    audio: bytes | None = None  # msgspec decodes the base64
    done: bool | None = None
    # Read only when they are needed, and then in any shape.
    message: Raw = Raw()
    error: Raw = Raw()
    error_code: Raw = Raw()
    code: Raw = Raw()

    @property
    def number(self) -> int:
        """Its status, where that is one of HTTP's; else 0."""
        text = str(self.status)
        return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0

    @property
    def failed(self) -> bool:
        """Whether it tells an error."""
        return self.status == "error" or self.number >= 400 or plain(self.error) not in (None, "", False)

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it."""
        return self.done if self.done is not None else self.number == 200 and self.audio is None


_decoder: Final = msgspec.json.Decoder(_Envelope)


def meaning(event: Event) -> tuple[Message, ...]:
    """What `event` says: one thing as a rule, two when the last audio comes with the end.

    Raises:
        ProtocolError: it is not what Lightning may send. Skip and count it; a row of them is a broken peer.
    """
    if event.data.strip() == _DONE:
        return (Complete(None),)
    try:
        envelope = _decoder.decode(event.data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if event.name == "error":
            return (Failed(fault_of(event.data.decode(errors="replace"), None, None), None),)
        known = isinstance(error, msgspec.ValidationError)  # of others the text may be as long as the data
        raise _broken(str(error) if known else "not JSON") from None
    if event.name == "error" or envelope.failed:
        return (_failure(envelope),)
    audio = () if envelope.audio is None else (Chunk(envelope.audio, None),)
    end = (Complete(None),) if envelope.ended else ()
    return (*audio, *end) or (_of_the_socket(event, envelope),)


def _of_the_socket(event: Event, envelope: _Envelope) -> Message:
    if envelope.number == 206:
        raise _broken("an event of audio without audio")
    return decode(event.data) if isinstance(envelope.status, str) else Unknown(str(envelope.status or ""))


def _failure(envelope: _Envelope) -> Failed:
    code = plain(envelope.error_code) or plain(envelope.code)
    message, error = plain(envelope.message), plain(envelope.error)
    return Failed(fault_of(message, error, code, status=envelope.number), None)


def _broken(reason: str) -> ProtocolError:
    return ProtocolError(reason, peer="lightning", kind="bad_message")
