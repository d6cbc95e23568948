"""A voice: pieces in order, what the bytes are, one retry with what is unsaid, cancel."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.config import LightningConfig, Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.end_of_text import MS_PER_CHAR
from bridge.lightning.entries import Pace
from bridge.lightning.limits import QUEUE_TIMEOUT
from bridge.lightning.live import LightningLive
from bridge.lightning.pieces import split
from bridge.lightning.speaking import AHEAD_MS
from bridge.lightning.speech import PieceEnded, PieceStarted, SpeechAudio, SpeechPart, SpokenWord
from bridge.lightning.voice import CallVoice
from telephony_codecs.formats import MULAW_8K, PCM16_8K
from telephony_codecs.wav import wav_bytes
from tests.support.lightning_live import talking, well_behaved
from tests.support.lightning_requests import request
from tests.support.scripted_lightning import Line, Script
from tests.support.voice import audio_in, heard, one_voice
from tests.support.waiting import until

HELLO = "Hello, this is the front desk. How can I help you today?"
LONG = " ".join(f"This is the sentence number {n} of a rather long story." for n in range(20))
QUIET = b"\xff\x7e" * 400  # 100 ms of mu-law


@asynccontextmanager
async def emulated(
    stall_timeout_s: float = 2.0, **options: Any
) -> AsyncIterator[tuple[CallVoice, EmulatedLightning, LightningLive]]:
    async with EmulatedLightning(EmulatorOptions(**options)) as emulator:
        config = LightningConfig(
            base_url=emulator.url, api_key=Secret("sk_1"), concurrency=2, stall_timeout_s=stall_timeout_s
        )
        async with LightningLive(config) as live:
            yield one_voice(live, config, busy_backoff_s=0).for_call(), emulator, live


@asynccontextmanager
async def scripted(
    *scripts: Script, **changes: Any
) -> AsyncIterator[tuple[CallVoice, list[str], LightningLive]]:
    """A voice on a scripted Lightning, and the texts that it asks for."""
    async with talking(*scripts, **changes) as (live, lightning):
        voice = one_voice(live, live.config, busy_backoff_s=0).for_call()
        texts: list[str] = []
        yield voice, texts, live
        texts += [asked["text"] for asked in lightning.requests]


def texts_in(parts: list[SpeechPart]) -> list[str]:
    return [part.text for part in parts if isinstance(part, PieceStarted)]


async def raw_audio(live: LightningLive, voice: CallVoice, text: str) -> bytes:
    return b"".join(
        [part async for part in live.synthesize(voice.pick().request(text, {})) if isinstance(part, bytes)]
    )


# -- pieces ------------------------------------------------------------------------------------------------


async def test_a_short_text_is_one_piece_of_the_very_bytes() -> None:
    async with emulated() as (voice, emulator, live):
        parts, error = await heard(speech := voice.speak(HELLO))
        assert error is None
        assert (parts[0], parts[-1]) == (PieceStarted(HELLO), PieceEnded())
        assert audio_in(parts) == await raw_audio(live, voice, HELLO)
        assert emulator.stats.last_request["sample_rate"] == 8000
        assert emulator.stats.last_request["output_format"] == "ulaw"
        assert voice.pick().answer_format == MULAW_8K
        assert speech.first_audio_ms is not None


async def test_a_long_text_comes_in_pieces_in_order_and_whole() -> None:
    async with emulated() as (voice, emulator, live):
        parts, error = await heard(voice.speak(LONG))
        pieces = texts_in(parts)
        assert error is None
        assert " ".join(pieces) == LONG
        assert len(pieces) > 3
        assert max(map(len, pieces)) <= 250
        assert list(emulator.stats.texts) == pieces
        assert emulator.stats.max_active == 1
        assert audio_in(parts) == b"".join([await raw_audio(live, voice, piece) for piece in pieces])
        marks = [type(part) for part in parts if isinstance(part, PieceStarted | PieceEnded)]
        assert marks == [PieceStarted, PieceEnded] * len(pieces)


async def test_it_synthesises_ahead_but_not_far() -> None:
    async with emulated() as (voice, emulator, live):
        speech = voice.speak(LONG)
        await until(lambda: speech.unread_ms > AHEAD_MS)
        for _ in range(3):  # as long as the next pieces would have needed
            await raw_audio(live, voice, LONG[:250])
        asked = emulator.stats.requests - 3
        assert 1 < asked < len(split(LONG))
        assert speech.unread_ms < AHEAD_MS + 25_000
        parts, error = await heard(speech)
        assert error is None
        assert texts_in(parts) == split(LONG)


async def test_the_first_sentence_of_a_stream_waits_for_nothing_else() -> None:
    first_heard = asyncio.Event()

    async def thinking() -> AsyncIterator[str]:
        for word in ("One", " sentence.", " Two"):
            yield word
        await first_heard.wait()
        yield " sentences."

    async with emulated() as (voice, _, _):
        parts: list[SpeechPart] = []
        async for part in voice.speak(thinking()):
            parts.append(part)
            first_heard.set()
        assert texts_in(parts) == ["One sentence.", "Two sentences."]


async def test_a_stream_of_nothing_is_a_speech_of_nothing() -> None:
    async def silent() -> AsyncIterator[str]:
        for word in ("", "  "):
            yield word

    async with emulated() as (voice, emulator, _):
        assert await heard(voice.speak(silent())) == ([], None)
        assert emulator.stats.requests == 0


async def test_blank_text_is_a_mistake() -> None:
    async with emulated() as (voice, emulator, _):
        parts, error = await heard(voice.speak(" \n"))
        assert (parts, type(error)) == ([], InvalidRequest)
        assert emulator.stats.connections <= 2


async def test_what_the_stream_raises_comes_out_after_what_it_said() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "One sentence. "
        raise KeyError("of the agent")

    async with emulated() as (voice, _, live):
        parts, error = await heard(voice.speak(failing()))
        assert texts_in(parts) == ["One sentence."]
        assert audio_in(parts)
        assert isinstance(error, KeyError)
        assert live.stats.speech_failures == 0


async def test_options_of_one_utterance() -> None:
    async with emulated() as (voice, emulator, _):
        await heard(voice.speak(HELLO, voice_id="rhea", language="hi", speed=1.5, model="lightning_v3.1_pro"))
        wanted = {"voice_id": "rhea", "language": "hi", "speed": 1.5, "model": "lightning_v3.1_pro"}
        assert {name: emulator.stats.last_request[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, False),
        ({"voice_id": "liam"}, True),
        ({"voice_id": "liam", "language": "fr"}, False),
        ({"voice_id": "liam", "word_timestamps": False}, False),
        ({"word_timestamps": True}, True),
    ],
)
async def test_words_are_asked_of_the_voices_that_time_them(options: Any, asked: bool) -> None:
    async with emulated() as (voice, _, _):
        assert voice.pick().request(HELLO, options).word_timestamps is asked


async def test_words_come_relative_to_their_piece() -> None:
    async with emulated() as (voice, _, _):
        parts, _ = await heard(voice.speak(LONG, voice_id="liam"))
    words: list[list[SpokenWord]] = []
    for part in parts:
        if isinstance(part, PieceStarted):
            words.append([])
        elif isinstance(part, SpokenWord):
            words[-1].append(part)
    for piece, spoken in zip(texts_in(parts), words, strict=True):
        assert [word.word for word in spoken] == piece.split()
        assert spoken[0].start_ms < 500


# -- what the bytes are ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        {"answer_pcm": True},
        {"odd_chunks": True},
        {"wav_header": True},
        {"answer_pcm": True, "odd_chunks": True},
        {"answer_pcm": True, "odd_chunks": True, "wav_header": True},
    ],
    ids=str,
)
async def test_whatever_is_answered_it_is_the_same_mulaw(faults: dict[str, bool]) -> None:
    async with emulated() as (voice, emulator, live):
        right = await raw_audio(live, voice, HELLO)
        for name, value in faults.items():
            setattr(emulator.options, name, value)
        for _ in range(2):
            parts, error = await heard(voice.speak(HELLO))
            assert error is None
            assert audio_in(parts) == right
        assert live.stats.pcm_answers == 2 * faults.get("answer_pcm", False)
        assert live.stats.wav_answers == 2 * faults.get("wav_header", False)


async def test_what_it_learnt_is_unlearnt() -> None:
    async with emulated(answer_pcm=True) as (voice, emulator, _):
        await heard(voice.speak(HELLO))
        assert voice.pick().answer_format == PCM16_8K
        emulator.options.answer_pcm = False
        await heard(voice.speak(HELLO))
        assert voice.pick().answer_format == MULAW_8K


async def test_audio_that_cannot_be_used_is_a_failure() -> None:
    async def stereo(line: Line) -> None:
        while True:
            asked = await line.request()
            await line.chunk(wav_bytes(PCM16_8K, bytes(4000), channels=2), asked)
            await line.complete(asked)

    async with scripted(stereo) as (voice, _, live):
        parts, error = await heard(voice.speak(HELLO))
        assert isinstance(error, Unavailable)
        assert (error.code, live.stats.retries) == ("audio_format", 1)
        assert audio_in(parts) == b""


# -- the second chance -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["fail_after_ms", "stall_after_ms"])
async def test_a_fault_half_way_is_mended_with_the_rest_of_the_text(fault: str) -> None:
    async with emulated(0.3, **{fault: 2000.0}, faulty_requests=1) as (voice, emulator, live):
        parts, error = await heard(voice.speak(HELLO))
        assert error is None
        first, second = emulator.stats.texts
        assert first == HELLO
        assert HELLO.endswith(second)
        assert 0 < len(second) < len(HELLO)
        assert texts_in(parts) == [HELLO]  # it stays one piece
        assert parts[-1] == PieceEnded()
        assert MULAW_8K.ms_in(len(audio_in(parts))) > 2000
        assert (live.stats.retries, live.stats.speech_failures) == (1, 0)
        assert live.units.in_use == 0


async def test_nothing_heard_yet_means_all_of_it_again() -> None:
    async with emulated(fail_after_ms=0.0, faulty_requests=1) as (voice, emulator, live):
        parts, error = await heard(voice.speak(HELLO))
        assert error is None
        assert list(emulator.stats.texts) == [HELLO, HELLO]
        assert audio_in(parts) == await raw_audio(live, voice, HELLO)


async def test_the_pieces_after_the_fault_follow() -> None:
    async with emulated(fail_after_ms=2000.0, faulty_requests=1) as (voice, emulator, _):
        parts, error = await heard(voice.speak(LONG))
        assert error is None
        assert " ".join(texts_in(parts)) == LONG
        assert emulator.stats.requests == len(texts_in(parts)) + 1


async def test_there_is_no_third_chance() -> None:
    async with emulated(fail_after_ms=500.0) as (voice, emulator, live):
        parts, error = await heard(voice.speak(LONG))
        assert isinstance(error, Unavailable)
        assert 900 <= MULAW_8K.ms_in(len(audio_in(parts))) <= 1100  # what came of both is heard
        assert emulator.stats.requests == 2
        assert (live.stats.retries, live.stats.speech_failures) == (1, 1)


async def test_one_chance_for_an_utterance_not_for_each_piece() -> None:
    async def good(line: Line) -> None:
        asked = await line.request()
        await line.chunk(QUIET, asked)
        await line.complete(asked)
        line.drop()

    async def bad(line: Line) -> None:
        await line.error(await line.request(), message="Something broke")
        await line.silent()

    async with scripted(bad, good, bad, good) as (voice, _, live):
        _, error = await heard(voice.speak(LONG))
        assert isinstance(error, Unavailable)
        assert live.stats.retries == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Unauthorized), (403, Unauthorized), (410, InvalidRequest)]
)
async def test_what_a_retry_cannot_mend_is_not_retried(status: int, kind: type[LightningError]) -> None:
    async with emulated(refuse=status) as (voice, _, live):
        parts, error = await heard(voice.speak(HELLO))
        assert type(error) is kind
        assert (audio_in(parts), live.stats.retries) == (b"", 0)


async def test_refused_for_the_moment_it_is_asked_again() -> None:
    async with emulated(refuse=503) as (voice, emulator, live):
        _, error = await heard(voice.speak(HELLO))
        assert isinstance(error, Unavailable)
        assert live.stats.retries == 1
        assert emulator.stats.requests == 0


@pytest.mark.parametrize("words", ["Concurrency limit reached", "Too many requests"])
async def test_busy_is_asked_again(words: str) -> None:
    async def busy(line: Line) -> None:
        await line.error(await line.request(), message=words)
        await line.silent()

    async with scripted(busy, well_behaved) as (voice, texts, live):
        _, error = await heard(voice.speak(HELLO))
        assert (error, live.stats.retries, live.stats.busy_answers) == (None, 1, 1)
    assert texts == [HELLO, HELLO]


async def test_busy_for_longer_than_a_caller_waits_is_told_at_once() -> None:
    async def busy(line: Line) -> None:
        await line.error(await line.request(), message="Too many requests")
        await line.silent()

    async with scripted(busy) as (voice, _, live):
        voice.voice.busy_backoff_s = 60
        _, error = await heard(voice.speak(HELLO))
        assert isinstance(error, Busy)
        assert (live.stats.syntheses, live.stats.retries) == (1, 0)


async def test_our_own_queue_is_not_queued_for_twice() -> None:
    async def mute(line: Line) -> None:
        await line.silent()

    async with scripted(mute, concurrency=1, queue_timeout_s=0.01) as (voice, _, live):
        blocker = live.synthesize(request())
        _, error = await heard(voice.speak(HELLO))
        assert isinstance(error, Busy)
        assert (error.code, live.stats.retries) == (QUEUE_TIMEOUT, 0)
        blocker.cancel()


async def test_words_tell_where_to_go_on_and_their_times_go_on_too() -> None:
    async def breaking(line: Line) -> None:
        asked = await line.request()
        await line.word("One,", 0.0, 0.05, asked)
        await line.word("two,", 0.05, 0.1, asked)
        await line.word("three.", 0.1, 0.2, asked)  # announced, but its audio never comes
        await line.chunk(QUIET, asked)
        line.drop()

    async def mending(line: Line) -> None:
        asked = await line.request()
        await line.word("three.", 0.0, 0.1, asked)
        await line.chunk(QUIET, asked)
        await line.complete(asked)
        await line.silent()

    async with scripted(breaking, mending) as (voice, texts, _):
        parts, error = await heard(voice.speak("One, two, three."))
        assert error is None
        spoken = [part for part in parts if isinstance(part, SpokenWord)]
        assert spoken[-1] == SpokenWord("three.", 100, 200)
    assert texts == ["One, two, three.", "three."]


async def test_a_complete_that_never_comes_is_not_missed_once_all_is_said() -> None:
    async def unfinished(line: Line) -> None:
        asked = await line.request()
        for _ in range(20):
            await line.chunk(QUIET, asked)
        await line.silent()

    async with scripted(unfinished, stall_timeout_s=0.05) as (voice, texts, live):
        parts, error = await heard(voice.speak("Two seconds of words."))
        assert (error, parts[-1]) == (None, PieceEnded())
        assert (live.stats.stalls, live.stats.retries) == (1, 0)
    assert texts == ["Two seconds of words."]


async def test_an_answer_without_audio_is_a_failure_unless_there_is_nothing_to_say() -> None:
    async def saying_nothing(line: Line) -> None:
        while True:
            await line.complete(await line.request())

    async with scripted(saying_nothing) as (voice, _, live):
        assert await heard(voice.speak("…")) == ([PieceStarted("…"), PieceEnded()], None)
        _, error = await heard(voice.speak(HELLO))
        assert isinstance(error, Unavailable)
        assert (error.code, live.stats.retries) == ("no_audio", 1)


async def test_silence_from_the_start_is_told_in_time() -> None:
    async def mute(line: Line) -> None:
        await line.silent()

    async with scripted(mute, first_audio_timeout_s=0.02) as (voice, _, live):
        _, error = await heard(voice.speak(HELLO))
        assert isinstance(error, TimedOut)
        assert live.stats.late_first_audio == 2


# -- cancel ------------------------------------------------------------------------------------------------


async def test_cancelled_it_is_silent_and_lightning_is_told() -> None:
    async with emulated(realtime_factor=1.0, late_chunks_after_cancel=5) as (voice, emulator, live):
        speech = voice.speak(LONG)
        async for part in speech:
            if isinstance(part, SpeechAudio):
                break
        speech.cancel()
        assert live.units.in_use == 0
        assert await heard(speech) == ([], None)
        await until(lambda: emulator.stats.active == 0)
        assert emulator.stats.requests == 1
        _, error = await heard(voice.speak("Yes?"))
        assert error is None


async def test_cancelled_while_the_agent_thinks_its_iterator_is_closed() -> None:
    closed = asyncio.Event()

    async def thinking() -> AsyncIterator[str]:
        try:
            yield "One sentence. "
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with emulated() as (voice, _, _):
        speech = voice.speak(thinking())
        async for part in speech:
            if part == PieceEnded():
                break
        speech.cancel()
        await until(closed.is_set)


async def test_cancelled_while_it_synthesises_the_iterator_is_closed_too() -> None:
    closed = asyncio.Event()

    async def talkative() -> AsyncIterator[str]:
        try:
            for _ in range(10):
                yield "One sentence. "
        finally:
            closed.set()

    async with emulated(realtime_factor=1.0) as (voice, _, _):
        speech = voice.speak(talkative())
        async for part in speech:
            if isinstance(part, SpeechAudio):
                break
        speech.cancel()
        await until(closed.is_set)


async def test_cancelled_before_anything_it_asks_for_nothing() -> None:
    async with emulated() as (voice, emulator, _):
        speech = voice.speak(HELLO)
        speech.cancel()
        speech.cancel()
        assert await heard(speech) == ([], None)
        assert await heard(voice.speak("Yes?")) != ([], None)
        assert list(emulator.stats.texts) == ["Yes?"]


# -- pace --------------------------------------------------------------------------------------------------


def test_the_pace_is_learnt_by_voice_and_language_at_any_speed() -> None:
    pace, spoken, text = Pace(), request(), "x" * 100
    assert pace.ms_per_char(spoken) == MS_PER_CHAR
    assert pace.ms_per_char(request(speed=2.0)) == MS_PER_CHAR / 2
    pace.learn(request(speed=2.0), 4000, text)
    assert pace.ms_per_char(spoken) == 80
    pace.learn(spoken, 9000, text)
    assert pace.ms_per_char(spoken) == pytest.approx(83)
    assert pace.ms_per_char(request(language="hi")) == MS_PER_CHAR


def test_a_short_text_teaches_nothing() -> None:
    pace = Pace()
    pace.learn(request(), 2000, "Yes.")
    assert pace.ms_per_char(request()) == MS_PER_CHAR


# -- all at once -------------------------------------------------------------------------------------------


async def test_a_storm_of_calls_faults_and_barge_ins_leaves_nothing_behind() -> None:
    chance = random.Random(11)

    async def one_call(voice: CallVoice, parts_before_barge_in: int) -> None:
        speech = voice.speak(LONG if chance.random() < 0.3 else HELLO)
        for _ in range(parts_before_barge_in):
            try:
                await anext(speech)
            except (StopAsyncIteration, LightningError):
                return
        speech.cancel()
        assert await heard(speech) == ([], None)

    async with emulated(0.3, late_chunks_after_cancel=2, odd_chunks=True) as (voice, emulator, live):
        for round_ in range(4):
            emulator.options.fail_after_ms = 300.0 if round_ == 1 else None
            emulator.options.close_after_complete = round_ == 2
            await asyncio.gather(*(one_call(voice, chance.randrange(40)) for _ in range(25)))
        assert (live.units.in_use, live.units.waiting, live.pool.lent) == (0, 0, 0)
        await until(lambda: emulator.stats.active == 0)
        await until(lambda: emulator.stats.open_connections == live.pool.idle)
        assert live.pool.idle <= 4
        assert emulator.stats.over_concurrency == 0
        assert (await heard(voice.speak(HELLO)))[1] is None
