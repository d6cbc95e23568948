"""The frames that are written past the library."""

from __future__ import annotations

import pytest
from websockets.extensions.base import Extension
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from bridge.server.media import text_frame

NO_EXTENSIONS: list[Extension] = []


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 255, 256, 65535, 65536, 100_000])
def test_a_message_becomes_one_text_frame_that_any_library_reads(size: int) -> None:
    message = b"x" * size
    reader = StreamReader()
    reader.feed_data(text_frame(message))
    reader.feed_eof()
    parsing = Frame.parse(reader.read_exact, mask=False, max_size=None, extensions=NO_EXTENSIONS)
    with pytest.raises(StopIteration) as done:
        next(parsing)
    assert done.value.value == Frame(Opcode.TEXT, message, fin=True)
    assert reader.at_eof() or not reader.buffer, "nothing is left over"
