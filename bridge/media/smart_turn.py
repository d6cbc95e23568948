"""Whether what the caller said sounds complete: the smart-turn model, asked at a pause. Optional.

Strategy:

- The operator names the file, ``[turns] smart_turn``. One that is missing or another model is found at start.
- It hears the last 8 s of the caller, and is asked once a pause, not for every window: it takes about 60 ms of a core.
- It runs in one thread of its own, so no packet waits for it. Who asks while too many wait is not answered: patience
  decides then, as it does where a verdict comes too late.
- A verdict that could not be had is logged and is no verdict. It never disturbs the call.

Facts, from the smart-turn v3.2 file itself (one input ``[n, 80, 800]``, one probability) and the code of pipecat 1.14
that runs it: 16 kHz, silence in front of what is shorter, Whisper's features with the wave normalised.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bridge.errors import ConfigError
from bridge.media.log_mel import BANDS, HOP_SAMPLES, RATE_HZ, log_mel
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.resample import Resampler

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

HEARS_MS: Final = 8000
#: Questions that may wait for the thread, the one that it works on included.
MAX_WAITING: Final = 8

_HEARS_BYTES: Final = MULAW_8K.bytes_in(HEARS_MS)
_HEARS_SAMPLES: Final = HEARS_MS * RATE_HZ // 1000
_COLUMNS: Final = _HEARS_SAMPLES // HOP_SAMPLES

log = logging.getLogger(__name__)


class SmartTurn:
    """The model: one for a process.

    Args:
        path: of the ONNX file.
        threshold: the probability from which on a turn sounds complete.
        source: of the setting, for the error.

    Raises:
        ConfigError: there is no such file, or it is no smart-turn model.
    """

    def __init__(self, path: Path, threshold: float = 0.5, *, source: str = "") -> None:
        try:
            self._session = _session(path)
        except Exception as error:  # onnxruntime's are of no common kind
            raise ConfigError(
                f"{path}: {_first_line(error)}", key="turns.smart_turn", source=source
            ) from None
        if fault := _fault(self._session):
            raise ConfigError(
                f"{path} is no smart-turn model: {fault}", key="turns.smart_turn", source=source
            )
        self._input = self._session.get_inputs()[0].name
        self._threshold = threshold
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smart-turn")
        self._waiting = 0

    def probability(self, mulaw: bytes) -> float:
        """How likely it is that what was said, 8 kHz mu-law, is complete. Blocks for as long as that takes."""
        up = Resampler(8000, RATE_HZ)
        pcm = up.feed(mulaw_decode(mulaw[-_HEARS_BYTES:])) + up.flush()
        wave = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
        wave = np.pad(wave, (_HEARS_SAMPLES - len(wave), 0))
        (found,) = self._session.run(None, {self._input: log_mel(wave)[None]})
        return float(np.asarray(found).reshape(-1)[0])

    def open(self) -> PauseJudge:
        """What listens to one call."""
        return PauseJudge(self)

    def ask(self, mulaw: bytes, then: Callable[[bool], None]) -> None:
        """Have it judged in the thread, and `then` called from the event loop; not at all when too many wait."""
        if self._waiting < MAX_WAITING:
            self._waiting += 1
            asked = asyncio.get_running_loop().run_in_executor(self._thread, self.probability, mulaw)
            asked.add_done_callback(partial(self._answer, then))

    def close(self) -> None:
        """Nobody asks any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answer(self, then: Callable[[bool], None], asked: asyncio.Future[float]) -> None:
        self._waiting -= 1
        if asked.cancelled():
            return
        if error := asked.exception():
            log.warning("smart-turn could not judge: %s", _first_line(error))
        else:
            then(asked.result() >= self._threshold)


class PauseJudge:
    """Keeps what one caller said last, and has it judged."""

    def __init__(self, model: SmartTurn) -> None:
        self._model: SmartTurn | None = model
        self._audio = bytearray()

    def push(self, mulaw: bytes) -> None:
        """Take the caller's next audio."""
        self._audio += mulaw
        if len(self._audio) >= 2 * _HEARS_BYTES:
            del self._audio[:-_HEARS_BYTES]

    def ask(self, then: Callable[[bool], None]) -> None:
        """Have what was heard up to now judged, and `then` called from the event loop. It may never be."""
        if self._model is not None:
            self._model.ask(bytes(self._audio[-_HEARS_BYTES:]), partial(self._tell, then))

    def close(self) -> None:
        """The call is over: nobody is told any more."""
        self._model = None
        self._audio.clear()

    def _tell(self, then: Callable[[bool], None], complete: bool) -> None:
        if self._model is not None:
            then(complete)


def _session(path: Path) -> InferenceSession:
    model = path.read_bytes()
    import onnxruntime as ort  # as in `silero`

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _fault(session: InferenceSession) -> str:
    """Why this is another model; empty when it is the right one."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].shape[1:] != [BANDS, _COLUMNS]:
        return f"it should have one input of [n, {BANDS}, {_COLUMNS}]"
    if len(outputs) != 1 or outputs[0].shape[1:] != [1]:
        return "it should have one output of [n, 1]"
    return ""


def _first_line(error: BaseException) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (reason.splitlines() or [type(error).__name__])[0]
