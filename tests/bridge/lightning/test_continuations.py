"""Text that streams in while its audio streams out, against a Lightning that does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unavailable
from bridge.lightning.continuations import RELEASE_MS, Fragments
from bridge.lightning.live import LightningLive
from bridge.lightning.speech import SpokenWord, StreamingSynthesizer, TextSynthesis
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes
from tests.support.lightning_live import mute, parts_of, talking
from tests.support.lightning_requests import request
from tests.support.scripted_lightning import Line, Script, ScriptedLightning
from tests.support.waiting import PATIENCE_S, until

#: A character of speech in this voice: 10 ms, 80 bytes.
MS_PER_CHAR = 10.0
#: Silences that must not matter to a test are longer than any test may last.
LONG_S = 500.0


def spoken(text: str) -> bytes:
    """What this voice makes of `text`."""
    return b"\x55" * round(8 * MS_PER_CHAR * len(text))


def opened(live: LightningLive, **changes: Any) -> TextSynthesis:
    assert isinstance(live, StreamingSynthesizer)
    return live.open_text(request(text="", **changes), expected_ms=lambda text: MS_PER_CHAR * len(text))


async def say_all(synthesis: TextSynthesis, texts: Sequence[str]) -> None:
    for text in texts:
        await synthesis.say(text)
    synthesis.end_text()


@asynccontextmanager
async def streaming(
    *scripts: Script, style: str = "context", keepalive_s: float = 25.0, **changes: Any
) -> AsyncIterator[tuple[LightningLive, ScriptedLightning]]:
    fields: dict[str, Any] = {"first_audio_timeout_s": LONG_S, "stall_timeout_s": LONG_S} | changes
    async with talking(*scripts, keepalive_s=keepalive_s, text_streaming=style, **fields) as (
        live,
        lightning,
    ):
        yield live, lightning


async def fluent(line: Line) -> None:
    """Speaks each fragment in a run of its own."""
    while True:
        asked = await line.request()
        if asked["text"]:
            await line.chunk(spoken(asked["text"]), asked)
            await line.complete(asked)


async def heard(synthesis: TextSynthesis) -> tuple[bytes, LightningError | None]:
    async with asyncio.timeout(PATIENCE_S):
        parts, error = await parts_of(synthesis)
    return b"".join(part for part in parts if isinstance(part, bytes)), error


# -- what is sent of a text --------------------------------------------------------------------------------

TWO = ["It is ", "late. ", "Good", " night", "!"]


@pytest.mark.parametrize(
    ("texts", "sent"),
    [
        (TWO, ["It is late.", " Good night!"]),
        (["It is late. Good night!"], ["It is late.", " Good night!"]),
        (["  \n"], []),
        ([], []),
        (["No stop"], ["No stop"]),
        (["...", " Well. ", "— ", "\n", "Yes. "], ["... Well.", " — Yes."]),
        (["One. ", "👍"], ["One."]),
        (["夜です。", "おやすみ"], ["夜です。", " おやすみ"]),
    ],
)
def test_what_is_sent_is_sentences(texts: list[str], sent: list[str]) -> None:
    fragments = Fragments()
    for text in texts:
        fragments.feed(text)
    fragments.end()
    assert fragments.ready == sent
    assert fragments.text == "".join(texts)


@given(st.lists(st.text(alphabet="ab1 .!?,\n", max_size=20), max_size=20))
def test_no_word_is_lost(texts: list[str]) -> None:
    fragments = Fragments()
    for text in texts:
        fragments.feed(text)
    fragments.end()
    words = [word for word in "".join(texts).split() if any(c.isalnum() for c in word)]
    sent = [word for word in "".join(fragments.ready).split() if any(c.isalnum() for c in word)]
    assert sent == words


async def test_a_context() -> None:
    async with streaming(fluent) as (live, lightning):
        synthesis = opened(live, speed=1.25)
        await say_all(synthesis, TWO)
        await synthesis.finished()
        first, second, end = lightning.requests
        assert len({message["context_id"] for message in lightning.requests}) == 1
        for message in lightning.requests:
            assert message["max_buffer_delay_ms"] == RELEASE_MS
            assert not {"flush", "max_buffer_flush_ms"} & message.keys()
            assert (message["request_id"], message["voice_id"], message["speed"]) == ("r1", "magnus", 1.25)
            assert message["complete_backoff_ms"] == 0
        assert [(m["text"], m["continue"]) for m in (first, second, end)] == [
            ("It is late.", True),
            (" Good night!", True),
            ("", False),
        ]


async def test_each_text_has_a_context_of_its_own() -> None:
    async with streaming(fluent) as (live, lightning):
        for _ in range(2):
            synthesis = opened(live)
            await say_all(synthesis, ["Yes."])
            await synthesis.finished()
        assert len({message["context_id"] for message in lightning.requests}) == 2


async def test_the_older_style() -> None:
    async with streaming(fluent, style="flush") as (live, lightning):
        synthesis = opened(live)
        await say_all(synthesis, TWO)
        assert await heard(synthesis) == (spoken("It is late. Good night!"), None)
        *fragments, end = lightning.requests
        assert all("context_id" not in message for message in lightning.requests)
        assert [(m["text"], m["continue"], m["flush"], m["max_buffer_flush_ms"]) for m in fragments] == [
            ("It is late.", True, False, RELEASE_MS),
            (" Good night!", True, False, RELEASE_MS),
        ]
        assert (end["text"], end["continue"], end["flush"]) == ("", False, True)
        assert "voice_id" in end


async def test_in_the_older_style_a_sentence_waits_until_the_one_before_was_spoken() -> None:
    go_on = asyncio.Event()

    async def slow(line: Line) -> None:
        asked = await line.request()
        await line.chunk(spoken(asked["text"]), asked)
        await go_on.wait()
        await line.complete(asked)
        await fluent(line)

    async with streaming(slow, style="flush") as (live, lightning):
        synthesis = opened(live)
        saying = asyncio.create_task(say_all(synthesis, TWO))
        assert await anext(synthesis) == spoken("It is late.")
        assert len(lightning.requests) == 1
        go_on.set()
        assert await heard(synthesis) == (spoken(" Good night!"), None)
        await saying


# -- the end -----------------------------------------------------------------------------------------------


async def test_audio_comes_before_the_text_has_ended() -> None:
    async with streaming(fluent, concurrency=1) as (live, lightning):
        synthesis = opened(live)
        assert (live.units.in_use, live.pool.lent) == (0, 0)
        await synthesis.say("It is late. Good")
        assert await anext(synthesis) == spoken("It is late.")
        assert (live.units.in_use, live.pool.lent) == (1, 1)
        await say_all(synthesis, [" night."])
        assert await heard(synthesis) == (spoken(" Good night."), None)
        assert synthesis.text == "It is late. Good night."
        assert (len(lightning.handshakes), live.stats.completed, live.stats.syntheses) == (1, 1, 1)
        assert (live.units.in_use, live.pool.lent, live.pool.idle) == (0, 0, 1)


async def test_text_without_anything_to_speak_costs_nothing() -> None:
    async with streaming(mute) as (live, lightning):
        for texts in ([], [" \n"], ["..."]):
            synthesis = opened(live)
            await say_all(synthesis, texts)
            assert await heard(synthesis) == (b"", None)
        assert (lightning.handshakes, live.stats.completed, live.units.in_use) == ([], 3, 0)


async def test_a_flush_of_nothing_is_not_waited_for() -> None:
    """The text ends long after all of it was spoken, so the last message is answered by nothing."""
    async with streaming(fluent, style="flush") as (live, lightning):
        synthesis = opened(live)
        await synthesis.say("It is late. \n")
        assert await anext(synthesis) == spoken("It is late.")
        synthesis.end_text()
        assert await heard(synthesis) == (b"", None)
        assert [message["text"] for message in lightning.requests] == ["It is late.", ""]


async def test_a_run_for_several_fragments_and_several_for_one() -> None:
    async def otherwise(line: Line) -> None:
        await line.request()
        asked = await line.request()
        await line.chunk(spoken("It is late. Good night!"), asked)
        await line.complete(asked)
        while (asked := await line.request())["text"]:
            for _ in range(2):
                await line.chunk(spoken(asked["text"])[::2], asked)
                await line.complete(asked)
        await line.silent()

    async with streaming(otherwise) as (live, _):
        synthesis = opened(live)
        await say_all(synthesis, [*TWO, "\n", "Sleep well."])
        assert await heard(synthesis) == (spoken("It is late. Good night! Sleep well."), None)


async def test_words_are_timed_from_the_start_of_the_text() -> None:
    async def timing(line: Line) -> None:
        for _ in range(2):
            asked = await line.request()
            await line.word(asked["text"].strip(), 0.01, 0.05, asked)
            await line.chunk(spoken(asked["text"]), asked)
            await line.complete(asked)
        await line.silent()

    async with streaming(timing) as (live, _):
        synthesis = opened(live, word_timestamps=True)
        await say_all(synthesis, ["Late. ", "Night."])
        parts, error = await parts_of(synthesis)
        words = [part for part in parts if isinstance(part, SpokenWord)]
        assert error is None
        assert words == [SpokenWord("Late.", 10, 50), SpokenWord("Night.", 60, 100)]


async def test_a_socket_whose_answers_name_nothing_is_not_used_again() -> None:
    """What may still come on it could not be told from the answers to somebody else."""

    async def nameless(line: Line) -> None:
        await line.chunk(spoken((await line.request())["text"]))
        await line.complete()
        await line.silent()

    async with streaming(nameless) as (live, lightning):
        synthesis = opened(live)
        await say_all(synthesis, ["It is late."])
        assert await heard(synthesis) == (spoken("It is late."), None)
        await until(lambda: lightning.open == 0)
        assert all("cancel_request" not in message for message in lightning.heard)


async def test_headers_of_the_runs_are_not_spoken() -> None:
    async def wearing(line: Line) -> None:
        while True:
            asked = await line.request()
            if asked["text"]:
                await line.chunk(wav_bytes(MULAW_8K, spoken(asked["text"])), asked)
                await line.complete(asked)

    async with streaming(wearing) as (live, _):
        synthesis = opened(live)
        await say_all(synthesis, TWO)
        assert await heard(synthesis) == (spoken("It is late. Good night!"), None)
        assert live.stats.wav_answers == 1


async def test_audio_that_nothing_can_be_done_with() -> None:
    async def wearing(line: Line) -> None:
        asked = await line.request()
        await line.chunk(wav_bytes(AudioFormat(Encoding.PCM16, 44100), bytes(100)), asked)
        await line.silent()

    async with streaming(wearing) as (live, _):
        synthesis = opened(live)
        await synthesis.say("It is late. ")
        audio, error = await heard(synthesis)
        assert error is not None
        assert (audio, error.code) == (b"", "audio_format")


# -- silences ----------------------------------------------------------------------------------------------


async def test_a_model_may_think_for_longer_than_any_deadline_and_the_socket_is_kept_awake() -> None:
    async with streaming(fluent, keepalive_s=0.02, stall_timeout_s=0.2) as (live, lightning):
        synthesis = opened(live)
        await synthesis.say("It is late. ")
        assert await anext(synthesis) == spoken("It is late.")
        await until(lambda: lightning.heard.count({"type": "ping"}) > 10)
        await say_all(synthesis, ["Good night!"])
        assert await heard(synthesis) == (spoken(" Good night!"), None)


async def test_text_that_is_not_answered() -> None:
    async with streaming(mute, first_audio_timeout_s=0.05) as (live, lightning):
        synthesis = opened(live)
        await synthesis.say("It is late. ")
        audio, error = await heard(synthesis)
        assert (audio, type(error), live.stats.late_first_audio) == (b"", TimedOut, 1)
        assert error is not None
        assert error.code == "first_audio_timeout"
        await until(lambda: lightning.open == 0)


async def test_text_of_which_most_is_never_spoken() -> None:
    async def forgetful(line: Line) -> None:
        asked = await line.request()
        await line.chunk(spoken(asked["text"]), asked)
        await line.complete(asked)
        await line.silent()

    async with streaming(forgetful, first_audio_timeout_s=0.5, stall_timeout_s=0.05) as (live, _):
        synthesis = opened(live)
        await say_all(synthesis, [*TWO, "\n", "Sleep well."])
        audio, error = await heard(synthesis)
        assert (audio, type(error)) == (spoken("It is late."), TimedOut)
        assert error is not None
        assert (error.code, live.stats.stalls) == ("stall_timeout", 1)


async def test_far_more_audio_than_the_text_so_far_can_last() -> None:
    async def flooding(line: Line) -> None:
        asked = await line.request()
        while True:
            await line.chunk(bytes(80_000), asked)

    async with streaming(flooding) as (live, _):
        synthesis = opened(live)
        await synthesis.say("x" * 300 + ". ")
        audio, error = await heard(synthesis)
        assert error is not None
        # 20 s for any text, and half a second for each of the characters given.
        assert (error.code, live.stats.floods) == ("flood", 1)
        assert 16_000 * 170 < len(audio) < 16_000 * 185


# -- sockets that go ---------------------------------------------------------------------------------------


async def test_a_socket_that_was_closed_while_it_lay_idle() -> None:
    async def deaf_after_one(line: Line) -> None:
        asked = await line.request()
        await line.chunk(b"ab", asked)
        await line.complete(asked)
        await line.request()
        line.drop()

    async with streaming(deaf_after_one, fluent) as (live, lightning):
        await live.synthesize(request()).finished()
        synthesis = opened(live, request_id="r2")
        await say_all(synthesis, TWO)
        assert await heard(synthesis) == (spoken("It is late. Good night!"), None)
        assert (live.stats.resends, live.stats.failed, len(lightning.handshakes)) == (1, 0, 2)
        texts = [message["text"] for message in lightning.requests if message["request_id"] == "r2"]
        assert texts[-3:] == ["It is late.", " Good night!", ""]


@pytest.mark.parametrize("how", ["closed", "told", "dropped"])
async def test_a_socket_that_goes_while_the_model_thinks(how: str) -> None:
    async def once(line: Line) -> None:
        asked = await line.request()
        await line.chunk(spoken(asked["text"]), asked)
        await line.complete(asked)
        if how == "told":
            await line.error(message="Connection timed out after 60 seconds of inactivity")
        elif how == "dropped":
            line.drop()

    async with streaming(once, fluent) as (live, lightning):
        synthesis = opened(live)
        await synthesis.say("It is late. ")
        await until(lambda: lightning.open == 0 and live.pool.lent == 0)
        assert live.units.in_use == 1
        await say_all(synthesis, ["Good night!"])
        assert await heard(synthesis) == (spoken("It is late. Good night!"), None)
        assert [message["text"] for message in lightning.requests][:2] == ["It is late.", " Good night!"]


async def test_a_socket_that_goes_with_the_last_complete() -> None:
    async def once(line: Line) -> None:
        asked = await line.request()
        await line.chunk(spoken(asked["text"]), asked)
        await line.complete(asked)

    async with streaming(once) as (live, lightning):
        synthesis = opened(live)
        await say_all(synthesis, ["It is late."])
        assert await heard(synthesis) == (spoken("It is late."), None)
        assert (len(lightning.handshakes), live.stats.failed) == (1, 0)


async def test_a_socket_that_goes_half_way() -> None:
    async def dropping(line: Line) -> None:
        await line.chunk(b"ab", await line.request())
        line.drop()

    async with streaming(dropping) as (live, _):
        synthesis = opened(live)
        await synthesis.say("It is late. ")
        audio, error = await heard(synthesis)
        assert (audio, type(error), live.units.in_use) == (b"ab", Unavailable, 0)
        await synthesis.say("Good night. ")
        synthesis.end_text()
        assert synthesis.text == "It is late. "


# -- errors ------------------------------------------------------------------------------------------------


async def test_a_refusal_of_lightning() -> None:
    async def refusing(line: Line) -> None:
        asked = await line.request()
        await line.error(asked, message="Concurrency limit reached", error_code="CONCURRENCY")
        await line.silent()

    async with streaming(refusing) as (live, _):
        synthesis = opened(live)
        await synthesis.say("It is late. ")
        _, error = await heard(synthesis)
        assert (type(error), live.stats.busy_answers, live.units.in_use) == (Busy, 1, 0)


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"output_format": "mulaw"}, "Late. "), ({}, "\ud83d late. "), ({"speed": 9}, "Late. ")],
)
async def test_what_lightning_would_refuse_is_refused_here(changes: dict[str, Any], text: str) -> None:
    async with streaming(mute) as (live, lightning):
        synthesis = opened(live, **changes)
        await synthesis.say(text)
        _, error = await heard(synthesis)
        assert (type(error), lightning.requests) == (InvalidRequest, [])


async def test_no_unit_in_time() -> None:
    async with streaming(mute, concurrency=1, queue_timeout_s=0.01) as (live, _):
        first, second = opened(live), opened(live)
        await first.say("It is late. ")
        await second.say("It is late. ")
        _, error = await heard(second)
        assert type(error) is Busy
        first.cancel()


# -- cancel ------------------------------------------------------------------------------------------------


async def test_a_cancel_names_the_context_and_frees_the_unit_at_once() -> None:
    async with streaming(fluent) as (live, lightning):
        synthesis = opened(live)
        await synthesis.say("It is late. Good")
        assert await anext(synthesis) == spoken("It is late.")
        synthesis.cancel()
        assert (live.units.in_use, live.pool.lent, live.stats.cancelled) == (0, 0, 1)
        await synthesis.say(" night. ")
        synthesis.end_text()
        assert await heard(synthesis) == (b"", None)
        await until(lambda: lightning.open == 0)
        context_id = lightning.requests[0]["context_id"]
        assert lightning.heard[-1] == {"request_id": "r1", "context_id": context_id, "cancel_request": True}


async def test_saying_does_not_outlast_a_cancel() -> None:
    async with streaming(mute, concurrency=1) as (live, _):
        first, second = opened(live), opened(live)
        await first.say("It is late. ")
        saying = asyncio.create_task(second.say("It is late. "))
        await until(lambda: live.units.waiting == 1)
        assert not saying.done()
        second.cancel()
        await saying
        assert live.units.waiting == 0
        first.cancel()


async def test_cancelled_before_anything_was_said() -> None:
    async with streaming(mute) as (live, lightning):
        synthesis = opened(live)
        synthesis.cancel()
        await say_all(synthesis, TWO)
        assert (await heard(synthesis), synthesis.text, lightning.handshakes) == ((b"", None), "", [])


async def test_closing_the_door_ends_it() -> None:
    async with streaming(mute) as (live, _):
        synthesis = opened(live)
        await synthesis.say("It is late. ")
        await live.close()
        _, error = await heard(synthesis)
        assert error is not None
        assert (error.code, live.units.in_use) == ("closed", 0)
