"""Fetches the human recordings for tests and benchmarks: ``python tests/support/fetch_speech.py [--voices]``.

Strategy:

- They are Debian's asterisk sound packages (CC-BY-SA: unpacked into the git-ignored ``.cache``, never
  committed), taken through apt, which checks who signed them.
- Standard library only, and no root: it must run before anything is installed.
- One line says what was done, or why not. Not having them is no error here: the tests that need them say so
  and skip, or fail under CI.

``--voices`` adds four more voices (Spanish, French, Italian, Russian) for the benchmark.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

SPEECH_FOLDER: Final = Path(__file__).resolve().parents[2] / ".cache" / "speech"
PACKAGES: Final = ("asterisk-core-sounds-en-wav", "asterisk-moh-opsound-wav")
MORE_VOICES: Final = tuple(f"asterisk-core-sounds-{language}-wav" for language in ("es", "fr", "it", "ru"))

_TIMEOUT_S: Final = 180


class CannotFetch(Exception):
    """Why the recordings cannot be had."""


def fetch(packages: tuple[str, ...]) -> str:
    """Makes sure that `packages` are unpacked, and says what that took.

    Raises:
        CannotFetch: no apt here, no network, or no such package.
    """
    missing = [package for package in packages if not (SPEECH_FOLDER / package).is_dir()]
    if not missing:
        return f"already in {_shown(SPEECH_FOLDER)}"
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise CannotFetch(f"no apt-get and dpkg here; unpack {' and '.join(missing)} of Debian by hand")
    SPEECH_FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SPEECH_FOLDER) as scratch:
        for package in missing:
            _download(package, Path(scratch))
            _unpack(package, Path(scratch))
    return f"fetched {', '.join(missing)} into {_shown(SPEECH_FOLDER)}"


def _download(package: str, folder: Path) -> None:
    try:
        _run("apt-get", "-qq", "download", package, cwd=folder)
    except CannotFetch:
        # A fresh container has no lists yet. Whether we may fetch them is seen by trying.
        _run("apt-get", "-qq", "update", cwd=folder)
        _run("apt-get", "-qq", "download", package, cwd=folder)


def _unpack(package: str, folder: Path) -> None:
    """Into its place in one step, so that an interrupted run leaves nothing half there."""
    [archive] = folder.glob(f"{package}_*.deb")
    unpacked = folder / package
    _run("dpkg", "-x", archive.name, unpacked.name, cwd=folder)
    os.replace(unpacked, SPEECH_FOLDER / package)


def _run(*command: str, cwd: Path) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise CannotFetch(f"`{' '.join(command)}` took longer than {_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout).strip().splitlines() or [f"exit code {error.returncode}"]
        raise CannotFetch(f"`{' '.join(command)}` failed: {reason[-1]}") from None


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def main() -> None:
    """Fetches, and prints one line."""
    packages = PACKAGES + (MORE_VOICES if "--voices" in sys.argv[1:] else ())
    try:
        print(f"Human recordings: {fetch(packages)}.")
    except CannotFetch as reason:
        print(f"Human recordings: not fetched ({reason}); the tests that need them are skipped.")


if __name__ == "__main__":
    main()
