"""One voice: text in, mu-law out, piece after piece without a gap, with one second chance.

Strategy:

- One task for an utterance. It asks for a piece, waits until all of it has arrived, and asks for the next
  while the first is still being heard; but not while more than 20 s of audio are unread. Audio does not pass
  through it: it goes from the socket's callback to the reader's mailbox.
- Pieces come in order because there is never more than one synthesis at a time for an utterance.
- One retry for an utterance, with the text that is still unsaid: by the words' times when Lightning sends
  them, else by how long this voice takes for a character, which is learnt from what it has said.
- A voice is shared by all calls of a process. What it learns (the pace, and whether `ulaw` is honoured) holds
  for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterable
from typing import Final, TypedDict, Unpack

from bridge.config import LightningConfig
from bridge.errors import Busy, InvalidRequest, LightningError, Unavailable
from bridge.lightning.audio_guess import MulawAnswer
from bridge.lightning.limits import QUEUE_TIMEOUT
from bridge.lightning.messages import WORD_TIMED_LANGUAGES, WORD_TIMED_VOICES, SynthesisRequest
from bridge.lightning.pieces import pieces_of, rest_after_chars, rest_after_words
from bridge.lightning.speech import (
    PieceEnded,
    PieceStarted,
    Speech,
    SpeechAudio,
    SpokenWord,
    Synthesis,
    SynthesisPart,
    Synthesizer,
)
from telephony_codecs.formats import MULAW_8K, AudioFormat

#: Audio that may be unread before the next piece is asked for.
AHEAD_MS: Final = 20_000.0
#: English at its usual pace; other voices and languages are learnt.
MS_PER_CHAR: Final = 65.0
BUSY_BACKOFF_S: Final = 0.5
#: Told to come back later than this, we apologise instead: a caller does not wait longer in silence.
MAX_BUSY_WAIT_S: Final = 2.0


class VoiceOptions(TypedDict, total=False):
    """What a single utterance may have otherwise than the configuration says."""

    voice_id: str
    model: str
    language: str
    speed: float
    word_timestamps: bool
    pronunciation_dicts: list[str]


class Pace:
    """How long a character takes, by voice and language, at speed 1."""

    def __init__(self) -> None:
        self._ms_per_char: dict[tuple[str, str], float] = {}

    def ms_per_char(self, request: SynthesisRequest) -> float:
        """Milliseconds that a character of `request` takes."""
        return self._ms_per_char.get((request.voice_id, request.language), MS_PER_CHAR) / request.speed

    def learn(self, request: SynthesisRequest, spoken_ms: float) -> None:
        """`request` was spoken whole, in `spoken_ms`."""
        if len(request.text) < 20:
            return  # the silence around a short text says more than its characters
        now = spoken_ms / len(request.text) * request.speed
        before = self._ms_per_char.get((request.voice_id, request.language), now)
        self._ms_per_char[request.voice_id, request.language] = 0.7 * before + 0.3 * now


class Voice:
    """A voice for all calls of a process.

    Args:
        door: where syntheses come from.
        config: voice, model, language and speed.
        busy_backoff_s: wait before the retry when Lightning said that it is busy, and not for how long.
    """

    audio_format: Final[AudioFormat] = MULAW_8K

    def __init__(
        self, door: Synthesizer, config: LightningConfig, *, busy_backoff_s: float = BUSY_BACKOFF_S
    ) -> None:
        self.door, self.config, self.busy_backoff_s = door, config, busy_backoff_s
        self.pace = Pace()
        #: What Lightning answered last when it was asked for `ulaw`.
        self.answer_format: AudioFormat | None = None

    def speak(self, text: str | AsyncIterable[str], **options: Unpack[VoiceOptions]) -> Speech:
        """Speak `text`. Returns at once; iterate the speech for its parts.

        Blank text is an `InvalidRequest`; an iterator that yields nothing is a speech without parts.
        """
        return _Speaking(self, text, options).speech

    def request(self, text: str, options: VoiceOptions | None = None) -> SynthesisRequest:
        """What Lightning is asked for `text`: always 8000 Hz `ulaw`."""
        config, options = self.config, options or {}
        voice_id = options.get("voice_id", config.voice_id)
        language = options.get("language", config.language)
        timed = voice_id in WORD_TIMED_VOICES and language in WORD_TIMED_LANGUAGES
        return SynthesisRequest(
            text=text,
            voice_id=voice_id,
            model=options.get("model", config.model),
            language=language,
            speed=options.get("speed", config.speed),
            word_timestamps=options.get("word_timestamps", timed),
            pronunciation_dicts=options.get("pronunciation_dicts", []),
            sample_rate=MULAW_8K.rate_hz,
            output_format="ulaw",
            request_id=uuid.uuid4().hex,
        )


class _Speaking:
    """The task behind a `Speech`."""

    def __init__(self, voice: Voice, text: str | AsyncIterable[str], options: VoiceOptions) -> None:
        self._voice, self._stats, self._options = voice, voice.door.stats, options
        self.speech = Speech(self._stop)
        self._attempt: _Attempt | None = None
        self._retried = False
        self._task = asyncio.create_task(self._run(text))

    def _stop(self) -> None:
        if self._attempt is not None:
            self._attempt.synthesis.cancel()
        self._task.cancel()

    async def _run(self, text: str | AsyncIterable[str]) -> None:
        try:
            if isinstance(text, str) and not text.strip():
                raise InvalidRequest("text: is empty or only whitespace", code="local_check")
            async with contextlib.aclosing(pieces_of(text)) as pieces:
                async for piece in pieces:
                    await self.speech.room(AHEAD_MS)
                    await self._speak(piece)
        except Exception as error:  # of Lightning, or of the agent's iterator: the reader must know
            self._stats.speech_failures += isinstance(error, LightningError)
            self.speech.finish(error)
        else:
            self.speech.finish()

    async def _speak(self, piece: str) -> None:
        self.speech.deliver(PieceStarted(piece))
        rest, spoken_ms = piece, 0.0
        while rest:
            attempt = self._attempt = _Attempt(self._voice, self.speech, rest, self._options, spoken_ms)
            try:
                await attempt.finished()
                break
            except LightningError as error:
                rest = attempt.unsaid()
                if rest:
                    await self._before_retry(error)
            spoken_ms += attempt.spoken_ms
        self.speech.deliver(PieceEnded())

    async def _before_retry(self, error: LightningError) -> None:
        """Wait as long as the retry asks for.

        Raises:
            LightningError: `error`, when there is no second chance.
        """
        if self._retried or not error.retryable or error.code == QUEUE_TIMEOUT:
            raise error
        wait_s = 0.0
        if isinstance(error, Busy):
            wait_s = self._voice.busy_backoff_s if error.retry_after_s is None else error.retry_after_s
        if wait_s > MAX_BUSY_WAIT_S:
            raise error
        self._retried = True
        self._stats.retries += 1
        await asyncio.sleep(wait_s)


class _Attempt:
    """One synthesis of a piece, or of what is left of it, on its way into the speech.

    Args:
        offset_ms: audio of the piece that came before.
    """

    def __init__(
        self, voice: Voice, speech: Speech, text: str, options: VoiceOptions, offset_ms: float
    ) -> None:
        self._voice, self._speech, self._stats, self._offset_ms = voice, speech, voice.door.stats, offset_ms
        self._spoken_bytes = 0
        self._words: list[SpokenWord] = []
        self._answer = MulawAnswer(voice.answer_format)
        self.synthesis: Synthesis = voice.door.synthesize(voice.request(text, options), self._take)

    @property
    def spoken_ms(self) -> float:
        """Its audio so far."""
        return MULAW_8K.ms_in(self._spoken_bytes)

    async def finished(self) -> None:
        """Wait until all of it is in the speech.

        Raises:
            LightningError: it is not, and will not be.
        """
        try:
            await self.synthesis.finished()
        finally:
            self._note_timing()
        self._give(self._answer.flush())
        if not self.spoken_ms and any(c.isalnum() for c in self.synthesis.request.text):
            raise Unavailable("no audio for the text", code="no_audio", request_id=self.synthesis.request_id)
        self._learn()

    def unsaid(self) -> str:
        """What is left to say after it failed."""
        request = self.synthesis.request
        words = [word.word for word in self._words if word.end_ms <= self.spoken_ms]
        if words:
            return rest_after_words(request.text, words)
        return rest_after_chars(request.text, self.spoken_ms / self._voice.pace.ms_per_char(request))

    def _take(self, part: SynthesisPart) -> None:
        if isinstance(part, SpokenWord):
            self._words.append(part)
            offset_ms = self._offset_ms
            self._speech.deliver(SpokenWord(part.word, part.start_ms + offset_ms, part.end_ms + offset_ms))
            return
        try:
            self._give(self._answer.feed(part))
        except ValueError as error:
            self.synthesis.finish(Unavailable(f"unusable audio: {error}", code="audio_format"))

    def _give(self, audio: bytes) -> None:
        if audio:
            self._note_timing()
            self._spoken_bytes += len(audio)
            self._speech.deliver(SpeechAudio(audio))

    def _note_timing(self) -> None:
        if self._speech.first_audio_at_s is None:
            if self._speech.requested_at_s is None:
                self._speech.requested_at_s = self.synthesis.requested_at_s
            self._speech.first_audio_at_s = self.synthesis.first_audio_at_s

    def _learn(self) -> None:
        answer, voice = self._answer, self._voice
        if not self.spoken_ms:
            return
        voice.pace.learn(self.synthesis.request, self.spoken_ms)
        self._stats.wav_answers += answer.had_header
        self._stats.pcm_answers += answer.format != MULAW_8K
        if not answer.had_header:
            voice.answer_format = answer.format
