"""What an account holds (voices, pronunciation dictionaries, cloned voices), and what its answers mean. No I/O.

Strategy:

- Answers are read tolerantly, field by field: what is missing or of another type is empty, an entry without an id is
  left out. Only an answer that is no answer at all is an error.
- What Lightning is known to refuse is refused here, before a file travels.

Shapes: lightning.md 7, and what the vendor's own package declares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from bridge.errors import Unavailable, refused_here

MAX_NAME_CHARS: Final = 500
MAX_SAMPLE_BYTES: Final = 5 << 20
#: What pronunciations are given as: the word as it is written, and respelt as it is spoken.
Items: TypeAlias = Mapping[str, str]

#: Voices tell their languages by name, requests by code.
LANGUAGE_NAMES: Final = {
    "ar": "arabic", "bn": "bengali", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "gu": "gujarati", "he": "hebrew", "hi": "hindi", "id": "indonesian",
    "it": "italian", "ja": "japanese", "kn": "kannada", "ko": "korean", "ml": "malayalam", "mr": "marathi",
    "ms": "malay", "nl": "dutch", "no": "norwegian", "or": "odia", "pa": "punjabi", "pl": "polish",
    "pt": "portuguese", "ru": "russian", "sv": "swedish", "ta": "tamil", "te": "telugu", "tr": "turkish",
    "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip


class VoiceInfo(Struct, frozen=True, kw_only=True):
    """A voice of the catalogue. What Lightning does not say is empty."""

    id: str
    name: str = ""
    languages: list[str] = msgspec.field(default_factory=list)
    accent: str = ""
    gender: str = ""
    age: str = ""
    emotions: list[str] = msgspec.field(default_factory=list)
    usecases: list[str] = msgspec.field(default_factory=list)
    description: str = ""
    preview_url: str = ""

    def speaks(self, language: str) -> bool:
        """Whether it is a voice of `language`, a code or a name."""
        wanted = language.strip().lower()
        names = {wanted, LANGUAGE_NAMES.get(wanted, wanted)}
        return not names.isdisjoint(told.lower() for told in self.languages)

    def matches(self, words: Sequence[str]) -> bool:
        """Whether each of `words` is a part of its id or name, or begins a word of what is said of it."""
        named = f"{self.id} {self.name}".lower()
        tags = (*self.languages, self.accent, self.gender, self.age, *self.emotions, *self.usecases)
        # Begins, because "male" is a part of "female".
        told = " ".join(("", *tags, self.description)).lower()
        return all(word in named or f" {word}" in told for word in map(str.lower, words))


class Dictionary(Struct, frozen=True, kw_only=True):
    """A pronunciation dictionary; words match whole and case-sensitively."""

    id: str
    items: dict[str, str] = msgspec.field(default_factory=dict)
    created_at: str = ""


class VoiceClone(Struct, frozen=True, kw_only=True):
    """A voice that was cloned for the account. `id` is the `voice_id` of requests."""

    id: str
    name: str = ""
    #: pending, processing, completed or failed.
    status: str = ""
    language: str = ""
    models: list[str] = msgspec.field(default_factory=list)
    accent: str = ""
    tags: list[str] = msgspec.field(default_factory=list)
    description: str = ""
    created_at: str = ""


class Sample(Struct, frozen=True, kw_only=True):
    """The recording that a voice is cloned from."""

    file_name: str
    content_type: str
    audio: bytes


def model_slug(model: str) -> str:
    """`model`, named as in a request or as in a path, as it is named in a path."""
    slug = model.strip().lower().replace("_", "-")
    return "lightning-v3.1-pro" if slug.startswith("lightning-v3.1-pro") else slug


# -- answers -----------------------------------------------------------------------------------------------------------


def voices_in(answer: object) -> list[VoiceInfo]:
    """The voices of ``{"voices": [...]}``."""
    voices = []
    for entry in _entries(answer, "voices", "data", "models"):
        tags = _table(entry.get("tags"))
        voices.append(
            VoiceInfo(
                id=_text(entry.get("voiceId") or entry.get("id")),
                name=_text(entry.get("displayName")),
                languages=_texts(tags.get("language")),
                accent=_text(tags.get("accent")),
                gender=_text(tags.get("gender")),
                age=_text(tags.get("age")),
                emotions=_texts(tags.get("emotions")),
                usecases=_texts(tags.get("usecases")),
                description=_text(entry.get("description")),
                preview_url=_text(entry.get("audioPreview")),
            )
        )
    return [voice for voice in voices if voice.id]


def dictionaries_in(answer: object) -> list[Dictionary]:
    """The dictionaries of a list, or of a table with a list in it."""
    found = [_dictionary(entry) for entry in _entries(answer, "data", "dictionaries")]
    return [dictionary for dictionary in found if dictionary.id]


def dictionary_in(answer: object, known_id: str = "") -> Dictionary:
    """The dictionary that was made or changed.

    Raises:
        Unavailable: the answer names none.
    """
    table = _table(answer)
    dictionary = _dictionary(table if "id" in table else _table(table.get("data")))
    if not (dictionary.id or known_id):
        raise Unavailable("answered without the id of the dictionary", code="protocol")
    return dictionary if dictionary.id else msgspec.structs.replace(dictionary, id=known_id)


def clones_in(answer: object) -> list[VoiceClone]:
    """The clones of ``{"data": [...]}``."""
    found = [_clone(entry) for entry in _entries(answer, "data", "voices")]
    return [clone for clone in found if clone.id]


def clone_in(answer: object) -> VoiceClone:
    """The clone of ``{"message", "data": {...}}``.

    Raises:
        Unavailable: the answer names none.
    """
    table = _table(answer)
    clone = _clone(_table(table.get("data")) or table)
    if not clone.id:
        raise Unavailable("answered without the id of the voice", code="protocol")
    return clone


def _dictionary(entry: Mapping[str, object]) -> Dictionary:
    listed = entry.get("items")
    pairs = [_table(item) for item in listed] if isinstance(listed, list) else []
    items = {_text(pair.get("word")): _text(pair.get("pronunciation")) for pair in pairs if pair.get("word")}
    return Dictionary(
        id=_text(entry.get("id") or entry.get("_id")), items=items, created_at=_text(entry.get("createdAt"))
    )


def _clone(entry: Mapping[str, object]) -> VoiceClone:
    return VoiceClone(
        id=_text(entry.get("voiceId")),
        name=_text(entry.get("displayName")),
        status=_text(entry.get("status")),
        language=_text(entry.get("language")),
        models=_texts(entry.get("modelIds") or entry.get("model")),
        accent=_text(entry.get("accent")),
        tags=_texts(entry.get("tags")),
        description=_text(entry.get("description")),
        created_at=_text(entry.get("createdAt")),
    )


def _entries(answer: object, *names: str) -> list[Mapping[str, object]]:
    """The list in `answer`, which may be the answer itself.

    Raises:
        Unavailable: there is none.
    """
    if isinstance(answer, dict):
        answer = next((answer[name] for name in names if isinstance(answer.get(name), list)), None)
    if not isinstance(answer, list):
        raise Unavailable(f"answered without a list of {names[0]}", code="protocol")
    return [_table(entry) for entry in answer]


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [text for entry in listed if (text := _text(entry))]


# -- what is refused before it is sent ---------------------------------------------------------------------------------


def wire_items(items: Items) -> list[dict[str, str]]:
    """`items` as a dictionary is sent.

    Raises:
        InvalidRequest: there are none, or one is blank.
    """
    if not items:
        raise refused_here("items: a dictionary needs at least one word")
    for word, pronunciation in items.items():
        if not word.strip():
            raise refused_here("items: a word is blank")
        if not pronunciation.strip():
            raise refused_here(f"items: {word!r} has no pronunciation")
        check_text("items", word + pronunciation)
    return [{"word": word, "pronunciation": pronunciation} for word, pronunciation in items.items()]


def check_text(field: str, text: str) -> None:
    """Refuse what cannot be sent.

    Raises:
        InvalidRequest: it is no Unicode; names `field`.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise refused_here(f"{field}: holds bytes that are no UTF-8") from None


