"""The codecs stay what they are: bytes in, bytes out. And what they offer is pinned."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import telephony_codecs

PACKAGE = Path(telephony_codecs.__file__).parent
MODULES = sorted(PACKAGE.glob("*.py"))
#: A clock, a wait, a thread or a connection; or what is built on this package.
FORBIDDEN = {
    "aiohttp",
    "asyncio",
    "bridge",
    "concurrent",
    "datetime",
    "logging",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uvloop",
    "websockets",
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_there_are_modules_to_look_at() -> None:
    assert {"g711", "resample", "wav"} <= {path.stem for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_clock_no_waiting_no_connection(path: Path) -> None:
    assert not imported(path) & FORBIDDEN


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_awaits(path: Path) -> None:
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, waits)]


def test_what_it_offers() -> None:
    assert telephony_codecs.__all__ == [
        "ALAW_8K",
        "MULAW_8K",
        "MULAW_TO_FLOAT",
        "PCM16_8K",
        "AudioFormat",
        "DtmfDetector",
        "Encoding",
        "Reframer",
        "Resampler",
        "Transcoder",
        "Wav",
        "WavStripper",
        "alaw_decode",
        "alaw_encode",
        "alaw_to_mulaw",
        "comfort_noise",
        "digits_audio",
        "gain",
        "interleave",
        "level_dbfs",
        "mulaw_decode",
        "mulaw_encode",
        "mulaw_to_alaw",
        "read_wav",
        "swap_bytes",
        "tone",
        "wav_bytes",
        "wav_header",
        "write_wav",
    ]
    assert all(hasattr(telephony_codecs, name) for name in telephony_codecs.__all__)


def test_it_tells_type_checkers_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
