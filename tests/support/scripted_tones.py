"""A scripted Lightning that speaks in tones, and does something wrong on the way.

async def breaks(line: Line, asked: Message) -> None:
    await line.error(asked, message="Internal server error")

async with tone_lightning(breaks, after_ms=700) as lightning:
    ...  # connect to lightning.url
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from websockets.http11 import Request, Response

from bridge.emulators.speech_engine import ToneEngine
from telephony_codecs.formats import MULAW_8K
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.scripted_socket import Message
from tests.support.tone_words import spoken

CHUNK_MS: Final = 100

#: What goes wrong. False: nothing more is said in answer to this request.
Upset: TypeAlias = Callable[[Line, Message], Awaitable[bool]]


def tone_lightning(
    upset: Upset | None = None,
    *,
    after_ms: float = 0.0,
    encode: Callable[[bytes], bytes] = bytes,
    times: int | None = None,
    refuse: Callable[[Request], Response | None] | None = None,
) -> ScriptedLightning:
    """A Lightning that speaks as the emulated one does, as fast as it can.

    Args:
        upset: done once `after_ms` of a synthesis are out.
        encode: makes of a synthesis's mu-law what is sent instead.
        times: syntheses for which it holds; None: all of them.
        refuse: answers a handshake instead of a socket; None lets it in.
    """
    syntheses = 0

    async def script(line: Line) -> None:
        nonlocal syntheses
        while True:
            asked = await line.request()
            syntheses += 1
            if times is None or syntheses <= times:
                await _speak(line, asked, upset, after_ms, encode)
            else:
                await _speak(line, asked)

    return ScriptedLightning(script, refuse=refuse)


async def _speak(
    line: Line,
    asked: Message,
    upset: Upset | None = None,
    after_ms: float = 0.0,
    encode: Callable[[bytes], bytes] = bytes,
) -> None:
    text, voice = str(asked["text"]), str(asked["voice_id"])
    audio = encode(spoken(text, voice))
    words = list(ToneEngine().speak(text, voice_id=voice, language="en", speed=1.0).words)
    size = MULAW_8K.bytes_in(CHUNK_MS)
    for at in range(0, len(audio), size):
        at_ms = MULAW_8K.ms_in(at)
        if upset is not None and at_ms >= after_ms:
            if not await upset(line, asked):
                return
            upset = None
        await line.chunk(audio[at : at + size], asked)
        while asked.get("word_timestamps") and words and words[0].start_ms < at_ms + CHUNK_MS:
            word = words.pop(0)
            await line.word(word.text, word.start_ms / 1000, word.end_ms / 1000, asked)
    await line.complete(asked)
