"""Writes the table of carriers into README.md, from what the code says of each: python docs/make_carriers.py

A test fails when it is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from bridge.carriers.capabilities import How, Marks
from bridge.carriers.carrier import Carrier
from bridge.carriers.registry import carrier_types
from telephony_codecs.formats import AudioFormat, Encoding

TARGET: Final = Path(__file__).parents[1] / "README.md"
BEGIN: Final = "<!-- carriers: written by docs/make_carriers.py -->\n"
END: Final = "<!-- /carriers -->\n"

COLUMNS: Final = (
    "", "audio, kHz", "packet, ms", "clear", "marks after a clear", "keys in", "keys out", "hang up", "transfer",
    "place calls", "one-time token", "known by",
)  # fmt: skip
_ENCODINGS: Final = {Encoding.MULAW: "mu-law", Encoding.ALAW: "A-law", Encoding.PCM16: "L16"}
_MARKS: Final = {
    Marks.NONE: "no marks",
    Marks.ALL_RETURNED: "come back",
    Marks.PLAYED_ONLY: "do not",
    Marks.LABELLED: "come back labelled",
}
_HOW: Final = {
    How.NO: "-",
    How.CLOSE: "closing",
    How.MESSAGE: "message",
    How.REST: "REST",
    How.ANSWER: "answer",
}


def capabilities_table() -> str:
    """What each carrier can do, a row each, in order of name."""
    rows = (_row(carrier) for carrier in carrier_types().values())
    return "".join(_line(cells) for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows))


def with_table(readme: str) -> str:
    """`readme` with the table as it is now between its markers.

    Raises:
        ValueError: the markers are missing.
    """
    before, after = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    return readme[:before] + capabilities_table() + readme[after:]


def _row(carrier: type[Carrier]) -> Sequence[str]:
    can = carrier.capabilities
    return (
        f"[{carrier.title}](docs/carriers/{carrier.name}.md)",
        _formats(can.formats),
        str(can.packet_ms),
        "yes" if can.clear else "-",
        _MARKS[can.marks],
        "yes" if can.dtmf else "-",
        *(_HOW[how] for how in (can.send_digits, can.hang_up, can.transfer, can.place_calls)),
        can.token or "-",
        can.signed,
    )


def _formats(formats: Iterable[AudioFormat]) -> str:
    """``mu-law 8, L16 8/16``."""
    by_encoding = groupby(formats, key=lambda audio: audio.encoding)
    return ", ".join(
        f"{_ENCODINGS[encoding]} {'/'.join(f'{audio.rate_hz / 1000:g}' for audio in same)}"
        for encoding, same in by_encoding
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    TARGET.write_text(with_table(TARGET.read_text("utf-8")), "utf-8")
