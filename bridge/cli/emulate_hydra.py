"""``bridge emulate hydra``: speech to speech by a script, to try agents with that are all Hydra's."""

from __future__ import annotations

from pathlib import Path

from bridge.cli.emulate import (
    Count,
    Engine,
    Factor,
    Fault,
    FaultCount,
    FaultFlag,
    Milliseconds,
    Port,
    Positive,
    Status,
)
from bridge.cli.running import Flag, listening, run


def hydra(
    *,
    port: Port = 9005,
    host: str = "127.0.0.1",
    script: Path | None = None,
    engine: Engine = "auto",
    answer_ms: Milliseconds = 464.0,
    silence_ms: Positive = 400.0,
    realtime_factor: Factor = 10.0,
    concurrency: Count = 0,
    idle_timeout_s: Positive = 30.0,
    transcripts: Flag = False,
    refuse: Status = None,
    full: FaultFlag = False,
    mute: FaultFlag = False,
    hang: FaultFlag = False,
    garbage: FaultFlag = False,
    flood: FaultCount = 0,
    drop_after_ms: Fault = None,
    keeps_talking: FaultFlag = False,
    odd_chunks: FaultFlag = False,
    faulty_sessions: FaultCount = 0,
) -> int:
    """Speak Hydra's wire protocol, offline, until Ctrl-C.

    Point an agent at it with `BRIDGE_AGENT__OPTIONS__BASE_URL=http://127.0.0.1:9005`. It accepts the key in
    SMALLEST_API_KEY, or any key when that is not set. It hears that somebody speaks, and not what.

    Args:
        port: where to listen; 0 takes a free one.
        host: address to listen on.
        script: a TOML file: `greeting`, and a `[[turns]]` for each turn of the caller: `say`; or `call` and `arguments`
            of a function, and `then`, said after its {output}. The last one goes for all further turns.
        engine: who speaks: eSpeak NG (the `demo` extra), or plain tones. `auto` takes what is there.
        answer_ms: from the end of the caller's turn to the first sound of the answer.
        silence_ms: the caller's turn ends with so much silence.
        realtime_factor: how much faster than real time sound is delivered; 0 is as fast as possible.
        concurrency: sessions at once; one more is told `server_full`. 0 is no limit.
        idle_timeout_s: a session without messages for so long is closed.
        transcripts: tell the words of answers too, as some servers do.
        refuse: answer the handshake with this HTTP status.
        full: say `server_full`, and close with 1013.
        mute: say nothing at all.
        hang: be configured, and never answer.
        garbage: send what cannot be read instead of answers.
        flood: send so many useless messages instead of an answer.
        drop_after_ms: drop the connection after so much sound of an answer.
        keeps_talking: send all of an answer though it was cancelled.
        odd_chunks: cut the sound in the middle of samples.
        faulty_sessions: only so many first sessions have faults; 0 is all.
    """
    from bridge.emulators.hydra import run as run_hydra
    from bridge.emulators.hydra_options import HydraEmulatorOptions, read_script
    from bridge.emulators.lightning import engine_named

    options = HydraEmulatorOptions(
        answer_ms=answer_ms,
        silence_ms=silence_ms,
        realtime_factor=realtime_factor,
        concurrency=concurrency,
        idle_timeout_s=idle_timeout_s,
        transcripts=transcripts,
        refuse=refuse or 0,
        full=full,
        mute=mute,
        hang=hang,
        garbage=garbage,
        flood=flood,
        drop_after_ms=drop_after_ms,
        keeps_talking=keeps_talking,
        odd_chunks=odd_chunks,
        faulty_sessions=faulty_sessions,
    )
    told = read_script(script) if script else None
    with listening(host, port):
        run(run_hydra(host=host, port=port, options=options, script=told, engine=engine_named(engine)))
    return 0
