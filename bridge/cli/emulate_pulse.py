"""``bridge emulate pulse``: somebody who listens, to try agents with that need the caller's words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter

from bridge.cli.emulate import (
    FAULTS,
    Count,
    Fault,
    FaultCount,
    FaultFlag,
    Milliseconds,
    Port,
    Positive,
    Status,
)
from bridge.cli.running import listening, reading, run
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.emulators.recogniser import Recogniser

RecogniserName: TypeAlias = Literal["script", "pocketsphinx"]
#: What is heard where no script was given.
LINES: Final = ("Hello, can you hear me?", "Yes, please.", "No, thank you. Goodbye.")


def pulse(
    *,
    port: Port = 9003,
    host: str = "127.0.0.1",
    recogniser: RecogniserName = "script",
    script: Path | None = None,
    partial_ms: Milliseconds = 65.0,
    final_ms: Milliseconds = 65.0,
    partial_every_ms: Positive = 100.0,
    concurrency: Count = 0,
    refuse: Status = None,
    handshake_ms: Annotated[Milliseconds, Parameter(group=FAULTS)] = 0.0,
    close_at_once: FaultFlag = False,
    hang: FaultFlag = False,
    ignore_finalize: FaultFlag = False,
    garbage: FaultFlag = False,
    flood: FaultCount = 0,
    drop_after_ms: Fault = None,
    error_after_ms: Fault = None,
    faulty_sockets: FaultCount = 0,
) -> int:
    """Speak Pulse's wire protocol, offline, until Ctrl-C.

    Point a bridge at it with `BRIDGE_PULSE__BASE_URL=http://127.0.0.1:9003`. It accepts the key in SMALLEST_API_KEY, or
    any key when that is not set, and refuses what the real one refuses.

    Args:
        port: where to listen; 0 takes a free one.
        host: address to listen on.
        recogniser: who hears: a script, whatever is said, or PocketSphinx (the `recogniser` extra), which is English.
        script: a text file: the n-th time that a caller speaks, its n-th line is heard. PocketSphinx listens for its
            lines alone, and is far better at that.
        partial_ms: how late words are that may still change.
        final_ms: how late words are that will not.
        partial_every_ms: how much audio is between two answers that may still change.
        concurrency: sockets at once; one more is closed with 1008. 0 is no limit.
        refuse: answer the handshake with this HTTP status.
        handshake_ms: answer the handshake so late.
        close_at_once: close the socket with 1008 as soon as it is open.
        hang: never answer anything.
        ignore_finalize: never answer `finalize`.
        garbage: send what cannot be read before each answer.
        flood: send so many other answers with each piece of audio.
        drop_after_ms: drop the connection after so much audio.
        error_after_ms: send an error after so much audio, and close.
        faulty_sockets: only so many first sockets have faults; 0 is all.
    """
    from bridge.emulators.pulse import run as run_pulse
    from bridge.emulators.pulse_options import PulseEmulatorOptions

    options = PulseEmulatorOptions(
        partial_ms=partial_ms,
        final_ms=final_ms,
        partial_every_ms=partial_every_ms,
        concurrency=concurrency,
        refuse=refuse or 0,
        handshake_ms=handshake_ms,
        close_at_once=close_at_once,
        hang=hang,
        ignore_finalize=ignore_finalize,
        garbage=garbage,
        flood=flood,
        drop_after_ms=drop_after_ms,
        error_after_ms=error_after_ms,
        faulty_sockets=faulty_sockets,
    )
    hears = _recogniser(recogniser, _lines(script))
    with listening(host, port):
        run(run_pulse(hears, host=host, port=port, options=options))
    return 0


def _recogniser(name: RecogniserName, lines: list[str]) -> Recogniser:
    if name == "pocketsphinx":
        from bridge.emulators.pocketsphinx_words import PocketsphinxRecogniser

        return PocketsphinxRecogniser(lines)
    from bridge.emulators.scripted_words import ScriptedWords

    return ScriptedWords(lines or LINES)


def _lines(script: Path | None) -> list[str]:
    """The lines of `script` that are not empty; none when there is no script."""
    if script is None:
        return []
    with reading(script, "--script"):
        text = script.read_bytes()
    try:
        lines = [line.strip() for line in text.decode().splitlines()]
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8", key="--script", source=str(script)) from None
    if not any(lines):
        raise ConfigError("has no line", key="--script", source=str(script))
    return [line for line in lines if line]
