"""The benchmark of Lightning's client runs, and says what it measured."""

from __future__ import annotations

import pytest

from benchmarks.lightning import measure_barge_ins, measure_cpu, measure_delay


async def test_each_question_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    await measure_delay(2)
    await measure_cpu(2)
    await measure_barge_ins(2, pause_s=0.0)
    told = capsys.readouterr().out
    for line in (
        "difference, pair by pair",
        "ulaw 8 kHz, untouched",
        "PCM 24 kHz",
        "sockets opened for 2 barge-ins",
    ):
        assert line in told