def check_name(name: str) -> None:
    """Refuse a name that no clone can have.

    Raises:
        InvalidRequest: it is blank, or too long.
    """
    if not name.strip():
        raise refused_here("name: is blank")
    if len(name) > MAX_NAME_CHARS:
        raise refused_here(f"name: {len(name)} characters, more than {MAX_NAME_CHARS}")


def sample_of(file_name: str, audio: bytes) -> Sample:
    """`audio` as the recording to clone from. What it is, is told by its bytes.

    Raises:
        InvalidRequest: it is too big, empty, or of no type that Lightning takes.
    """
    if len(audio) > MAX_SAMPLE_BYTES:
        size = f"{len(audio) / (1 << 20):.1f} MB"
        raise refused_here(
            f"file: {file_name} has {size}; at most 5 MB are taken. Some 10 s of speech are enough"
        )
    content_type = _content_type(audio)
    if not content_type:
        raise refused_here(f"file: {file_name} is neither WAV, MP3, WebM nor MP4")
    return Sample(file_name=file_name, content_type=content_type, audio=audio)


def _content_type(audio: bytes) -> str:
    if audio[:4] == b"RIFF" and audio[8:12] == b"WAVE":
        return "audio/wav"
    # An ID3 tag, or a frame of layer III: eleven bits of sync, then version and layer.
    if audio[:3] == b"ID3" or (audio[:1] == b"\xff" and audio[1:2] in _LAYER_III):
        return "audio/mpeg"
    if audio[:4] == b"\x1a\x45\xdf\xa3":
        return "audio/webm"
    return "audio/mp4" if audio[4:8] == b"ftyp" else ""


_LAYER_III: Final = (b"\xfb", b"\xfa", b"\xf3", b"\xf2", b"\xe3", b"\xe2")
