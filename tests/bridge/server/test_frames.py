"""The frames that are written past the library, read by another one."""

from __future__ import annotations

import pytest
from websockets.extensions.base import Extension
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from bridge.carriers.dialect import Binary
from bridge.server.frames import frame, masked_frame

NO_EXTENSIONS: list[Extension] = []
SIZES = [0, 1, 125, 126, 127, 255, 256, 65535, 65536, 100_000]


def parsed(wire: bytes, *, mask: bool) -> Frame:
    """The one frame in `wire`."""
    reader = StreamReader()
    reader.feed_data(wire)
    reader.feed_eof()
    parsing = Frame.parse(reader.read_exact, mask=mask, max_size=None, extensions=NO_EXTENSIONS)
    with pytest.raises(StopIteration) as done:
        next(parsing)
    assert reader.at_eof() or not reader.buffer, "nothing is left over"
    found: Frame = done.value.value
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind, opcode", [(bytes, Opcode.TEXT), (Binary, Opcode.BINARY)])
def test_a_message_becomes_one_frame_that_any_library_reads(
    kind: type[bytes], opcode: Opcode, size: int
) -> None:
    message = kind(bytes(n % 251 for n in range(size)))
    for wire, mask in ((frame(message), False), (masked_frame(message), True)):
        assert parsed(wire, mask=mask) == Frame(opcode, message, fin=True)


def test_no_two_messages_are_masked_alike() -> None:
    assert len({masked_frame(bytes(64)) for _ in range(20)}) == 20
