"""Whether what was said sounds complete: the model where it is there, and what stands around it where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bridge.errors import ConfigError
from bridge.media.onnx_graph import Graph
from bridge.media.smart_turn import HEARS_MS, MAX_WAITING, SmartTurn
from telephony_codecs.formats import MULAW_8K
from tests.support import speech
from tests.support.call import build_call
from tests.support.fetch_smart_turn import require_smart_turn
from tests.support.virtual_time import virtual
from tests.support.waiting import until


def stand_in(folder: Path) -> Path:
    """A model of the same shape: the louder the last column, the surer it is."""
    graph = Graph()
    last, mean = np.zeros((800, 1), np.float32), np.full((1, 80), 1 / 80, np.float32)
    last[-1] = 1
    level = graph.node(
        "MatMul", graph.constant(mean), graph.node("MatMul", "input_features", graph.constant(last))
    )
    graph.node("Sigmoid", graph.node("Flatten", level, axis=1), name="logits")
    return written(
        folder, graph.model(inputs={"input_features": ("n", 80, 800)}, outputs={"logits": ("n", 1)})
    )


def written(folder: Path, model: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model)
    return path


def no_file(folder: Path) -> Path:
    return folder / "nowhere.onnx"


def no_model(folder: Path) -> Path:
    return written(folder, b"This is no model.")


def another_model(folder: Path) -> Path:
    graph = Graph()
    graph.node("Sigmoid", "input", name="output")
    return written(folder, graph.model(inputs={"input": ("n", 288)}, outputs={"output": ("n", 288)}))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (no_file, "No such file"),
        (no_model, "model.onnx: "),
        (another_model, r"is no smart-turn model: it should have one input of \[n, 80, 800\]"),
    ],
)
def test_what_is_no_smart_turn_model_is_found_at_start(
    make: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"bridge.toml: turns.smart_turn: .*{reason}"):
        SmartTurn(make(tmp_path), source="bridge.toml")


@pytest.mark.parametrize("ms", [0, 20, 5000, HEARS_MS, 3 * HEARS_MS])
def test_it_takes_sound_of_any_length(ms: int, tmp_path: Path) -> None:
    audio = speech.to_mulaw(speech.white_noise(ms / 1000, -30, seed=1)) if ms else b""
    assert 0 < SmartTurn(stand_in(tmp_path)).probability(audio) < 1


def test_it_hears_the_end_of_what_is_longer(tmp_path: Path) -> None:
    model = SmartTurn(stand_in(tmp_path))
    end = speech.to_mulaw(speech.white_noise(HEARS_MS / 1000, -30, seed=1))
    other = speech.to_mulaw(speech.tones(3, -10, 440))
    assert model.probability(other + end) == model.probability(end) != model.probability(end + other)


async def test_the_verdict_comes_from_a_thread_and_to_nobody_once_the_call_is_over(tmp_path: Path) -> None:
    model, verdicts = SmartTurn(stand_in(tmp_path), threshold=0.01), list[bool]()
    judge, other = model.open(), model.open()
    judge.push(MULAW_8K.silence(100))
    other.ask(verdicts.append)
    other.close()
    judge.ask(verdicts.append)
    assert verdicts == []
    await until(lambda: bool(verdicts))
    assert verdicts == [True]
    model.close()


async def test_who_asks_while_too_many_wait_is_not_answered(tmp_path: Path) -> None:
    model, verdicts = SmartTurn(stand_in(tmp_path)), list[bool]()
    judge = model.open()
    for _ in range(3 * MAX_WAITING):
        judge.ask(verdicts.append)
    await until(lambda: len(verdicts) == MAX_WAITING)
    judge.ask(verdicts.append)
    await until(lambda: len(verdicts) == MAX_WAITING + 1)
    model.close()


async def test_a_model_that_fails_gives_no_verdict_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, verdicts = SmartTurn(stand_in(tmp_path)), list[bool]()
    monkeypatch.setattr(model, "_input", "something else")
    model.open().ask(verdicts.append)
    await until(lambda: "could not judge" in caplog.text)
    assert verdicts == []
    model.close()


class Judge:
    """Says at once what a test has it say."""

    def __init__(self, complete: bool) -> None:
        self.complete, self.asked, self.closed = complete, 0, False

    def ask(self, then: Callable[[bool], None]) -> None:
        self.asked += 1
        asyncio.get_running_loop().call_soon(then, self.complete)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("complete", "windows"), [(True, 19), (False, 44)])
@virtual
async def test_a_call_gives_who_does_not_sound_complete_more_time(complete: bool, windows: int) -> None:
    scene, judge = build_call(), Judge(complete)
    scene.call._ears.judge = judge
    turns = aiter(scene.call.turns())
    scene.hear(*(0.95,) * 10, *(0.0,) * 7)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    scene.hear(*(0.0,) * (windows - 8))
    task = asyncio.ensure_future(anext(turns))
    await asyncio.sleep(0.001)
    assert not task.done()
    asked_s = asyncio.get_running_loop().time()
    await task  # what is left of patience is less than a window
    assert asyncio.get_running_loop().time() - asked_s < 0.032
    assert judge.asked == 1
    scene.call.end("carrier")
    assert judge.closed


@pytest.mark.speech
def test_whole_sentences_sound_more_complete_than_the_first_halves_of_them() -> None:
    model = SmartTurn(require_smart_turn())
    speech.require_speech()
    sentences = [speech.load(path) for path in speech.phrases()]
    sentences = [speech.at_level(each, -26) for each in sentences if 2.0 < len(each) / speech.RATE_HZ < 6.0][
        :12
    ]
    pause = speech.silence(0.2)
    whole = [model.probability(speech.to_mulaw(np.concatenate([each, pause]))) for each in sentences]
    halves = [
        model.probability(speech.to_mulaw(np.concatenate([each[: len(each) // 2], pause])))
        for each in sentences
    ]
    assert np.median(whole) > 0.9
    assert sum(p > 0.5 for p in whole) >= 7
    assert np.mean(whole) - np.mean(halves) > 0.2
