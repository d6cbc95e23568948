"""``bridge say``.

Strategy:

- What is wrong with the command line is told before anything is opened, by the name of the option.
- Where audio goes to standard output, everything else goes to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from bridge.cli.running import ConfigPath, Flag, log_to_stderr, reserved, run, writing
from bridge.errors import ConfigError
from bridge.names import ClipName, DoorName, SampleRate, TextStreaming

if TYPE_CHECKING:
    from bridge.cli.speaking import Job, Spoken
    from bridge.config import LightningConfig
    from bridge.lightning.clip import ClipFormat

#: What ``-`` is called on its way through cyclopts, which takes it for an option. No argument can hold a NUL.
HYPHEN: Final = "\0-"
#: Where audio goes with ``-o -``.
STDOUT: Final = Path("-")
#: Options behind which ``-`` may stand: those of which it is the value, and those that have none.
_BEFORE_HYPHEN: Final = frozenset({"-o", "--out", "--stream-stdin", "--normalise", "-"})
#: Settings and the options that change them.
_OPTIONS: Final = {
    "lightning.door": "--door",
    "lightning.voice_id": "--voice",
    "lightning.model": "--model",
    "lightning.language": "--language",
    "lightning.text_streaming": "--text-streaming",
}


def name_hyphens(arguments: Sequence[str]) -> list[str]:
    """`arguments` with ``-`` made `HYPHEN` wherever it means standard input or output."""
    before = ("", *arguments)
    return [
        HYPHEN if a == "-" and (b in _BEFORE_HYPHEN or not b.startswith("-")) else a
        for b, a in zip(before, arguments, strict=False)
    ]


def say(
    text: Annotated[str | None, Parameter(show_default=False)] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    stream_stdin: Flag = False,
    door: DoorName | None = None,
    voice: str | None = None,
    model: str | None = None,
    language: str | None = None,
    speed: Annotated[float | None, Parameter(validator=Number(gte=0.5, lte=2))] = None,
    sample_rate: SampleRate | None = None,
    format: ClipName | None = None,
    text_streaming: TextStreaming | None = None,
    normalise: Flag = False,
    pronunciation_dict: Annotated[list[str] | None, Parameter(negative="")] = None,
    config: ConfigPath = None,
) -> int:
    """Say a text with Lightning, into a WAV file or a player.

    Prints the time to the first byte, the total time, and how much faster than real time it was. The key comes from
    SMALLEST_API_KEY or the configuration. To hear what a program writes while it writes:

    `... | bridge say --stream-stdin -o - | ffplay -nodisp -autoexit -`

    Args:
        text: what to say, of any length; or "-" to read it from standard input.
        out: the file to write: out.wav, or out.mp3, if it is not given; "-" is standard output, as audio comes.
        stream_stdin: speak what arrives on standard input while the rest of it is still to come. As on a call:
            8000 Hz ulaw, and fallbacks speak when the first voice fails.
        door: the way to Lightning; this and the next four are those of the configuration when left out.
        voice: voice id.
        model: such as lightning_v3.1 or lightning_v3.1_pro.
        language: a code such as en or hi, or auto.
        speed: 0.5 to 2.
        sample_rate: in hertz; 24000 when left out.
        format: what to ask Lightning for, pcm when left out. The WAV holds just that: linear for pcm and wav, G.711
            for ulaw and alaw. mp3 is written as it comes.
        text_streaming: with --stream-stdin: a synthesis for each sentence, or all in one.
        normalise: prepare the text for the telephone: no markdown, no emoji, numbers as they are spoken.
        pronunciation_dict: id of a pronunciation dictionary of your account; more of them may be given.
        config: a TOML file; its [lightning] and speech.normalise are used.
    """
    from bridge.cli.speaking import Job
    from bridge.config import load_config

    _require_text(text, stream_stdin, text_streaming)
    wanted = _telephone(format, sample_rate) if stream_stdin else _clip_format(format, sample_rate)
    target = target_of(out, wanted.name)
    loaded = load_config(config)
    changes = {"voice_id": voice, "model": model, "language": language, "speed": speed}
    changes["text_streaming"] = text_streaming
    lightning = _changed(loaded.lightning, door, changes, fallbacks=stream_stdin)
    _require_usable(lightning, str(config or ""))
    job = Job(
        text=None if stream_stdin else _words(text or ""),
        stdin=sys.stdin.fileno() if stream_stdin else -1,
        format=wanted,
        config=lightning,
        normalise=normalise or loaded.speech.normalise,
        pronunciation_dicts=tuple(pronunciation_dict or ()),
    )
    log_to_stderr("warning")
    spoken = _spoken(job, target)
    for label, value in _figures(spoken, target, lightning):
        print(f"{label:<17} {value}", file=sys.stderr if target == STDOUT else sys.stdout)
    return 0


def _spoken(job: Job, target: Path) -> Spoken:
    from bridge.cli.speaking import into_memory, into_pipe

    if target == STDOUT:
        with _progress(job) as progress:
            return run(into_pipe(job, sys.stdout.fileno(), progress))
    with reserved(target):
        with _progress(job) as progress:
            spoken, file = run(into_memory(job, progress))
        with writing(target):
            target.write_bytes(file)
    return spoken


# -- what is to be said ------------------------------------------------------------------------------------------------


def _require_text(text: str | None, streams: bool, text_streaming: TextStreaming | None) -> None:
    if text_streaming and not streams:
        raise ConfigError("is for text that streams in: add --stream-stdin", key="--text-streaming")
    if text is None and not streams:
        raise ConfigError('is missing: give a text, or "-", or --stream-stdin', key="TEXT")
    if text not in (None, HYPHEN) and streams:
        raise ConfigError("comes from standard input with --stream-stdin: leave it out", key="TEXT")
    if sys.stdin is None and (streams or text == HYPHEN):
        raise ConfigError("is closed", source="standard input")


def _words(text: str) -> str:
    if text == HYPHEN:
        try:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"byte {error.start} is not UTF-8", source="standard input") from error
    if not text.strip():
        raise ConfigError("there is nothing to say", key="TEXT")
    return text


# -- as what, and where to ---------------------------------------------------------------------------------------------


def _clip_format(format: ClipName | None, rate_hz: SampleRate | None) -> ClipFormat:
    from bridge.lightning.clip import ClipFormat

    return ClipFormat(format or "pcm", rate_hz or 24000)


def _telephone(format: ClipName | None, rate_hz: SampleRate | None) -> ClipFormat:
    from bridge.cli.speaking import TELEPHONE

    if format not in (None, TELEPHONE.name):
        raise ConfigError(
            f"is {TELEPHONE.name} with --stream-stdin, as on a call: leave it out", key="--format"
        )
    if rate_hz not in (None, TELEPHONE.rate_hz):
        reason = f"is {TELEPHONE.rate_hz} with --stream-stdin, as on a call: leave it out"
        raise ConfigError(reason, key="--sample-rate")
    return TELEPHONE


def target_of(out: Path | None, format: ClipName) -> Path:
    """Where to write; never an MP3 under a WAV's name, or the other way round, and no audio onto a screen."""
    if out in (STDOUT, Path(HYPHEN)):
        if sys.stdout is None:
            raise ConfigError("is closed", source="standard output")
        if sys.stdout.isatty():
            reason = (
                'is a terminal, and audio is not for reading: pipe it ("| ffplay -nodisp -"), or name a file'
            )
            raise ConfigError(reason, key="--out", source="standard output")
        return STDOUT
    suffix, other = (".mp3", ".wav") if format == "mp3" else (".wav", ".mp3")
    out = out or Path(f"out{suffix}")
    if out.suffix.lower() == other:
        raise ConfigError(f"--format {format} makes a {suffix} file", key="--out", source=str(out))
    return out


