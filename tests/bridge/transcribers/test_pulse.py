"""Pulse on real sockets: words come, whatever becomes of the sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridge.config import PulseConfig, Secret
from bridge.observe.stats import TranscriberStats
from bridge.transcribers.pulse import Pace, Pulse, PulseTranscription
from bridge.transcribers.replay import LEAD_IN_MS
from bridge.transcribers.transcriber import Transcript
from tests.support.log import tracebacks
from tests.support.scripted_pulse import Line, Script, ScriptedPulse, listening, silence, spoken
from tests.support.waiting import until

KEY = "sk-pulse-do-not-show-me"
#: Waits for nothing that a test does not wait for.
SOON = Pace(finalize_s=0.3, backoff_s=(0.001, 0.01), busy_s=(0.001, 0.01), refused_s=60.0)
#: Does not give up on a server that a busy machine keeps waiting.
PATIENT = Pace(finalize_s=20.0, backoff_s=(0.001, 0.01), busy_s=(0.001, 0.01))


class Hearing:
    """One call, and the words that it was told."""

    def __init__(self, pulse: Pulse) -> None:
        self.pulse, self.stats = pulse, pulse.stats
        self.told: list[Transcript] = []
        self.transcription: PulseTranscription = pulse.open("call-1", self.told.append)

    @property
    def text(self) -> str:
        """All final words."""
        return " ".join(t.text for t in self.told if t.final and t.text)

    @property
    def answers(self) -> list[Transcript]:
        return [t for t in self.told if t.finalised]

    def say(self, *words: str, then_ms: int = 0) -> None:
        audio = spoken(*words) + silence(then_ms)
        for at in range(0, len(audio), 160):
            self.transcription.push(audio[at : at + 160])

    async def ask(self) -> Transcript:
        """Ask for the words, and wait for them."""
        answers = len(self.answers)
        self.transcription.finalize()
        await until(lambda: len(self.answers) > answers)
        return self.answers[-1]


@asynccontextmanager
async def hearing(server: ScriptedPulse, pace: Pace = PATIENT, **settings: object) -> AsyncIterator[Hearing]:
    """A call that `server` transcribes."""
    config = PulseConfig(**{"base_url": server.url, "api_key": Secret(KEY), **settings})  # type: ignore[arg-type]
    pulse = Pulse(config, TranscriberStats(), pace=pace)
    await pulse.start()
    try:
        yield Hearing(pulse)
    finally:
        await pulse.close()


# -- what is sent, and what comes --------------------------------------------------------------------------------------


async def test_a_call_is_transcribed() -> None:
    async def script(line: Line) -> None:
        await line.hear(400)
        await line.partial("one")
        await line.until_asked()
        await line.final("one two", from_finalize=True, language="en")
        await line.silent()

    async with ScriptedPulse(script) as server, hearing(server) as call:
        call.say("one", "two")
        await until(lambda: bool(call.told))
        await call.ask()
        assert call.told == [
            Transcript("one"),
            Transcript("one two", final=True, finalised=True, language="en"),
        ]
        stats = call.stats
        assert (stats.calls, stats.connects, stats.partials, stats.finals, stats.finalizes) == (1, 1, 1, 1, 1)
        assert call.transcription.able
        assert bytes(server.lines[0].audio) == b""


async def test_the_handshake_says_what_is_sent_and_what_is_wanted() -> None:
    async with ScriptedPulse() as server, hearing(server, keywords=["Smallest:4", "New York"], language="hi"):
        await until(lambda: bool(server.lines))
        (request,) = server.handshakes
    parts = urlsplit(request.path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert parts.path == "/waves/v1/stt/live"
    assert query["encoding"] == "mulaw"
    assert query["sample_rate"] == "8000"
    assert (query["model"], query["language"]) == ("pulse", "hi")
    assert query["keywords"] == "Smallest:4,New York"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in request.path
    assert "permessage-deflate" not in request.headers.get("Sec-WebSocket-Extensions", "")


async def test_what_is_pending_goes_out_with_a_finalize() -> None:
    async with ScriptedPulse() as server, hearing(server) as call:
        await until(lambda: bool(server.lines))
        call.transcription.push(spoken("one"))
        call.transcription.push(b"\x02" * 160)
        assert (await call.ask()).text == "one two"
        assert sum(server.lines[0].pieces) == len(spoken("one")) + 160


async def test_audio_goes_out_in_pieces_that_are_not_too_small() -> None:
    async with ScriptedPulse() as server, hearing(server) as call:
        call.transcription.push(silence(40))
        await until(lambda: bool(server.lines) and server.lines[0].pieces == [320])
        for _ in range(4):
            call.transcription.push(silence(5))
            await asyncio.sleep(0)
        call.transcription.push(silence(20))
        await until(lambda: server.lines[0].pieces == [320, 320])


async def test_what_is_said_before_the_socket_is_open_is_heard() -> None:
    async with ScriptedPulse() as server, hearing(server) as call:
        call.say("one", "two")
        call.transcription.finalize()
        assert not server.lines
        call.say("three")
        assert (await call.ask()).text == "three"
        assert call.text == "one two three"
        assert call.stats.replayed_ms == 0


async def test_only_the_answer_to_the_last_finalize_is_one_to_all_of_them() -> None:
    release = asyncio.Event()

    async def script(line: Line) -> None:
        await line.until_asked()
        await line.until_asked()
        await release.wait()
        await line.final("one", from_finalize=True)
        await line.final("two", from_finalize=True)
        await line.silent()

    async with ScriptedPulse(script) as server, hearing(server) as call:
        call.say("one")
        call.transcription.finalize()
        call.say("two")
        call.transcription.finalize()
        call.transcription.finalize()
        release.set()
        await until(lambda: len(call.told) == 2)
        assert [t.finalised for t in call.told] == [False, True]
        assert call.stats.finalizes == 2


async def test_silence_keeps_the_socket() -> None:
    async with ScriptedPulse() as server, hearing(server, keepalive_s=0.01) as call:
        call.transcription.push(b"\x01" * 160)
        await until(lambda: bool(server.lines) and server.lines[0].pieces == [160, 160, 160])
        assert server.lines[0].audio[160:] == silence(40)


async def test_messages_without_words_are_counted_and_skipped() -> None:
    async def script(line: Line) -> None:
        await line.send({"type": "speech_started", "session_id": "stt_1", "timestamp": 0.1})
        await line.send({"type": "weather", "is_final": "perhaps"})
        await line.send("{")
        await line.send("[]")
        await line.error("Something is odd")
        await line.send("nonsense")
        await listening(line)

    async with ScriptedPulse(script) as server, hearing(server) as call:
        call.say("one")
        assert (await call.ask()).text == "one"
        stats = call.stats
        assert (stats.unknown_messages, stats.malformed_messages, stats.error_messages) == (1, 3, 1)
        assert len(server.lines) == 1


# -- sockets that break ------------------------------------------------------------------------------------------------


async def test_no_word_is_lost_or_doubled_when_the_socket_breaks() -> None:
    async def breaks(line: Line) -> None:
        await line.hear(5 * 200 + 800)
        await line.final("one two three four five")
        await line.hear(2 * 200)
        line.drop()

    async with ScriptedPulse(breaks, listening) as server, hearing(server) as call:
        await until(lambda: call.stats.connects == 1)
        call.say("one", "two", "three", "four", "five", then_ms=800)
        await until(lambda: bool(call.told))
        call.say("six", "seven")
        await until(lambda: call.stats.dropped_sockets == 1)
        assert call.transcription.able, "another socket is a matter of a moment"
        call.say("eight")
        assert (await call.ask()).text == "six seven eight"
        assert call.text == "one two three four five six seven eight"
        assert call.stats.connects == 2
        assert call.stats.replayed_ms == LEAD_IN_MS + 2 * 200
        assert call.stats.lost_ms == 0


async def test_words_of_a_final_in_the_middle_of_speech_are_not_doubled() -> None:
    async def breaks(line: Line) -> None:
        await line.hear(1000)
        await line.final("one two three four")
        await line.hear(200)
        line.drop()

    async with ScriptedPulse(breaks, listening) as server, hearing(server) as call:
        await until(lambda: call.stats.connects == 1)
        call.say("one", "two", "three", "four", "five")
        await until(lambda: bool(call.told))
        call.say("six")
        await until(lambda: call.stats.dropped_sockets == 1)
        await call.ask()
        assert call.text == "one two three four five six"


async def test_a_finalize_that_was_not_answered_is_asked_again() -> None:
    async def breaks(line: Line) -> None:
        await line.until_asked()
        line.drop()

    async with ScriptedPulse(breaks, breaks, listening) as server, hearing(server) as call:
        call.say("one", "two")
        assert await call.ask() == Transcript("one two", final=True, finalised=True)
        assert (call.stats.connects, call.stats.finalizes, len(call.told)) == (3, 1, 1)
        assert [line.asked for line in server.lines] == [["finalize"]] * 3


async def test_a_word_that_is_said_again_after_a_silence_is_no_repetition() -> None:
    async def breaks(line: Line) -> None:
        await line.hear(1200)
        await line.final("one")
        await line.hear(2000)
        line.drop()

    async with ScriptedPulse(breaks, listening) as server, hearing(server) as call:
        await until(lambda: call.stats.connects == 1)
        call.say("one", then_ms=1000)
        await until(lambda: bool(call.told))
        call.say(then_ms=2000)
        await until(lambda: call.stats.connects == 2)
        call.say("one")
        assert (await call.ask()).text == "one"
        assert call.stats.replayed_ms == LEAD_IN_MS


async def test_who_hears_a_replay_is_given_the_time_to() -> None:
    async def breaks(line: Line) -> None:
        await line.hear(4000)
        line.drop()

    async def catches_up(line: Line) -> None:
        await line.until_asked()
        await asyncio.sleep(2 * SOON.finalize_s)
        await line.answer()
        await line.silent()

    async with ScriptedPulse(breaks, catches_up) as server, hearing(server, SOON) as call:
        await until(lambda: call.stats.connects == 1)
        call.say("one", then_ms=3800)
        await until(lambda: len(server.lines) == 2 and server.lines[1].heard_bytes == 4000 * 8)
        assert (await call.ask()).text == "one"
        assert (call.stats.late_finals, call.stats.connects) == (0, 2)


async def test_no_more_is_kept_than_may_be() -> None:
    def refuse(_request: Request) -> Response | None:
        return None if len(server.handshakes) > 1 else Response(503, "", Headers(), b"")

    async with ScriptedPulse(refuse=refuse) as server, hearing(server, replay_ms=1000) as call:
        call.say("one", "two", "three", "four", "five", "six", "seven")
        assert call.stats.lost_ms == 400
        assert (await call.ask()).text == "three four five six seven"


# -- refusals ----------------------------------------------------------------------------------------------------------


async def closing(line: Line) -> None:
    await line.socket.close(1008, "")


async def test_over_concurrency_it_comes_back_later() -> None:
    async with ScriptedPulse(closing, closing, listening) as server, hearing(server) as call:
        call.say("one")
        call.transcription.finalize()
        await until(lambda: call.stats.refusals["busy"] > 0)
        assert not call.transcription.able
        await until(lambda: bool(call.told))
        assert call.text == "one"
        assert call.transcription.able
        assert dict(call.stats.refusals) == {"busy": 2}


def answering(status: int, body: bytes = b"") -> Callable[[Request], Response]:
    return lambda _request: Response(status, "", Headers(), body)


@pytest.mark.parametrize(
    "status, kind",
    [(401, "unauthorized"), (403, "unauthorized"), (400, "request"), (404, "request")],
)
async def test_what_asking_again_does_not_mend_is_not_asked_again(
    status: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"error":{"message":"Invalid key %s"}}' % KEY.encode()
    async with ScriptedPulse(refuse=answering(status, body)) as server, hearing(server) as call:
        await until(lambda: not call.transcription.able)
        others = [Hearing(call.pulse) for _ in range(3)]
        call.transcription.finalize()
        call.say("one")
        assert not any(other.transcription.able for other in others)
        assert dict(call.stats.refusals) == {kind: 1}
        assert call.stats.connect_failures == 1
    assert len(server.handshakes) == 1
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line == f"Pulse does not transcribe ({kind}): Invalid key ***"


async def test_the_log_does_not_follow_every_call_that_finds_no_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    room = asyncio.Event()

    async def full(line: Line) -> None:
        if room.is_set():
            await listening(line)
        await closing(line)

    async with ScriptedPulse(listening, full) as server, hearing(server) as call:
        await until(lambda: call.stats.connects == 1)
        other = Hearing(call.pulse)
        for count in range(3):
            await until(lambda: call.stats.refusals["busy"] > count)  # noqa: B023 - awaited at once
            call.say("one")
            await call.ask()
        room.set()
        other.say("two")
        await other.ask()
    told = [record.getMessage() for record in caplog.records if record.name == "bridge.transcribers.pulse"]
    assert told == ["Pulse does not transcribe (busy): closed with 1008", "Pulse can be reached again"]


async def test_after_a_while_a_new_call_asks_again() -> None:
    now_s = 0.0
    refused = answering(401)
    async with ScriptedPulse(refuse=lambda request: refused(request) if now_s < 60 else None) as server:
        config = PulseConfig(base_url=server.url, api_key=Secret(KEY))
        pulse = Pulse(config, TranscriberStats(), pace=SOON, clock=lambda: now_s)
        first = Hearing(pulse)
        await until(lambda: not first.transcription.able)
        now_s = 60.0
        second = Hearing(pulse)
        second.say("one")
        assert (await second.ask()).text == "one"
        await pulse.close()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_is_asked_again(status: int) -> None:
    refused = answering(status)
    async with (
        ScriptedPulse(refuse=lambda r: refused(r) if len(server.handshakes) < 3 else None) as server,
        hearing(server) as call,
    ):
        call.say("one")
        assert (await call.ask()).text == "one"
        assert call.stats.connect_failures == 2


async def test_a_socket_that_has_worked_is_opened_again_whatever_it_closes_with() -> None:
    async def leaves(line: Line) -> None:
        await line.until_asked()
        await line.answer()
        await line.error("Invalid session: it is too long")
        await line.socket.close(1000, "")

    async with ScriptedPulse(leaves, listening) as server, hearing(server) as call:
        call.say("one")
        await call.ask()
        await until(lambda: call.stats.connects == 2)
        call.say("two")
        assert (await call.ask()).text == "two"


async def test_nobody_listens_there() -> None:
    async with ScriptedPulse() as server:
        url = server.url
    pulse = Pulse(PulseConfig(base_url=url, api_key=Secret(KEY)), TranscriberStats(), pace=SOON)
    call = Hearing(pulse)
    await until(lambda: call.stats.connect_failures > 2)
    assert not call.transcription.able
    await pulse.close()


async def test_a_handshake_has_its_deadline() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side goes
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = PulseConfig(base_url=url, api_key=Secret(KEY), connect_timeout_s=0.02)
    pulse = Pulse(config, TranscriberStats(), pace=SOON)
    call = Hearing(pulse)
    await until(lambda: call.stats.connect_failures > 1)
    await pulse.close()
    server.close()


# -- answers that do not come ------------------------------------------------------------------------------------------


async def silent(line: Line) -> None:
    await line.silent()


async def test_who_does_not_answer_is_replaced_once() -> None:
    async with ScriptedPulse(silent, listening) as server, hearing(server, SOON) as call:
        call.say("one")
        assert (await call.ask()).text == "one"
        assert (call.stats.late_finals, call.stats.connects) == (1, 2)
        assert call.transcription.able


async def test_of_who_still_does_not_answer_no_words_are_expected() -> None:
    async def wakes_up(line: Line) -> None:
        await line.until_asked()
        await line.until_asked()
        await line.answer()
        await line.silent()

    async with ScriptedPulse(silent, wakes_up) as server, hearing(server, SOON) as call:
        call.say("one")
        call.transcription.finalize()
        await until(lambda: not call.transcription.able)
        assert (call.stats.late_finals, call.stats.connects, call.told) == (2, 2, [])
        call.say("two")
        assert (await call.ask()).text == "one two"
        assert call.transcription.able


async def test_who_has_talked_and_answers_a_ping_may_have_nothing_to_say() -> None:
    async def script(line: Line) -> None:
        await line.until_asked()
        await line.answer()
        await line.until_asked()  # of noise: no answer
        await listening(line)

    async with ScriptedPulse(script) as server, hearing(server, SOON) as call:
        call.say("one")
        await call.ask()
        call.transcription.push(silence(100))
        assert await call.ask() == Transcript("", final=True, finalised=True)
        assert call.transcription.able
        call.say("two")
        assert (await call.ask()).text == "two"
        assert (call.stats.late_finals, call.stats.connects) == (1, 1)


async def test_who_owes_words_is_replaced() -> None:
    async def script(line: Line) -> None:
        await line.until_asked()
        await line.answer()
        await line.hear(200)
        await line.partial("two")
        await line.silent()

    async with ScriptedPulse(script, listening) as server, hearing(server, SOON) as call:
        call.say("one")
        await call.ask()
        call.say("two")
        assert (await call.ask()).text == "two"
        assert call.stats.connects == 2


async def test_finals_that_do_not_say_what_they_answer() -> None:
    async def script(line: Line) -> None:
        while True:
            await line.until_asked()
            await line.final("words")

    async with ScriptedPulse(script) as server, hearing(server, SOON) as call:
        call.say("one")
        assert (await call.ask()).text == "", "after a while it is clear that it was one"
        assert call.told[0] == Transcript("words", final=True)
        for _ in range(2):
            call.say("two")
            assert (await call.ask()).text == "words", "at once"
        assert (call.stats.late_finals, call.stats.connects) == (1, 1)


# -- peers that are broken ---------------------------------------------------------------------------------------------


async def babbles(line: Line) -> None:
    for _ in range(3):
        await line.send(b"\xff\xfe")
    await line.silent()


async def floods(line: Line) -> None:
    while True:
        await line.partial("and so on")


@pytest.mark.parametrize(
    "script, counter, count", [(babbles, "malformed_messages", 3), (floods, "floods", 1)]
)
async def test_who_talks_nonsense_or_too_much_is_left(script: Script, counter: str, count: int) -> None:
    async with ScriptedPulse(script, listening) as server, hearing(server) as call:
        call.say("one")
        assert (await call.ask()).text == "one"
        assert getattr(call.stats, counter) == count
        assert (call.stats.connects, call.stats.dropped_sockets) == (2, 0)


async def test_a_message_without_end_is_no_transcript() -> None:
    async def script(line: Line) -> None:
        await line.final("a" * 2**18)
        await line.silent()

    async with ScriptedPulse(script, listening) as server, hearing(server) as call:
        call.say("one")
        await call.ask()
        assert call.text == "one"


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_a_call_that_is_over_says_so_and_hears_no_more() -> None:
    async with ScriptedPulse() as server, hearing(server) as call:
        call.say("one")
        await until(lambda: call.stats.connects == 1)
        call.transcription.close()
        call.transcription.close()
        call.say("two")
        call.transcription.finalize()
        await until(lambda: server.open == 0)
        assert server.lines[0].asked == ["close_stream"]
        assert call.told == []
        assert not call.transcription.able


@pytest.mark.parametrize("wait", [lambda: asyncio.sleep(0), lambda: asyncio.sleep(0.002)])
async def test_a_call_may_be_over_before_its_socket_is_open(
    wait: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedPulse() as server, hearing(server) as call:
        await wait()
        call.transcription.close()
    assert tracebacks(caplog) == []


async def test_the_process_waits_for_every_socket() -> None:
    async with ScriptedPulse() as server:
        async with hearing(server) as call:
            Hearing(call.pulse)
            await until(lambda: call.stats.connects == 2)
        await until(lambda: server.open == 0)
        assert [line.asked for line in server.lines] == [["close_stream"]] * 2


async def test_the_log_has_no_key_and_no_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def breaks(line: Line) -> None:
        await line.hear(200)
        await line.final("seven")
        await line.error(f"the key {KEY} is fine")
        await line.send('{"type":"transcription","transcript":["seven"]}')
        await line.socket.close(1011, f"sorry, {KEY}")

    async with ScriptedPulse(breaks, listening) as server, hearing(server) as call:
        call.say("one")
        await until(lambda: call.stats.connects == 2)
        assert call.text == "seven"
        assert (await call.ask()).text == "one"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("bridge")]
    assert "Pulse does not transcribe (unavailable): sorry, ***" in ours
    assert "Pulse can be reached again" in ours
    log = "\n".join(record.getMessage() for record in caplog.records if record.name != "scripted_server")
    assert KEY not in log
    assert "seven" not in log
    assert tracebacks(caplog) == []
