"""What an account's answers mean, whatever is in them; and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import InvalidRequest, LightningError, Unavailable
from bridge.lightning.account_data import (
    MAX_SAMPLE_BYTES,
    Dictionary,
    VoiceClone,
    VoiceInfo,
    check_name,
    clone_in,
    clones_in,
    dictionaries_in,
    dictionary_in,
    model_slug,
    sample_of,
    voices_in,
    wire_items,
)

TAGS = {"language": ["english", "hindi"], "accent": "indian", "gender": "female", "age": "young",
        "emotions": ["calm"], "usecases": ["customer support"]}  # fmt: skip
MEHER = {"voiceId": "meher", "displayName": "Meher", "tags": TAGS}
#: Any JSON at all.
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["voices", "data", "voiceId", "tags", "id", "items", "word", "language"]), inner
        )
    ),
)


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, voices",
    [
        (
            {"voices": [MEHER]},
            [
                VoiceInfo(
                    id="meher",
                    name="Meher",
                    languages=["english", "hindi"],
                    accent="indian",
                    gender="female",
                    age="young",
                    emotions=["calm"],
                    usecases=["customer support"],
                )
            ],
        ),
        ({"voices": [{"voiceId": "a"}]}, [VoiceInfo(id="a")]),
        ({"voices": [{"voiceId": "a", "tags": {"language": "hindi"}}]}, [VoiceInfo(id="a", languages=["hindi"])]),
        ({"voices": [{"voiceId": "a", "tags": 7, "displayName": None}]}, [VoiceInfo(id="a")]),
        ({"voices": [{"displayName": "without an id"}, 7, None]}, []),
        ({"voices": []}, []),
        ({"data": [{"id": "a"}]}, [VoiceInfo(id="a")]),
        ([{"voiceId": "a", "audioPreview": "p", "description": "d"}],
         [VoiceInfo(id="a", preview_url="p", description="d")]),
    ],
)  # fmt: skip
def test_voices(answer: object, voices: list[VoiceInfo]) -> None:
    assert voices_in(answer) == voices


@pytest.mark.parametrize("read", [voices_in, dictionaries_in, clones_in])
@pytest.mark.parametrize("answer", [None, 7, "voices", {}, {"voices": {}, "data": 7}])
def test_an_answer_that_is_none(read: Any, answer: object) -> None:
    with pytest.raises(Unavailable, match="without a list"):
        read(answer)


@given(ANYTHING)
def test_any_answer_is_read_or_refused(answer: object) -> None:
    for read in (voices_in, dictionaries_in, clones_in, dictionary_in, clone_in):
        try:
            read(answer)
        except LightningError:
            continue


def test_dictionaries() -> None:
    listed = {"id": "d1", "items": [{"word": "SQL", "pronunciation": "sequel"}, 7, {}], "createdAt": "2026"}
    d1 = Dictionary(id="d1", items={"SQL": "sequel"}, created_at="2026")
    assert dictionaries_in([listed, {}]) == dictionaries_in({"data": [listed]}) == [d1]
    assert dictionary_in(listed) == dictionary_in({"data": listed}) == d1
    assert dictionary_in({}, "d1") == Dictionary(id="d1")
    with pytest.raises(Unavailable):
        dictionary_in({"message": "made"})


def test_clones() -> None:
    made = {"message": "ok", "data": {"voiceId": "voice_1", "status": "pending", "model": "lightning-v3.1"}}
    assert clone_in(made) == VoiceClone(id="voice_1", status="pending", models=["lightning-v3.1"])
    assert clones_in({"data": [{"voiceId": "voice_1", "tags": "x", "modelIds": ["m"]}, {}]}) == [
        VoiceClone(id="voice_1", tags=["x"], models=["m"])
    ]
    with pytest.raises(Unavailable):
        clone_in({"message": "ok"})


# -- searching ---------------------------------------------------------------------------------------------------------

(VOICE,) = voices_in([MEHER])


@pytest.mark.parametrize(
    "language, speaks", [("hi", True), ("Hindi", True), ("EN", True), ("de", False), ("x", False)]
)
def test_languages_by_code_and_by_name(language: str, speaks: bool) -> None:
    assert VOICE.speaks(language) is speaks


def test_a_code_in_the_tags_is_as_good_as_a_name() -> None:
    assert VoiceInfo(id="a", languages=["hi"]).speaks("hi")


@pytest.mark.parametrize(
    "words, matches",
    [
        (["meher"], True),
        (["eh"], True),
        (["hindi", "female", "calm"], True),
        (["HIN", "Fem"], True),
        (["support"], True),
        (["male"], False),
        (["hindi", "british"], False),
        ([], True),
    ],
)
def test_all_words_must_match(words: list[str], matches: bool) -> None:
    assert VOICE.matches(words) is matches


@pytest.mark.parametrize(
    "model, slug",
    [
        ("lightning_v3.1", "lightning-v3.1"),
        ("lightning-v3.1-pro", "lightning-v3.1-pro"),
        ("Lightning_v3.1_pro_07_26", "lightning-v3.1-pro"),
        ("lightning_v4", "lightning-v4"),
    ],
)
def test_models_as_paths_name_them(model: str, slug: str) -> None:
    assert model_slug(model) == slug


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "audio, content_type",
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"ID3\x04\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf3\x90\x00", "audio/mpeg"),
        (b"\x1a\x45\xdf\xa3\x01", "audio/webm"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
    ],
)
def test_what_a_sample_is_is_told_by_its_bytes(audio: bytes, content_type: str) -> None:
    assert sample_of("x.txt", audio).content_type == content_type


@pytest.mark.parametrize(
    "audio, told",
    [
        (b"", "neither WAV, MP3, WebM nor MP4"),
        (b"RIFF\0\0\0\0AVI ", "neither"),
        (b"OggS", "neither"),
        (b"\xff\xff", "neither"),
        (b"RIFF\0\0\0\0WAVE" + bytes(MAX_SAMPLE_BYTES), "at most 5 MB"),
    ],
)
def test_samples_that_lightning_would_refuse(audio: bytes, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        sample_of("me.wav", audio)


@pytest.mark.parametrize("name, told", [("", "blank"), (" \n", "blank"), ("x" * 501, "more than 500")])
def test_names_that_lightning_would_refuse(name: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        check_name(name)
    check_name("x" * 500)


@pytest.mark.parametrize(
    "items, told",
    [
        ({}, "at least one"),
        ({" ": "x"}, "a word is blank"),
        ({"a": ""}, "'a' has no"),
        ({"a": "\udcff"}, "UTF-8"),
    ],
)
def test_words_that_lightning_would_refuse(items: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        wire_items(items)
