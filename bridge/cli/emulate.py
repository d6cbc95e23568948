"""``bridge emulate``: a Lightning to talk to, a caller to be called by."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from bridge.cli.running import ConfigPath, Flag, Text, listening, reserved, run, writing

Milliseconds: TypeAlias = Annotated[float, Parameter(validator=Number(gte=0))]
Count: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0))]
Positive: TypeAlias = Annotated[float, Parameter(validator=Number(gt=0))]
#: Of real time; 0 is no pace at all.
Factor: TypeAlias = Annotated[float, Parameter(validator=Number(gte=0))]
Port: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0, lte=65535))]
Engine: TypeAlias = Literal["auto", "espeak", "tones"]
FAULTS: Final = Group("Faults", sort_key=1)
Fault: TypeAlias = Annotated[Milliseconds | None, Parameter(group=FAULTS)]
FaultFlag: TypeAlias = Annotated[Flag, Parameter(group=FAULTS)]
FaultCount: TypeAlias = Annotated[Count, Parameter(group=FAULTS)]
#: An HTTP status that refuses.
Status: TypeAlias = Annotated[int | None, Parameter(group=FAULTS, validator=Number(gte=400, lte=599))]


def lightning(
    *,
    port: Port = 9001,
    host: str = "127.0.0.1",
    engine: Engine = "auto",
    first_byte_ms: Milliseconds = 150.0,
    jitter_ms: Milliseconds = 0.0,
    chunk_ms: Positive = 100.0,
    realtime_factor: Factor = 3.3,
    concurrency: Count = 10,
    any_voice: Flag = False,
    v2_retired: Flag = False,
    close_after_complete: Flag = False,
    cancel_keeps_audio: Flag = False,
    old_messages: Flag = False,
    fail_after_ms: Fault = None,
    stall_after_ms: Fault = None,
    error_after_ms: Fault = None,
    garble_after_ms: Fault = None,
    faulty_requests: FaultCount = 0,
    answer_pcm: FaultFlag = False,
    odd_chunks: FaultFlag = False,
    wav_header: FaultFlag = False,
) -> int:
    """Speak Lightning's wire protocol, offline, until Ctrl-C.

    Point a bridge at it with `BRIDGE_LIGHTNING__BASE_URL=http://127.0.0.1:9001`. It accepts the key in
    SMALLEST_API_KEY, or any key when that is not set, and refuses what the real one refuses.

    Args:
        port: where to listen; 0 takes a free one.
        host: address to listen on.
        engine: who speaks: eSpeak NG (the `demo` extra), or plain tones. `auto` takes what is there.
        first_byte_ms: from a request to its first audio.
        jitter_ms: each message is late by up to so much, at random; never out of order.
        chunk_ms: audio in one message.
        realtime_factor: how much faster than real time audio is delivered; 0 is as fast as possible.
        concurrency: syntheses at once; one more is refused. 0 is no limit.
        any_voice: accept voices that are not in Lightning's documentation.
        v2_retired: answer Lightning v2 with 410, as the real service does now.
        close_after_complete: close the socket after each synthesis.
        cancel_keeps_audio: a cancel drops only text that waits, not what is being spoken.
        old_messages: tell ends, errors and events as older documentation has them.
        fail_after_ms: drop the connection after so much audio of a synthesis.
        stall_after_ms: go silent after so much audio of a synthesis.
        error_after_ms: end a synthesis with an error after so much of its audio.
        garble_after_ms: send one message that cannot be read after so much audio.
        faulty_requests: only so many first syntheses fail, stall, err or are garbled; 0 is all.
        answer_pcm: answer with PCM though mu-law was asked.
        odd_chunks: cut chunks at sizes that fit no sample.
        wav_header: put a WAV header in front though nobody asked.
    """
    from bridge.emulators.lightning import run as run_lightning
    from bridge.emulators.lightning_options import EmulatorOptions

    options = EmulatorOptions(
        first_byte_ms=first_byte_ms,
        jitter_ms=jitter_ms,
        chunk_ms=chunk_ms,
        realtime_factor=realtime_factor,
        concurrency=concurrency,
        strict_voices=not any_voice,
        v2_retired=v2_retired,
        close_after_complete=close_after_complete,
        cancel_stops_audio=not cancel_keeps_audio,
        old_complete=old_messages,
        old_sse=old_messages,
        nested_errors=old_messages,
        fail_after_ms=fail_after_ms,
        stall_after_ms=stall_after_ms,
        error_after_ms=error_after_ms,
        garble_after_ms=garble_after_ms,
        faulty_requests=faulty_requests,
        answer_pcm=answer_pcm,
        odd_chunks=odd_chunks,
        wav_header=wav_header,
    )
    with listening(host, port):
        run(run_lightning(host=host, port=port, options=options, engine=engine))
    return 0


def caller(
    url: str,
    /,
    *,
    carrier: str = "twilio",
    config: ConfigPath = None,
    speak: Annotated[list[Path] | None, Parameter(negative="")] = None,
    speak_after_s: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0,
    digits: Text = "",
    in_band: Flag = False,
    hang_up_after_s: Positive = 30.0,
    auth_token: Text = "",
    account_sid: Text = "",
    public_url: Text = "",
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> int:
    """Call a bridge as a carrier would: signed webhook, media stream, a caller's voice in real time.

    What is signed is signed with the carrier's own section of the bridge's configuration. The caller hangs up when
    all is said and the bridge has been silent for five seconds. Exit code 1 means that the call did not go as a call
    should.

    Args:
        url: the bridge's answer webhook, http://127.0.0.1:8080/carriers/twilio/answer; of a carrier that has none its
            media socket. The bridge's address alone does too.
        carrier: whose dialect to speak: twilio, telnyx, plivo, vonage, signalwire, exotel, asterisk, freeswitch,
            jambonz, genesys.
        config: the bridge's TOML file, for the carrier's credentials; BRIDGE_SECTION__KEY in the environment is read
            on top of it.
        speak: a WAV file that the caller says; more of them are said in turn.
        speak_after_s: when the caller begins.
        digits: keys to press, when all is said; without --speak, when the caller would have begun.
        in_band: the keys are heard as tones in the caller's audio; the carrier tells nothing of them.
        hang_up_after_s: the call lasts no longer than this.
        auth_token: what to sign with, of carriers that have one; instead of the configuration's.
        account_sid: the account that calls, likewise.
        public_url: the bridge's server.public_url, where that is not the beginning of the URL.
        out: write the call as a stereo WAV: caller left, bridge right.
    """
    from bridge.emulators.caller import run as run_caller
    from bridge.secret import Secret

    with reserved(out) if out else nullcontext(), writing(out or Path()):
        report = run(
            run_caller(
                url,
                carrier=carrier,
                config=config,
                speak=speak or (),
                speak_after_s=speak_after_s,
                digits=digits,
                in_band=in_band,
                hang_up_after_s=hang_up_after_s,
                auth_token=Secret(auth_token) if auth_token else None,
                account_sid=account_sid,
                public_url=public_url,
                out=out,
            )
        )
    return 0 if report.ok else 1
