from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.emulators.espeak import EspeakEngine, espeak_voice
from bridge.emulators.lightning_requests import BASE_VOICES, LANGUAGES, PRO_VOICES
from bridge.emulators.speech_engine import Speech
from telephony_codecs.pcm import level_dbfs

pytest.importorskip("espeakng_loader", reason="the offline voice is in the `demo` extra")

TEXT = "Hello, it costs $12.50 today \N{EM DASH} in the café."


def speak(text: str, *, voice_id: str = "magnus", language: str = "en", speed: float = 1.0) -> Speech:
    return EspeakEngine().speak(text, voice_id=voice_id, language=language, speed=speed)


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_speaks_loud_enough_and_long_enough() -> None:
    speech = speak(TEXT)
    assert speech.rate_hz == 22050
    assert 2500 < speech.duration_ms < 6000
    assert -30 < level_dbfs(speech.pcm) < -10


def test_words_are_verbatim_and_in_order() -> None:
    speech = speak(TEXT)
    assert [w.text for w in speech.words] == TEXT.replace("\N{EM DASH} ", "").split()
    times = [t for w in speech.words for t in (w.start_ms, w.end_ms)]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] == pytest.approx(speech.duration_ms, abs=20)


def test_the_first_utterance_of_a_process_has_its_first_word_too() -> None:
    code = (
        "from bridge.emulators.espeak import EspeakEngine\n"
        "speech = EspeakEngine().speak('Hello there', voice_id='magnus', language='en', speed=1)\n"
        "print([word.text for word in speech.words])"
    )
    assert run_python(code) == "['Hello', 'there']"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_a_voice(language: str) -> None:
    assert speak("1 2 3", language=language).duration_ms > 300


def test_every_voice_speaks_and_none_like_another_of_its_pool() -> None:
    for pool in (BASE_VOICES, PRO_VOICES):
        assert len({speak("Hello", voice_id=voice).pcm for voice in pool}) == len(pool)


@pytest.mark.parametrize(
    ("voice_id", "language", "text", "name"),
    [
        ("magnus", "en", "Hello", "en-us+m3"),
        ("sophia", "hi", "Hello", "hi+f3"),
        ("magnus", "auto", "Hello, café", "en-us+m3"),
        ("magnus", "auto", "OK, नमस्ते", "hi+m3"),
        ("magnus", "auto", "வணக்கம்", "ta+m3"),
        ("magnus", "no", "Hei", "nb+m3"),
    ],
)
def test_which_voice(voice_id: str, language: str, text: str, name: str) -> None:
    assert espeak_voice(voice_id, language, text) == name


def test_a_voice_nobody_knows_gets_always_the_same_throat() -> None:
    assert espeak_voice("voice_x1", "en", "") == espeak_voice("voice_x1", "en", "")
    assert espeak_voice("voice_x1", "en", "").startswith("en-us+")


def test_speed_changes_the_length_and_is_forgotten_after() -> None:
    plain = speak(TEXT).duration_ms
    assert speak(TEXT, speed=2).duration_ms < 0.7 * plain
    assert speak(TEXT, speed=0.5).duration_ms > 1.4 * plain
    assert speak(TEXT).duration_ms == pytest.approx(plain, abs=5)  # its samples are never twice the same


@pytest.mark.parametrize("text", ["...", "\0", "a\0b", "\ud800", "<speak>hi</speak>", "[[h@'loU]]", "🙂"])
def test_odd_text_is_harmless(text: str) -> None:
    assert speak(text).rate_hz == 22050


def test_threads_share_the_library_without_mixing_voices() -> None:
    jobs = [("One two three", "magnus"), ("Four five six", "sophia")] * 8
    alone = {job: speak(job[0], voice_id=job[1]) for job in jobs}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: speak(job[0], voice_id=job[1]), jobs))
    for job, speech in zip(jobs, together, strict=True):
        assert [w.text for w in speech.words] == job[0].split()
        assert speech.duration_ms == pytest.approx(alone[job].duration_ms, abs=5)


def test_importing_the_emulator_loads_nothing_of_it() -> None:
    code = "import sys, bridge.emulators.lightning; print('espeakng_loader' in sys.modules)"
    assert run_python(code) == "False"


def test_where_it_is_not_installed_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['espeakng_loader'] = None\n"
        "from bridge.emulators.lightning import engine_named\n"
        "from bridge.errors import ConfigError\n"
        "print(engine_named('auto').name)\n"
        "try: engine_named('espeak')\n"
        "except ConfigError as error: print(error)"
    )
    fallback, error = run_python(code).splitlines()
    assert fallback == "tones"
    assert "[demo]" in error
