from __future__ import annotations

import pytest

from bridge.emulators.speech_engine import Speech, ToneEngine
from telephony_codecs.pcm import level_dbfs


def speak(text: str, *, voice_id: str = "magnus", speed: float = 1.0, rate_hz: int = 8000) -> Speech:
    return ToneEngine(rate_hz).speak(text, voice_id=voice_id, language="en", speed=speed)


def test_the_same_text_gives_the_same_bytes() -> None:
    assert speak("one two") == speak("one two")


def test_other_words_and_other_voices_sound_different() -> None:
    assert speak("one").pcm != speak("two").pcm
    assert speak("one").pcm != speak("one", voice_id="sophia").pcm


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 24000, 44100])
def test_words_carry_their_own_times(rate_hz: int) -> None:
    speech = speak("ab  abcd", rate_hz=rate_hz)
    assert [(w.text, round(w.start_ms), round(w.end_ms)) for w in speech.words] == [
        ("ab", 0, 120),
        ("abcd", 160, 400),
    ]
    assert speech.duration_ms == pytest.approx(440)


@pytest.mark.parametrize(("speed", "tone_ms"), [(0.5, 480), (1, 240), (2, 120), (100, 20)])
def test_speed_shortens_the_tones(speed: float, tone_ms: int) -> None:
    assert speak("abcd", speed=speed).words[0].end_ms == tone_ms


def test_a_tone_is_as_loud_as_speech() -> None:
    tone = speak("abcdef").pcm[: 8000 * 360 // 1000 * 2]
    assert level_dbfs(tone) == pytest.approx(-15, abs=0.2)  # a sine of -12 dBFS peak


@pytest.mark.parametrize("rate_hz", [0, -8000, 8020])
def test_a_rate_without_whole_blocks_is_refused(rate_hz: int) -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        ToneEngine(rate_hz)
