"""What Lightning would refuse, or would speak wrongly without a word, refused before it costs a unit. No I/O.

Strategy:

- All that is said of a request stands here; what is valid stands in `bridge.catalogue`, where the configuration's
  check finds it too.
- A door whose path implies the model does not look at the request's.
- A reason names the field, what is wrong, what is right. It never quotes the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from bridge.catalogue import (
    DOOR_MODEL,
    KNOWN,
    MAX_TEXT_CHARS,
    OUTPUT_FORMATS,
    PCM_DOORS,
    SAMPLE_RATES_HZ,
    SPEEDS,
    V2_SPEEDS,
    V4_SAMPLE_RATES_HZ,
    Catalogue,
    problems_with_voice,
)
from bridge.errors import InvalidRequest, refused_here
from bridge.lightning.messages import SynthesisRequest
from bridge.names import DoorName

#: Field and reason.
Problem: TypeAlias = tuple[str, str]
_BLANK: Final = "is empty or only whitespace"


def problems_of(
    request: SynthesisRequest,
    door: DoorName = "live",
    catalogue: Catalogue = KNOWN,
    *,
    text_follows: bool = False,
) -> Iterator[Problem]:
    """What is wrong with `request` at `door`.

    Args:
        text_follows: the text comes later, bit by bit: it may be empty.
    """
    yield from _of_text(request.text, text_follows)
    yield from _of_audio(request, door)
    yield from _of_voice(request, door, catalogue)


def refuse(
    request: SynthesisRequest,
    door: DoorName = "live",
    catalogue: Catalogue = KNOWN,
    *,
    text_follows: bool = False,
) -> None:
    """Refuse a `request` that cannot come to good.

    Raises:
        InvalidRequest: names the first field that is wrong, what is valid, and the mend.
    """
    for field, reason in problems_of(request, door, catalogue, text_follows=text_follows):
        raise refused_here(f"{field}: {reason}", request.request_id)


def blank_text() -> InvalidRequest:
    """The refusal of a text in which there is nothing to speak, before there is a request."""
    return refused_here(f"text: {_BLANK}")


def _of_text(text: str, text_follows: bool) -> Iterator[Problem]:
    if not text_follows and not text.strip():
        yield "text", _BLANK
    if len(text) > MAX_TEXT_CHARS:
        yield "text", f"{len(text)} characters, more than {MAX_TEXT_CHARS}: give it sentence by sentence"


def _of_audio(request: SynthesisRequest, door: DoorName) -> Iterator[Problem]:
    wanted = request.output_format
    if wanted == "mulaw":
        yield "output_format", "older pages say mulaw; the service wants ulaw"
    elif wanted not in OUTPUT_FORMATS:
        yield "output_format", f'"{wanted}" is none of {", ".join(OUTPUT_FORMATS)}'
    elif door in PCM_DOORS and wanted != "pcm":
        yield "output_format", f'door "{door}" answers pcm alone, which is converted here'
    rates = V4_SAMPLE_RATES_HZ if door == "v4" else SAMPLE_RATES_HZ
    if request.sample_rate not in rates:
        listed = ", ".join(map(str, rates))
        older = (
            " (older pages name a range; the service takes these)"
            if 8000 < request.sample_rate < 44100
            else ""
        )
        yield "sample_rate", f"{request.sample_rate} is none of {listed}{older}"


def _of_voice(request: SynthesisRequest, door: DoorName, catalogue: Catalogue) -> Iterator[Problem]:
    low, high = V2_SPEEDS if door.startswith("v2") else SPEEDS
    if not low <= request.speed <= high:
        older = (
            " (older pages are of Lightning v2, which takes 0.1 to 5)" if not door.startswith("v2") else ""
        )
        yield "speed", f"{request.speed:g} is not within {low:g} to {high:g}{older}"
    model = DOOR_MODEL.get(door, request.model)
    yield from problems_with_voice(door, model, request.language, request.voice_id, catalogue)
