"""The engines that benchmarks/agents.py talks through: Pulse, a language model and Lightning, each with a fixed delay.

    python -m benchmarks.agent_engines CORE CALLS VOICES

VOICES is a file: the packets of each voice of the callers, as JSON. Prints addresses as JSON of `Engines`, and is over
when its input ends.

Strategy:

- They are the emulators, wire protocols and all, in a process of their own: nothing of theirs is the bridge's.
- A voice is known by its packets: the k-th is "question k", the model answers it with "answer k", and Lightning speaks
  that as the k-th sound of `benchmarks.sound`. So every packet that the bridge sends tells which question it answers.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks import sound
from benchmarks.process import pin
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.llm import EmulatedLlm, LlmOptions
from bridge.emulators.llm_rules import Rule
from bridge.emulators.pulse import EmulatedPulse
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.emulators.recogniser import FRAME_BYTES, FRAME_MS, RecognisedWord
from bridge.emulators.speech_engine import Speech
from telephony_codecs.reframer import Reframer

#: About what the real ones take from nearby.
PULSE_FINAL_MS, FIRST_TOKEN_MS, FIRST_BYTE_MS = 65.0, 250.0, 150.0
ANSWER_MS = 3000
#: So much of a voice, of which 100 ms come before its first sound, is a word: none is known sooner.
WORD_FRAMES = 25


@dataclass(frozen=True)
class Engines:
    """Where they are."""

    pulse: str
    llm: str
    lightning: str


class Voices:
    """A recogniser that knows packets of the callers' voices, and says whose they are."""

    name = "voices of the benchmark"
    blocks = False

    def __init__(self, voices: Sequence[Sequence[str]]) -> None:
        """`voices`: packets, base64."""
        self._numbers = {b64decode(packet): n for n, packets in enumerate(voices) for packet in packets}

    def open(self) -> _Known:
        """See `Recogniser.open`."""
        return _Known(self._numbers)


class _Known:
    """What is recognised on one socket: a question for every voice since the last `finish`."""

    def __init__(self, numbers: Mapping[bytes, int]) -> None:
        self._numbers, self._frames = numbers, Reframer(FRAME_BYTES)
        self._heard = 0
        self._words: list[RecognisedWord] = []
        #: The voice that is being heard, how much of it, and whether it is among the words.
        self._voice, self._voice_frames, self._told = -1, 0, False

    def feed(self, mulaw: bytes) -> None:
        """See `Recognition.feed`."""
        for frame in self._frames.feed(mulaw):
            self._heard += 1
            number = self._numbers.get(frame, -1)
            if number < 0:
                continue
            if number != self._voice:
                self._voice, self._voice_frames, self._told = number, 0, False
            self._voice_frames += 1
            if self._voice_frames >= WORD_FRAMES and not self._told:
                self._told, at_ms = True, self._heard * FRAME_MS
                self._words += [
                    RecognisedWord(text, at_ms - FRAME_MS, at_ms) for text in ("question", str(number))
                ]

    def words(self) -> Sequence[RecognisedWord]:
        """See `Recognition.words`."""
        return list(self._words)

    def finish(self) -> Sequence[RecognisedWord]:
        """See `Recognition.finish`."""
        words, self._words = self._words, []
        return words


class Answers:
    """A speech engine whose every byte tells which answer it is of."""

    name = "answers"

    def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
        """See `SpeechEngine.speak`."""
        found = re.search(r"answer (\d+)", text, re.IGNORECASE)
        return Speech(
            sound.as_pcm(sound.synthesis(identity_of(int(found[1]) if found else 0), ANSWER_MS)), 8000
        )


def identity_of(question: int) -> int:
    """The sound of the answer to it."""
    return sound.IDS[question % len(sound.IDS)]


async def serve(calls: int, voices: Sequence[Sequence[str]]) -> None:
    """Until the input ends."""
    rule = Rule(when=r"question (\d+)\W*$", say="Answer {1} is what you wanted to know.")
    async with AsyncExitStack() as stack:
        pulse = EmulatedPulse(
            PulseEmulatorOptions(partial_ms=PULSE_FINAL_MS, final_ms=PULSE_FINAL_MS), Voices(voices)
        )
        llm = EmulatedLlm(LlmOptions(first_token_ms=FIRST_TOKEN_MS), [rule])
        options = EmulatorOptions(first_byte_ms=FIRST_BYTE_MS, realtime_factor=5.0, concurrency=calls + 10)
        lightning = EmulatedLightning(options, Answers())
        for engine in (pulse, llm, lightning):
            await stack.enter_async_context(engine)
        print(json.dumps(asdict(Engines(pulse.url, llm.url, lightning.url))), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> int:
    """Serve; the exit status."""
    core, calls, voices = sys.argv[1:]
    pin(int(core))
    uvloop.run(serve(int(calls), json.loads(Path(voices).read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
