"""Keys: whatever changes the sound changes the key, and nothing else does."""

from __future__ import annotations

import msgspec
import pytest

from bridge.config import FallbackConfig, LightningConfig, Secret
from bridge.lightning.entries import VoiceOptions
from bridge.prompts.key import Keys, key_of, key_of_file

CONFIG = LightningConfig()
V2 = CONFIG.with_changes({"model": "lightning_v2", "door": "v2"})
LOCAL = CONFIG.with_changes({"door": "local"})
KEY = key_of(CONFIG, "Hello.", {})


def test_a_key_is_a_sha_256_and_stays_what_it_is() -> None:
    """All that was ever rendered is rendered again when this changes: raise FORMAT_VERSION when it must."""
    assert KEY == "d8f8cae0a7c1b410213c30e46eb23b5ac5eba0715d93ced1bd68765b1b747cc7"


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "https://eu.smallest.example"},
        {"model": "lightning_v3.1_pro"},
        {"voice_id": "sophia"},
        {"language": "hi"},
        {"speed": 1.1},
        {"sample_rate": 16000},
        {"output": "pcm"},
        {"door": "local"},
    ],
    ids=str,
)
def test_what_changes_the_sound_changes_the_key(changes: dict[str, object]) -> None:
    assert key_of(CONFIG.with_changes(changes), "Hello.", {}) != KEY


OPTIONS: list[VoiceOptions] = [
    {"voice_id": "sophia"},
    {"model": "lightning_v3.1_pro"},
    {"language": "hi"},
    {"speed": 0.9},
    {"pronunciation_dicts": ["a"]},
    {"pronunciation_dicts": ["a", "b"]},
]


def test_so_does_what_a_prompt_has_of_its_own() -> None:
    keys = [KEY, *(key_of(CONFIG, "Hello.", options) for options in OPTIONS), key_of(CONFIG, "Hello", {})]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "changes",
    [
        {"door": "v3.1-sse"},
        {"base_url": CONFIG.base_url + "/"},
        {"api_key": Secret("other")},
        {"concurrency": 20},
        {"first_audio_timeout_s": 9.0},
        {"similarity": 0.5},  # of Lightning v2 alone
        {"command": ["say"]},  # of the local door alone
        {"fallbacks": [FallbackConfig(voice_id="sophia")]},
    ],
    ids=str,
)
def test_what_does_not_change_the_sound_keeps_it(changes: dict[str, object]) -> None:
    assert key_of(msgspec.structs.replace(CONFIG, **changes), "Hello.", {}) == KEY


def test_what_a_prompt_says_as_the_configuration_does_is_the_same() -> None:
    options: VoiceOptions = {"voice_id": CONFIG.voice_id, "speed": 1, "pronunciation_dicts": []}
    assert key_of(CONFIG, "Hello.", options) == KEY


@pytest.mark.parametrize("config, changes", [(V2, {"similarity": 0.5}), (LOCAL, {"command": ["say"]})])
def test_parameters_count_for_whom_they_are(config: LightningConfig, changes: dict[str, object]) -> None:
    assert key_of(config, "Hello.", {}) != key_of(config.with_changes(changes), "Hello.", {})


def test_a_recording_is_known_by_all_of_its_file() -> None:
    assert key_of_file(b"RIFF1") == key_of_file(b"RIFF1") != key_of_file(b"RIFF2")
    assert len(key_of_file(b"")) == 64


def test_a_text_counts_as_it_is_spoken() -> None:
    def loud(text: str, language: str) -> str:
        return f"{text.upper()} {language} "

    assert Keys(CONFIG, loud).of("hi", {"language": "de"}) == key_of(CONFIG, "HI de", {"language": "de"})
    assert Keys(CONFIG).of(" hi", {}) == key_of(CONFIG, "hi", {})


def test_each_key_is_worked_out_once() -> None:
    asked = []

    def noting(text: str, _language: str) -> str:
        asked.append(text)
        return text

    keys = Keys(CONFIG, noting)
    assert keys.of("a", {"speed": 1.5}) == keys.of("a", {"speed": 1.5}) != keys.of("a", {"speed": 2.0})
    assert asked == ["a", "a"]


def test_memory_of_keys_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.prompts.key._REMEMBERED", 2)
    keys = Keys(CONFIG)
    assert [keys.of(text, {}) for text in "abcab"] == [key_of(CONFIG, text, {}) for text in "abcab"]
