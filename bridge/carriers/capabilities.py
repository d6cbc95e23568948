"""What a carrier can do, as data: the code asks it before it tries, and README's table is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from telephony_codecs.formats import MULAW_8K, AudioFormat


class Marks(StrEnum):
    """What a carrier tells of marks, and what becomes of those that a `clear` throws away."""

    NONE = "none"  #: nothing is told: what was heard goes by the clock
    ALL_RETURNED = "all returned"  #: also those thrown away, and they look like those that were played
    PLAYED_ONLY = "played only"  #: those thrown away never come back
    LABELLED = "labelled"  #: all come back, and say which they are


class How(StrEnum):
    """By what means a carrier does something."""

    NO = "no"
    CLOSE = "close"  #: by closing the media socket
    MESSAGE = "message"  #: by a message on the media socket
    REST = "REST"  #: by its REST API, which needs credentials
    ANSWER = "answer"  #: by what we answer when it asks what comes next


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a carrier can do, as data. README's table is made from it.

    Attributes:
        formats: of its audio; the first is what is asked for when nothing is configured.
        packet_ms: audio in one message to it, in the first format.
        dtmf: whether keys that the caller presses are told.
        token: where the one-time token travels: ``parameter``, ``header``, ``path``; empty where it cannot.
        signed: how requests are told from forgeries, in words for the table.
    """

    formats: tuple[AudioFormat, ...] = (MULAW_8K,)
    packet_ms: int = 20
    clear: bool = True
    marks: Marks = Marks.ALL_RETURNED
    dtmf: bool = True
    send_digits: How = How.NO
    hang_up: How = How.CLOSE
    transfer: How = How.NO
    place_calls: How = How.NO
    token: str = "parameter"  # noqa: S105 - a place, not a token
    signed: str
