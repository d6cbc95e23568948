"""What may be asked of Pulse when a socket is opened: the query of the handshake. No I/O.

Strategy:

- Everything about a socket is decided by its query, so a wrong one is refused with 400 before there is a socket, and
  all that is wrong with it is listed. What is not in the documentation is ignored.
- Switches are ``true`` or ``false`` and nothing else. The real service takes everything but ``true`` for false; here
  a client learns that it misspelt one.
- The vendor's Python package sends `redact_pii` and `redact_pci` as lists of what to redact, where the documentation
  has a switch: anything but ``false`` switches them on.
- livekit-plugins-smallestai adds ``endpointing_timeout`` and says ``multi`` to have the language found out; neither
  is documented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from bridge.emulators.lightning_refusals import Refusal, account_error

T = TypeVar("T")

MODEL: Final = "pulse"
LANGUAGES: Final = (
    "en", "hi", "de", "es", "ru", "it", "fr", "nl", "pt", "zh", "yue", "ja", "ko", "gu", "mr", "or", "bn", "ta", "te",
    "kn", "ml", "north_indic", "multi-asian", "multi-south-indic", "multi",
)  # fmt: skip
SAMPLE_RATES_HZ: Final = (8000, 16000, 22050, 24000, 44100, 48000)
ENCODINGS: Final = ("linear16", "linear32", "alaw", "mulaw")
NOT_EMULATED: Final = ("opus", "ogg_opus")
EOU_TIMEOUT_MS: Final = (100, 10_000)
MAX_KEYWORDS: Final = 100
MAX_BOOST: Final = 20.0

_PRO_IS_NOT_LIVE: Final = (
    "Pulse Pro has no streaming transport. Use POST /waves/v1/stt/?model=pulse-pro instead."
)
_BOOST: Final = re.compile(r"\d{1,3}(\.\d{1,6})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseQuery:
    """A valid query with its defaults filled in."""

    language: str
    sample_rate_hz: int = 16_000
    encoding: str = "linear16"
    word_timestamps: bool = False
    sentence_timestamps: bool = False
    full_transcript: bool = False
    diarize: bool = False
    vad_events: bool = False
    #: Silence that ends an utterance; None: nothing but `finalize` does.
    ends_after_ms: int | None = 800
    #: Words after which a final is cut; 0: never.
    max_words: int = 0
    punctuate: bool = True
    capitalize: bool = True
    redact_pii: bool = False
    redact_pci: bool = False
    keywords: tuple[tuple[str, float], ...] = ()


def parse_query(query: Mapping[str, str], *, default_model: str = "") -> PulseQuery | Refusal:
    """What `query` asks for, or the 400 that it is refused with.

    Args:
        default_model: the model where none is named: the older path has it in its name.
    """
    if query.get("model", default_model) == "pulse-pro":
        return account_error(400, _PRO_IS_NOT_LIVE)
    reader = _Reader(query)
    reader.one_of("model", (MODEL,), default_model)
    parsed = _read(reader)
    if reader.issues:
        told = "; ".join(str(issue["message"]) for issue in reader.issues)
        return account_error(400, told, reader.issues)
    return parsed


def _read(reader: _Reader) -> PulseQuery:
    formatted = reader.flag("format", default=True)
    endpointing = reader.flag("endpointing", default=True)
    eou_timeout_ms = reader.whole("eou_timeout_ms", *EOU_TIMEOUT_MS, 800)
    ends_after_ms = reader.whole("endpointing_timeout", *EOU_TIMEOUT_MS, eou_timeout_ms)
    finalize_on_words = reader.flag("finalize_on_words", default=True)
    max_words = reader.whole("max_words", 1, 10_000, 0)
    vad = reader.flag("vad", default=False)
    for accepted in ("itn_normalize", "numerals"):  # recognised words are as they were written
        reader.flag(accepted, default=False)
    return PulseQuery(
        language=reader.one_of("language", LANGUAGES),
        sample_rate_hz=reader.sample_rate_hz(),
        encoding=reader.encoding(),
        word_timestamps=reader.flag("word_timestamps", default=False),
        sentence_timestamps=reader.flag("sentence_timestamps", default=False),
        full_transcript=reader.flag("full_transcript", default=False),
        diarize=reader.flag("diarize", default=False),
        vad_events=reader.flag("vad_events", default=vad),
        ends_after_ms=ends_after_ms if endpointing else None,
        max_words=max_words if finalize_on_words else 0,
        punctuate=reader.flag("punctuate", default=True) and formatted,
        capitalize=reader.flag("capitalize", default=True) and formatted,
        redact_pii=reader.given("redact_pii"),
        redact_pci=reader.given("redact_pci"),
        keywords=reader.keywords(),
    )


class _Reader:
    """Reads one parameter at a time, and keeps what is wrong with them."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self.issues: list[dict[str, object]] = []

    def one_of(self, name: str, known: tuple[str, ...], default: str = "") -> str:
        return self._value(name, default, lambda said: said if said in known else None, ", ".join(known))

    def flag(self, name: str, *, default: bool) -> bool:
        return self._value(name, default, {"true": True, "false": False}.get, "true, false")

    def given(self, name: str) -> bool:
        """A switch, or a list of what it is on for."""
        return self._query.get(name, "") not in ("", "false")

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        def read(said: str) -> int | None:
            value = int(said) if re.fullmatch(r"[0-9]{1,6}", said) else -1
            return value if least <= value <= most else None

        return self._value(name, default, read, f"a whole number from {least} to {most}")

    def sample_rate_hz(self) -> int:
        rates = {str(rate): rate for rate in SAMPLE_RATES_HZ}
        return self._value("sample_rate", 16_000, rates.get, ", ".join(rates))

    def encoding(self) -> str:
        if self._query.get("encoding") in NOT_EMULATED:
            self._blame(
                "encoding", f"{self._query['encoding']} is not emulated: use one of {', '.join(ENCODINGS)}"
            )
            return ""
        return self.one_of("encoding", ENCODINGS, "linear16")

    def keywords(self) -> tuple[tuple[str, float], ...]:
        most = f"at most {MAX_KEYWORDS} of word or word:boost, with a boost from 0 to {MAX_BOOST:g}"
        return self._value("keywords", (), _keywords, most)

    def _value(self, name: str, default: T, read: Callable[[str], T | None], wanted: str) -> T:
        said = self._query.get(name, "")
        if not said and default != "":
            return default
        value = read(said)
        if value is None:
            self._blame(name, f"{name} must be {wanted}" if said else f"{name} is required: {wanted}")
            return default
        return value

    def _blame(self, name: str, message: str) -> None:
        self.issues.append({"path": [name], "message": message})


def _keywords(said: str) -> tuple[tuple[str, float], ...] | None:
    """``word:boost,word`` as pairs; a boost is 1 where there is none."""
    pairs = []
    for entry in said.split(","):
        word, colon, boost = entry.strip().rpartition(":")
        word, boost = (word, boost) if colon else (boost, "1")
        if not word or not _BOOST.fullmatch(boost) or float(boost) > MAX_BOOST:
            return None
        pairs.append((word, float(boost)))
    return tuple(pairs) if len(pairs) <= MAX_KEYWORDS else None
