"""What the client of Lightning costs: its own delay, CPU for each second of audio, and sockets for barge-ins.

    python -m benchmarks.lightning [--rounds 200] [--check]

An emulated Lightning runs in a process of its own on loopback, answers its first chunk as soon as it can and the
rest as fast as it can, so what is measured is the client. Three questions:

- **Delay.** A bare socket (websockets, a prebuilt request, one `recv`) against the voice, in turn, in one process:
  from the request to the first chunk, and from `speak` to the first mu-law. The difference is the client's.
- **CPU.** CPU time of this process over the seconds of audio that came: `ulaw` untouched, and 24 kHz PCM converted.
- **Barge-ins.** An utterance is cancelled while its audio comes, and the next is asked for at once: how many sockets
  that opens for 100 of them, and how much later the next first byte is than without a barge-in.

``--check`` runs a few rounds and judges nothing but that they end well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bridge.config import LightningConfig, Secret
from bridge.lightning.speech import SpeechAudio
from bridge.lightning.voice import Voice, open_voice
from telephony_codecs.formats import MULAW_8K

SENTENCE = "Good morning, this is the front desk of the hotel, and how may we help you today?"
PARAGRAPH = " ".join([SENTENCE] * 3)
BARGE_INS = 100


@dataclass(frozen=True)
class Figures:
    """A sample of times in milliseconds."""

    name: str
    values_ms: list[float]

    def __str__(self) -> str:
        low, *_, high = quantiles(self.values_ms, n=20)
        return f"  {self.name:44} median {median(self.values_ms):7.2f} ms   p5 {low:7.2f}   p95 {high:7.2f}"


@asynccontextmanager
async def emulated(*, first_byte_ms: float = 0.0, factor: float = 0.0) -> AsyncIterator[str]:
    """An emulated Lightning in a process of its own; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", "emulate", "lightning", "--port", "0", "--engine", "tones",
        "--first-byte-ms", str(first_byte_ms), "--realtime-factor", str(factor), "--concurrency", "0",
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"SMALLEST_API_KEY": ""},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        yield next(word for word in line.split() if word.startswith("http")).rstrip(":,")
    finally:
        process.terminate()
        await process.wait()


def config(url: str, **changes: Any) -> LightningConfig:
    fields: dict[str, Any] = {
        "base_url": url,
        "api_key": Secret("any"),
        "concurrency": 4,
        "hedge_after_s": 0.0,
    }
    return LightningConfig(**fields | changes)


# -- the client's own delay --------------------------------------------------------------------------------


async def bare_first_chunk_ms(socket: ClientConnection) -> float:
    """From a request to its first chunk, on an open socket and with nothing around it."""
    request = {"text": SENTENCE, "voice_id": "magnus", "model": "lightning_v3.1", "language": "en",
               "sample_rate": 8000, "output_format": "ulaw", "complete_backoff_ms": 0}  # fmt: skip
    message = json.dumps(request)
    began_s = time.perf_counter()
    await socket.send(message)
    await socket.recv()
    first_s = time.perf_counter()
    while b'"complete"' not in await socket.recv(decode=False):
        pass
    return (first_s - began_s) * 1000


async def first_audio_ms(voice: Voice, text: str = SENTENCE) -> float:
    """From `speak` to the first mu-law, the utterance taken to its end."""
    began_s, first_s = time.perf_counter(), 0.0
    async for part in voice.for_call().speak(text):
        if isinstance(part, SpeechAudio) and not first_s:
            first_s = time.perf_counter()
    return (first_s - began_s) * 1000


async def measure_delay(rounds: int) -> None:
    async with emulated() as url, open_voice(config(url)) as voice:
        live = url.replace("http", "ws", 1) + "/waves/v1/tts/live"
        headers = {"Authorization": "Bearer any"}
        async with connect(live, additional_headers=headers, compression=None, proxy=None) as socket:
            bare, ours = [], []
            for _ in range(rounds + 10):
                bare.append(await bare_first_chunk_ms(socket))
                ours.append(await first_audio_ms(voice))
    bare, ours = bare[10:], ours[10:]
    print("The client's own delay to the first audio")
    print(Figures("bare socket: request to first chunk", bare))
    print(Figures("voice: speak to first mu-law", ours))
    print(Figures("difference, pair by pair", [b - a for a, b in zip(bare, ours, strict=True)]))


