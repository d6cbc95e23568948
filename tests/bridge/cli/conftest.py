"""Commands run in this process: from an empty folder, and with nothing configured."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli.main import main
from tests.support.cli import Done, Invoke, patience


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that logs does it as the whole process does."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Run ``bridge`` with these arguments."""

    def run(*arguments: object) -> Done:
        with patience():
            code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return run