# -- by whom -----------------------------------------------------------------------------------------------------------


def _changed(
    lightning: LightningConfig, door: DoorName | None, changes: Mapping[str, object], *, fallbacks: bool
) -> LightningConfig:
    """What is configured, changed by the command line."""
    if not fallbacks:
        lightning = lightning.entries[0]
    if door is not None:
        lightning = _through(lightning, door)
    return lightning.with_changes(changes)


def _through(lightning: LightningConfig, door: DoorName) -> LightningConfig:
    """The same by `door`: with the model that it implies, and without what it has no use for."""
    from bridge.catalogue import DOOR_MODEL, PCM_DOORS, STREAMING_DOORS

    streams = door in STREAMING_DOORS[lightning.text_streaming]
    return lightning.with_changes(
        {
            "door": door,
            "model": DOOR_MODEL.get(door),
            "text_streaming": None if streams else "sentences",
            "output": "auto" if door in PCM_DOORS else None,
            "command": None if door == "local" else [],
        }
    )


def _require_usable(lightning: LightningConfig, source: str) -> None:
    from bridge.lightning.client import require_usable

    try:
        require_usable(lightning)
    except ConfigError as error:
        # The configuration alone was in order, so what does not fit is what an option has changed.
        option = _OPTIONS.get(error.key)
        raise ConfigError(error.reason, key=option or error.key, source="" if option else source) from None


# -- what is shown -----------------------------------------------------------------------------------------------------


def _figures(spoken: Spoken, target: Path, lightning: LightningConfig) -> Iterator[tuple[str, str]]:
    what = f"{spoken.format.name} at {spoken.format.rate_hz} Hz"
    name = "standard output" if target == STDOUT else target
    yield "wrote", f"{name}: {what}" + (f", {spoken.seconds:.2f} s" if spoken.seconds else "")
    yield "voice", f"{lightning.voice_id}, {lightning.model}, {lightning.language}, speed {lightning.speed:g}"
    yield "door", lightning.door
    yield "first byte", f"{spoken.first_byte_s * 1000:.0f} ms"
    if spoken.text_to_audio_s is not None:
        yield "text to audio", f"{spoken.text_to_audio_s * 1000:.0f} ms, first to first"
    yield "total", f"{spoken.total_s * 1000:.0f} ms"
    factor = spoken.real_time_factor
    told = (
        f"{factor:.3f} ({1 / factor:.1f} times as fast as it plays)"
        if factor
        else "unknown: MP3 is not decoded here"
    )
    yield "real-time factor", told


@contextmanager
def _progress(job: Job) -> Iterator[Callable[[float], None]]:
    """A line on standard error while it runs, where somebody watches: how much audio has come."""
    typing = job.text is None and sys.stdin.isatty()
    if typing or not sys.stderr.isatty():
        yield lambda _seconds: None
        return
    from rich.console import Console

    with Console(stderr=True).status("waiting for the first byte") as status:
        yield lambda seconds: status.update(f"{seconds:.1f} s of audio" if seconds else "audio is coming")
