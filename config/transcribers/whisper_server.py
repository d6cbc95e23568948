"""The example of docs/hearing.md: callers' words from a server of your own that takes a WAV and answers with text.

Run with PYTHONPATH=config/transcribers and

    [transcriber]
    entrypoint = "whisper_server:whisper"
    options = { url = "http://127.0.0.1:8080/inference" }

which is the address of whisper.cpp's `whisper-server`.
"""

import asyncio
from typing import Any

import aiohttp

from bridge.config_tree import Section, convert
from bridge.observe.stats import TranscriberStats
from bridge.transcribers.transcriber import Transcript, TranscriptSink
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import wav_bytes

PCM_16K = AudioFormat(Encoding.PCM16, 16_000)
MOST_BYTES = MULAW_8K.bytes_in(30_000)


class Options(Section, frozen=True):
    """What `[transcriber] options` may hold. Anything else is refused when the bridge starts."""

    url: str
    timeout_s: float = 5.0


class Whisper:
    """One for the process."""

    def __init__(self, options: Options, stats: TranscriberStats) -> None:
        self.options, self.stats = options, stats
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(self.options.timeout_s))

    async def close(self) -> None:
        await asyncio.gather(*self.tasks)
        await self._http.close()

    def open(self, call_id: str, into: TranscriptSink) -> "WhisperCall":
        self.stats.calls += 1
        return WhisperCall(self, into)

    async def words(self, mulaw: bytes) -> str:
        transcoder = Transcoder(MULAW_8K, PCM_16K)
        form = aiohttp.FormData({"response_format": "json"})
        form.add_field(
            "file", wav_bytes(PCM_16K, transcoder.feed(mulaw) + transcoder.flush()), filename="a.wav"
        )
        async with self._http.post(self.options.url, data=form) as answer:
            answer.raise_for_status()
            told = await answer.json(content_type=None)
            return " ".join(str(told["text"]).split())


class WhisperCall:
    """One for a call. It tells words only when it is asked to: there are no partial ones."""

    def __init__(self, whisper: Whisper, into: TranscriptSink) -> None:
        self.able = True
        self._whisper, self._into = whisper, into
        self._audio, self._asked, self._closed = bytearray(), 0, False
        self._in_turn = asyncio.Lock()

    def push(self, mulaw: bytes) -> None:
        self._audio += mulaw
        del self._audio[:-MOST_BYTES]

    def finalize(self) -> None:
        self._asked += 1
        self._whisper.stats.finalizes += 1
        audio, self._audio = bytes(self._audio), bytearray()
        task = asyncio.create_task(self._transcribe(audio, self._asked))
        self._whisper.tasks.add(task)
        task.add_done_callback(self._whisper.tasks.discard)

    def close(self) -> None:
        self._closed = True

    async def _transcribe(self, audio: bytes, number: int) -> None:
        async with self._in_turn:  # words come in the order in which they were said
            try:
                text, self.able = await self._whisper.words(audio), True
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
                text, self.able = "", False  # the agent hears that nothing was understood
                self._whisper.stats.connect_failures += 1
        if not self._closed:
            self._into(Transcript(text, final=True, finalised=number == self._asked))


def whisper(options: dict[str, Any], stats: TranscriberStats) -> Whisper:
    return Whisper(convert(options, Options, ""), stats)
