"""Text that streams in while its audio streams out: one socket and one unit for the whole of it.

Strategy:

- A fragment is a whole sentence (`pieces` decides), never a token: Lightning would release half sentences when a model
  pauses, and those sound like it. A sentence cannot be spoken well before its end anyway, so nothing is lost.
- Lightning holds a sentence that it finds short until it has waited for more. Every fragment asks for as good as no
  wait (`RELEASE_MS`), so its audio comes as soon as that of a synthesis of its own would. It is not 0, which may mean
  "no limit"; and it stands in every message, because nobody says whether the first or the last one counts.
- No answer says that it is the last: `EndOfText` decides. A socket is used again only when it is certain, and every
  answer named its request, so that what may still come cannot be taken for another's.
- A socket that goes while nothing is owed is replaced without a word. One that goes before anything of a burst was
  heard, and may have been dead before, is replaced and asked again.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Final, Protocol

from bridge.errors import LightningError
from bridge.lightning.connection import Link
from bridge.lightning.door import Door
from bridge.lightning.end_of_text import MS_PER_CHAR, EndOfText, ExpectedMs, Verdict
from bridge.lightning.messages import ENCODINGS, Chunk, Complete, Message, SynthesisRequest, Word, encode
from bridge.lightning.pieces import Splitter, is_spoken
from bridge.lightning.pool import Pool
from bridge.lightning.riding import RidingSynthesis
from bridge.lightning.run_audio import RunAudio
from bridge.lightning.speech import PartSink, SpokenWord, TextSynthesis
from bridge.lightning.wire import Fields
from telephony_codecs.formats import AudioFormat, Encoding

RELEASE_MS: Final = 1


class Style(Protocol):
    """How fragments are told to belong together."""

    context_id: str
    #: Whether a fragment has to wait until the one before has been spoken.
    in_turns: bool

    def fragment(self, text: str) -> Fields:
        """What a message with `text` says, besides the usual."""

    def end(self) -> Fields:
        """What the message says that ends the text."""


class ContextStyle:
    """One context for the whole text, with an id that no other has (continuations)."""

    in_turns = False

    def __init__(self) -> None:
        self.context_id = uuid.uuid4().hex

    def fragment(self, text: str) -> Fields:
        """See `Style`."""
        return {"text": text, "continue": True, **self._context}

    def end(self) -> Fields:
        """See `Style`. The text is optional; clients that are known to work send it."""
        return {"text": "", "continue": False, **self._context}

    @property
    def _context(self) -> Fields:
        return {"context_id": self.context_id, "max_buffer_delay_ms": RELEASE_MS}


class FlushStyle:
    """The socket's one buffer, as before there were contexts.

    Nobody says whether what is released while something is spoken waits for its turn, and whether it costs another
    unit. So it is not sent before.
    """

    context_id, in_turns = "", True

    def fragment(self, text: str) -> Fields:
        """See `Style`."""
        return {"text": text, "continue": True, "flush": False, "max_buffer_flush_ms": RELEASE_MS}

    def end(self) -> Fields:
        """See `Style`. When nothing is buffered, nothing answers it."""
        return {"text": "", "continue": False, "flush": True}


class Fragments:
    """Text that comes bit by bit, as what is sent of it: sentences, each with something in it to speak."""

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._mute = ""
        #: All that was given.
        self.text = ""
        #: What is to be sent. Each but the first begins with the space between it and the one before.
        self.ready: list[str] = []

    def feed(self, text: str) -> None:
        """Take more text."""
        self.text += text
        self._add(self._splitter.feed(text))

    def end(self) -> None:
        """No more text will come. What is left without a letter or digit is not sent: it would never be answered."""
        self._add(self._splitter.flush())

    def _add(self, pieces: list[str]) -> None:
        for piece in pieces:
            if not is_spoken(piece):
                self._mute += piece + " "
                continue
            self.ready.append(" " * bool(self.ready) + self._mute + piece)
            self._mute = ""


class ContinuedSynthesis(RidingSynthesis, TextSynthesis):
    """A `TextSynthesis` on a socket.

    It takes its unit of concurrency and its socket with the first sentence.
    """

    def __init__(
        self,
        request: SynthesisRequest,
        into: PartSink | None,
        door: Door,
        pool: Pool,
        wait_s: float | None = None,
        expected_ms: ExpectedMs | None = None,
    ) -> None:
        super().__init__(request, into, door, pool, wait_s)
        self._style: Style = ContextStyle()
        self._fragments = Fragments()
        self._next = 0
        self._text_ended = False
        #: Something is to be sent; everything has been; and what was sent last has been spoken.
        self._to_send, self._all_sent, self._spoken = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._end_of_text = EndOfText(
            expected_ms or (lambda text: len(text) * MS_PER_CHAR / request.speed),
            first_audio_s=door.config.first_audio_timeout_s,
            stall_s=door.config.stall_timeout_s,
        )
        encoding = ENCODINGS.get(request.output_format, Encoding.PCM16)
        self._audio = RunAudio(AudioFormat(encoding, request.sample_rate))
        self._all_named = True
        #: The fragment from which on all was sent a second time.
        self._resent_from = -1

    # -- the text --------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """See `TextSynthesis`."""
        return self._fragments.text

    async def say(self, text: str) -> None:
        """See `TextSynthesis`. A sentence that is not whole yet waits here for its end."""
        if self.over or self._text_ended:
            return
        self._fragments.feed(text)
        while self._unsent and not self.over:
            self._to_send.set()
            self._all_sent.clear()
            await self._all_sent.wait()

    def end_text(self) -> None:
        """See `TextSynthesis`."""
        if self.over or self._text_ended:
            return
        self._text_ended = True
        self._fragments.end()
        if not self._unsent and self._link is None:
            self._complete()  # nothing was given, or all of it has been spoken
        self._to_send.set()

    @property
    def _unsent(self) -> bool:
        return self._next < len(self._fragments.ready)

    async def _run(self) -> None:
        await self._to_send.wait()
        await super()._run()

    async def _ask(self) -> None:
        usual = self._wire.usual(self.request, self._config)
        link = await self._board()
        self._style = FlushStyle() if self._config.text_streaming == "flush" else ContextStyle()
        self._spoken.set()
        while await self._send_all(link, usual):
            if self._text_ended:
                if await link.send(self._message(usual, self._style.end())):
                    self._end_of_text.ended()
                    self._watch()
                return
            await self._more_to_send(link)

    async def _send_all(self, link: Link, usual: Fields) -> bool:
        """Send the fragments that there are. False when the socket is gone."""
        while self._unsent:
            if self._style.in_turns:
                await self._spoken.wait()
                self._spoken.clear()
            fragment = self._fragments.ready[self._next]
            message = self._message(usual, self._style.fragment(fragment))
            self._next += 1
            self._end_of_text.gave(fragment, time.monotonic())
            self._sent()
            if self.over or not await link.send(message):
                return False
        self._to_send.clear()
        self._all_sent.set()
        return True

    async def _more_to_send(self, link: Link) -> None:
        """Wait for more, and keep the socket from going idle meanwhile."""
        while not (self._to_send.is_set() or self._text_ended):
            try:
                async with asyncio.timeout(link.used_at_s + self._pool.keepalive_s - time.monotonic()):
                    await self._to_send.wait()
            except TimeoutError:
                await link.send(self._wire.ping)

    def _message(self, usual: Fields, more: Fields) -> bytes:
        return encode({**usual, **more}, self.request_id)

    def _text_chars(self) -> int:
        return len(self.text)

    # -- what the socket tells -------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message that is for this synthesis."""
        if isinstance(message, Chunk | Word | Complete):
            self._all_named &= message.request_id is not None
        super().receive(message)

    def _take_audio(self, audio: bytes) -> None:
        try:
            self._note_audio(self._audio.feed(audio))
        except ValueError as error:
            self.finish(self._unavailable(f"unusable audio: {error}", "audio_format"))

    def _note_audio(self, audio: bytes) -> None:
        if not audio:
            return
        new_run = not self._end_of_text.run_open
        self._end_of_text.audio(self._audio.ms_in(audio), time.monotonic())
        super()._take_audio(audio)
        if new_run:
            self._watch()

    def _take_word(self, word: SpokenWord) -> None:
        end, offset_ms = self._end_of_text, self._end_of_text.run_began_ms
        end.word(word.word, time.monotonic())
        self.deliver(SpokenWord(word.word, word.start_ms + offset_ms, word.end_ms + offset_ms))

    def _completed(self, message: Complete) -> None:
        self._note_audio(self._audio.end_run())
        self._end_of_text.complete(time.monotonic())
        self._spoken.set()
        self._watch()

    def dropped(self, error: LightningError) -> None:
        """The socket is gone, or as good as."""
        link, end = self._link, self._end_of_text
        if link is None or self.over:
            return
        unheard_from = end.unheard_from
        if end.nothing_owed:
            self._go_on()
        elif unheard_from not in (None, self._resent_from) and (link.was_idle or unheard_from):
            assert unheard_from is not None
            self._stats.resends += 1
            self._resent, self._resent_from, self._next = True, unheard_from, unheard_from
            end.forget_burst()
            self._go_on()
        else:
            self.finish(error)

    def _go_on(self) -> None:
        """On another socket, if anything is left to say."""
        self._get_off()
        self._task.cancel()
        if self._unsent:
            self._to_send.set()
        elif self._text_ended:
            self._complete()
            return
        self._start_over()

    # -- deadlines, and the end ------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look what the silence means; come back when it may mean something else."""
        self._unwatch()
        if self.over:
            return
        look = self._end_of_text.look(time.monotonic())
        if look.verdict is Verdict.OVER:
            self._complete()
        elif look.verdict is Verdict.SILENT:
            self._time_out(look.limit_s)
        elif look.again_at_s is not None:
            wait_s = max(0.0, look.again_at_s - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._watch)

    def _farewell(self) -> bytes:
        return self._wire.farewell(self.request_id, self._style.context_id)

    def _may_reuse(self) -> bool:
        return self._all_named and self._end_of_text.certain

    def _let_go(self) -> None:
        self._all_sent.set()
        self._stats.wav_answers += self._audio.had_header
        super()._let_go()