# -- CPU ---------------------------------------------------------------------------------------------------


async def cpu_ms_per_s(url: str, rounds: int, **changes: Any) -> list[float]:
    """CPU milliseconds of this process for each second of audio, once for each of `rounds`."""
    costs = []
    async with open_voice(config(url, **changes)) as voice:
        await first_audio_ms(voice)
        for _ in range(rounds):
            audio_ms, began_s = 0.0, time.process_time()
            async for part in voice.for_call().speak(PARAGRAPH):
                if isinstance(part, SpeechAudio):
                    audio_ms += MULAW_8K.ms_in(len(part.payload))
            costs.append((time.process_time() - began_s) * 1e6 / audio_ms)
    return costs


async def measure_cpu(rounds: int) -> None:
    print("\nCPU of the client for each second of audio, in chunks of 100 ms")
    async with emulated() as url:
        for name, changes in (
            ("ulaw 8 kHz, untouched", {}),
            ("PCM 8 kHz, encoded", {"output": "pcm"}),
            ("PCM 24 kHz, resampled and encoded", {"output": "pcm", "sample_rate": 24000}),
            ("ulaw 8 kHz over SSE", {"door": "sse"}),
        ):
            print(Figures(name, await cpu_ms_per_s(url, rounds, **changes)))


# -- barge-ins ---------------------------------------------------------------------------------------------


async def barged_in(voice: Voice) -> None:
    """Begin an utterance and cancel it while its audio comes."""
    speech = voice.for_call().speak(PARAGRAPH)
    async for part in speech:
        if isinstance(part, SpeechAudio):
            speech.cancel()


async def pausing(_voice: Voice) -> None:
    """What stands in for the barge-in where there is none."""


async def next_first_byte_ms(
    voice: Voice, before: Callable[[Voice], Awaitable[None]], pause_s: float
) -> float:
    await before(voice)
    await asyncio.sleep(pause_s)
    return await first_audio_ms(voice)


async def measure_barge_ins(rounds: int, *, pause_s: float, **changes: Any) -> None:
    # Slower than real life would be fast: the audio of what is cancelled is still coming when it is.
    async with emulated(first_byte_ms=20.0, factor=20.0) as url, open_voice(config(url, **changes)) as voice:
        await next_first_byte_ms(voice, pausing, 0.5)
        without, after = [], []
        connects = voice.stats.connects
        for _ in range(rounds):
            without.append(await next_first_byte_ms(voice, pausing, pause_s))
            after.append(await next_first_byte_ms(voice, barged_in, pause_s))
        opened = voice.stats.connects - connects
    asked = ", ".join(f"{key} {value}" for key, value in changes.items()) or "live"
    print(f"\nBarge-ins, {asked}: the next utterance is asked for {pause_s * 1000:g} ms after")
    print(Figures("next first byte without", without))
    print(Figures("next first byte after a barge-in", after))
    print(Figures("difference, pair by pair", [b - a for a, b in zip(without, after, strict=True)]))
    print(
        f"  sockets opened for {rounds} barge-ins: {opened}; waited for a handshake: {voice.stats.waited_for_connect}"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--check", action="store_true", help="a few rounds: does it work at all")
    arguments = parser.parse_args()
    rounds = 3 if arguments.check else arguments.rounds
    barge_ins = 3 if arguments.check else BARGE_INS
    await measure_delay(rounds)
    await measure_cpu(max(3, rounds // 10))
    await measure_barge_ins(barge_ins, pause_s=0.0)
    await measure_barge_ins(barge_ins, pause_s=0.2)
    await measure_barge_ins(barge_ins, pause_s=0.0, door="v4", voice_id="brannock", model="lightning_v4")


if __name__ == "__main__":
    asyncio.run(main())
