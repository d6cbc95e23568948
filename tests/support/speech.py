"""Human recordings, hold music and made-up telephone noises, as 8 kHz float arrays in -1 to 1.

Recordings are fetched by ``tests/support/fetch_speech.py``. A test that needs them is marked ``speech`` and
calls `require_speech` first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.wav import read_wav
from tests.support.fetch_speech import PACKAGES, SPEECH_FOLDER

Signal: TypeAlias = NDArray[np.float64]

RATE_HZ: Final = 8000
PACKET_BYTES: Final = 160
ENGLISH: Final = "asterisk-core-sounds-en-wav"
MUSIC: Final = "asterisk-moh-opsound-wav"

# Not voices, or not only: tones, silence, screaming monkeys.
_NOT_SPEECH: Final = (
    *("silence", "ascending-2tone", "descending-2tone", "beep", "beeperr"),
    *("confbridge-join", "confbridge-leave", "tt-monkeys"),
)
_WORDS: Final = ("digits", "letters", "phonetic")


def missing_speech() -> str:
    """Why the recordings are not there; empty when they are."""
    missing = [package for package in PACKAGES if not (SPEECH_FOLDER / package).is_dir()]
    return f"{' and '.join(missing)} missing: run python tests/support/fetch_speech.py" if missing else ""


def require_speech() -> None:
    """Skips the running test when there are no recordings, or fails it under CI."""
    import pytest

    if reason := missing_speech():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def phrases(package: str = ENGLISH) -> list[Path]:
    """Recorded sentences and phrases of one voice, in a fixed order."""
    return [path for path in _voice_files(package) if path.parent.name not in _WORDS]


def words(package: str = ENGLISH) -> list[Path]:
    """Recorded digits, letters and spelling words of one voice, in a fixed order."""
    return [path for path in _voice_files(package) if path.parent.name in _WORDS]


def music() -> list[Path]:
    """Hold music, five tracks, in a fixed order."""
    return sorted((SPEECH_FOLDER / MUSIC).rglob("*.wav"))


def load(path: Path) -> Signal:
    """The signal in an 8 kHz mono recording."""
    wav = read_wav(path)
    assert wav.format.rate_hz == RATE_HZ
    assert wav.channels == 1
    return np.frombuffer(wav.audio, "<i2") / 32768


def active_level_dbfs(signal: Signal) -> float:
    """Mean level of the 10 ms frames within 25 dB of the loudest: speech without its pauses."""
    power = _frame_power(signal)
    return float(10 * np.log10(power[power > power.max() * 10**-2.5].mean()))


def at_level(signal: Signal, dbfs: float) -> Signal:
    """The signal with its active level brought to `dbfs`."""
    return signal * 10 ** ((dbfs - active_level_dbfs(signal)) / 20)


def onset_ms(clean: Signal) -> float:
    """Where the voice begins in a clean recording.

    That is the first 10 ms frame less than 30 dB below the active level that has two more among its next
    four: a click alone is not a beginning.
    """
    active = _frame_power(clean) > 10 ** ((active_level_dbfs(clean) - 30) / 10)
    for frame in np.flatnonzero(active):
        if active[frame + 1 : frame + 5].sum() >= 2:
            return float(frame * 10)
    raise ValueError("no voice in the recording")


def to_mulaw(signal: Signal) -> bytes:
    """The signal as the carrier would send it."""
    return mulaw_encode(np.rint(signal * 32767).clip(-32768, 32767).astype("<i2").tobytes())


def packets(mulaw: bytes) -> Iterator[bytes]:
    """Cut as the carrier cuts: 20 ms each."""
    return (mulaw[at : at + PACKET_BYTES] for at in range(0, len(mulaw), PACKET_BYTES))


def silence(seconds: float) -> Signal:
    """Nothing at all."""
    return np.zeros(int(seconds * RATE_HZ))


def white_noise(seconds: float, dbfs: float, seed: int) -> Signal:
    """Comfort noise."""
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)) * 10 ** (dbfs / 20)


def pink_noise(seconds: float, dbfs: float, seed: int) -> Signal:
    """Noise of a room or a street: 3 dB less in each octave, nothing under 100 Hz."""
    samples = int(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    spectrum *= np.where(hertz < 100, 0.0, 1 / np.sqrt(np.maximum(hertz, 100)))
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise * 10 ** (dbfs / 20) / noise.std())


def tones(seconds: float, dbfs: float, *hertz: float) -> Signal:
    """Sines of equal strength, `dbfs` together."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    mixed = np.sum([np.sin(2 * np.pi * f * time_s) for f in hertz], axis=0)
    return np.asarray(mixed * np.sqrt(2 / len(hertz)) * 10 ** (dbfs / 20))


def hum(seconds: float, dbfs: float) -> Signal:
    """Mains hum: 50 Hz and its odd harmonics, each weaker."""
    parts = [tones(seconds, dbfs - 6 * index, 50.0 * (2 * index + 1)) for index in range(6)]
    return np.asarray(np.sum(parts, axis=0))


def cadence(tone: Signal, on_s: float, off_s: float, seconds: float) -> Signal:
    """A tone that comes and goes, like ringing or a busy line."""
    period = np.concatenate([tone[: int(on_s * RATE_HZ)], silence(off_s)])
    return np.resize(period, int(seconds * RATE_HZ))


def dtmf(seconds: float, dbfs: float = -9.0) -> Signal:
    """All sixteen keys over and over, 100 ms each and 100 ms apart."""
    keys = [
        np.concatenate([tones(0.1, dbfs, low, high), silence(0.1)])
        for low in (697, 770, 852, 941)
        for high in (1209, 1336, 1477, 1633)
    ]
    return np.resize(np.concatenate(keys), int(seconds * RATE_HZ))


def _voice_files(package: str) -> list[Path]:
    files = sorted((SPEECH_FOLDER / package).rglob("*.wav"))
    return [path for path in files if path.stem not in _NOT_SPEECH and path.parent.name not in _NOT_SPEECH]


def _frame_power(signal: Signal) -> Signal:
    frames = signal[: len(signal) // 80 * 80].reshape(-1, 80)
    return np.asarray((frames**2).mean(axis=1) + 1e-12)
