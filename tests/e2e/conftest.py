"""What the end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.emulators.espeak import EspeakEngine
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes
from tests.support.examples import Rendered, Telephone, rendered


@pytest.fixture(scope="session")
def caller_voice() -> bytes:
    """Somebody who says something, as a WAV."""
    speech = EspeakEngine().speak(
        "Excuse me, I would like to ask something.", voice_id="sophia", language="en", speed=1.0
    )
    return wav_bytes(AudioFormat(Encoding.PCM16, speech.rate_hz), speech.pcm)


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rendered]:
    """What the examples of config/ivr.toml say, rendered; and who has spoken it."""
    with rendered(tmp_path_factory.mktemp("prompts")) as made:
        yield made


@pytest.fixture
def telephone(prompts: Rendered, tmp_path: Path) -> Telephone:
    """For calls to the examples."""
    return Telephone(prompts, tmp_path)
