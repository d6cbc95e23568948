"""Pipecat as a telephone bot, for the comparison in `benchmarks.calls`. Runs in `.venv-peers`, never with the bridge.

    python pipecat_bot.py PORT LIGHTNING_PORT

As its own examples wire a Twilio bot: FastAPI WebSocket transport, Twilio serializer, Silero VAD with its default
parameters, user turns started by the VAD, its Smallest TTS service. It runs the same script as
`benchmarks/bench_agent.py`: silent until a digit, then talking without end; a digit or a voice interrupts, and after
1.5 s it talks on. Where a choice was open it is the cheaper one for Pipecat: 8 kHz throughout, so nothing is
resampled; no STT, no LLM, no smart-turn model; no metrics, no RTVI; uvloop.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputDTMFFrame,
    InterruptionFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.smallest.tts import SmallestTTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_processor import UserTurnProcessor
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

PAUSE_S = 1.5
RATE_HZ = 8000

app = FastAPI()


class Talker(FrameProcessor):
    """The benchmark's agent as a processor: what to say, and when."""

    def __init__(self, number: str) -> None:
        super().__init__()
        self._talk_text = f"This is call {number} and it has a good deal to say."
        self._talking = False
        self._pause_timer: asyncio.TimerHandle | None = None
        self._talk_tasks: set[asyncio.Task[None]] = set()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, InputDTMFFrame):
            if self._talking:
                await self.broadcast_interruption()
                self._speak_in(PAUSE_S)
            else:
                self._talking = True
                self._speak_in(0)
        elif isinstance(frame, InterruptionFrame) and self._talking:
            self._speak_in(PAUSE_S)
        elif isinstance(frame, BotStoppedSpeakingFrame) and self._pause_timer is None:
            self._speak_in(0)
        elif isinstance(frame, EndFrame | CancelFrame) and self._pause_timer:
            self._pause_timer.cancel()

    def _speak_in(self, seconds: float) -> None:
        if self._pause_timer:
            self._pause_timer.cancel()
        self._pause_timer = asyncio.get_running_loop().call_later(seconds, self._speak)

    def _speak(self) -> None:
        self._pause_timer = None
        task = asyncio.ensure_future(self.push_frame(TTSSpeakFrame(self._talk_text)))
        self._talk_tasks.add(task)
        task.add_done_callback(self._talk_tasks.discard)


def _pipeline(transport: FastAPIWebsocketTransport, number: str) -> Pipeline:
    turns = UserTurnStrategies(
        start=[VADUserTurnStartStrategy()],
        stop=[SpeechTimeoutUserTurnStopStrategy(wait_for_transcript=False)],
    )
    tts = SmallestTTSService(
        api_key="benchmark",
        base_url=f"ws://127.0.0.1:{sys.argv[2]}",
        sample_rate=RATE_HZ,
        word_timestamps=False,
    )
    return Pipeline(
        [
            transport.input(),
            VADProcessor(vad_analyzer=SileroVADAnalyzer(sample_rate=RATE_HZ)),
            UserTurnProcessor(user_turn_strategies=turns),
            Talker(number),
            tts,
            transport.output(),
        ]
    )


@app.get("/ready")
async def ready() -> dict[str, bool]:
    """Answers once the server is up."""
    return {"ready": True}


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    """One call."""
    await websocket.accept()
    messages = websocket.iter_text()
    await anext(messages)  # connected
    start = json.loads(await anext(messages))["start"]
    serializer = TwilioFrameSerializer(
        start["streamSid"], start["callSid"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    worker = PipelineWorker(
        _pipeline(transport, start["customParameters"]["number"]),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        enable_rtvi=False,
    )

    @transport.event_handler("on_client_disconnected")
    async def hung_up(_transport: object, _websocket: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", log_level="warning")
