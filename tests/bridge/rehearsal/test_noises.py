"""Noises of a caller's line."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.rehearsal.noises import noise, under
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import level_dbfs

KINDS = ("hiss", "cough", "music")


def loudest_dbfs(mulaw: bytes) -> float:
    return max(level_dbfs(mulaw_decode(mulaw[at : at + 160])) for at in range(0, len(mulaw), 160))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length_ms, dbfs", [(500, -20), (30_000, -40), (20, -30)])
def test_it_is_as_long_and_as_loud_as_asked(kind: str, length_ms: float, dbfs: float) -> None:
    made = noise(kind, length_ms, dbfs)
    assert len(made) == length_ms * 8
    assert loudest_dbfs(made) == pytest.approx(dbfs, abs=0.7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_noise(kind: str) -> None:
    assert noise(kind, 300, -20, seed=7) == noise(kind, 300, -20, seed=7)
    assert (noise(kind, 300, -20, seed=7) != noise(kind, 300, -20, seed=8)) == (kind != "music")


def test_what_is_under_the_words_is_as_loud_as_asked() -> None:
    quiet = bytes(16_000)
    assert level_dbfs(under(quiet, -40, 1)) == pytest.approx(-40, abs=0.2)
    assert under(quiet, -40, 1) == under(quiet, -40, 1) != under(quiet, -40, 2)
    assert under(quiet, -90, 1) == quiet


def test_the_words_stay_as_they_are() -> None:
    words = np.full(800, 12_000, np.int16).tobytes()
    assert level_dbfs(under(words, -40, 1)) == pytest.approx(level_dbfs(words), abs=0.1)
