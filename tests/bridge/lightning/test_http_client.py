"""Text that comes instead of audio is told by its bytes, whatever the header says; and audio is never held back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lightning.http_client import MAX_ERROR_BYTES, TextGuard, url_of
from telephony_codecs.g711 import alaw_encode, mulaw_encode
from tests.support.chunks import cut, run
from tests.support.lightning_live import config

HUM = (3000 * np.sin(np.arange(8000) / 9)).astype("<i2").tobytes()
SIZES = [(100_000,), (1,), (2, 3), (0, 1)]


@pytest.mark.parametrize(
    "text, told",
    [
        (b'{"status":"error","message":"Invalid Voice ID"}', "Invalid Voice ID"),
        (b' \n{ "error" : [{"message":"Invalid","path":["voice_id"]}] }', "voice_id: Invalid"),
        ('{"message":"Nein, größer"}'.encode(), "Nein, größer"),
        (b"{}", "text instead of audio"),
        (b"[]", "text instead of audio"),
        (b'[{"message":"no"}]', "text instead of audio"),
        (b"<!doctype html><title>Log in</title>", "text instead of audio"),
        (b'{"message":"cut in the mid', "text instead of audio"),
        (b'{"x":"' + b"y" * 3 * MAX_ERROR_BYTES, "text instead of audio"),
    ],
)
@pytest.mark.parametrize("sizes", SIZES)
def test_text_is_a_fault(text: bytes, told: str, sizes: tuple[int, ...]) -> None:
    if len(text) > 10_000 and min(sizes) < 10:
        sizes = (10_000,)
    guard = TextGuard()
    assert run(guard, cut(text, sizes)) == b""
    assert guard.fault is not None
    assert guard.fault.message == told


@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(HUM, id="pcm"),
        pytest.param(mulaw_encode(HUM), id="mu-law"),
        pytest.param(b"\x7b" + mulaw_encode(bytes(8000)), id="mu-law silence after a brace"),
        pytest.param(b"[" + alaw_encode(bytes(8000)), id="A-law silence after a bracket"),
        pytest.param(b'{"' + HUM, id="pcm that begins like JSON"),
        pytest.param(b"<a" + mulaw_encode(HUM), id="mu-law that begins like HTML"),
        pytest.param(b"{", id="a single byte"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"ID3\x04" + HUM, id="mp3"),
    ],
)
@pytest.mark.parametrize("sizes", SIZES)
def test_audio_is_no_text(audio: bytes, sizes: tuple[int, ...]) -> None:
    guard = TextGuard()
    assert run(guard, cut(audio, sizes)) == audio
    assert guard.fault is None


def test_audio_is_let_through_at_once() -> None:
    guard = TextGuard()
    assert guard.feed(b"\x00") == b"\x00"
    assert guard.feed(b'{"error":1}') == b'{"error":1}', "what has begun as audio stays audio"
    assert TextGuard().feed(b"RIFF") == b"RIFF", "nor does it wait for more of a header"


@given(st.binary(max_size=300), st.lists(st.integers(0, 9), min_size=1).filter(any))
def test_nothing_is_lost(body: bytes, sizes: list[int]) -> None:
    guard = TextGuard()
    came = run(guard, cut(body, sizes))
    assert came == (b"" if guard.fault else body)


@given(st.dictionaries(st.text(), st.text() | st.integers(), min_size=1), st.booleans())
def test_json_is_always_text(fields: dict[str, object], ascii_only: bool) -> None:
    guard = TextGuard()
    body = json.dumps(fields, ensure_ascii=ascii_only).encode(errors="replace")
    body = body.replace(b"\x7f", b"")  # the one control character that JSON need not escape
    assert run(guard, cut(body, (7,))) == b""
    assert guard.fault is not None


@pytest.mark.parametrize("base", ["https://api.example.com", "https://api.example.com/"])
def test_the_address(base: str) -> None:
    assert url_of(config(base), "/waves/v1/tts") == "https://api.example.com/waves/v1/tts"
