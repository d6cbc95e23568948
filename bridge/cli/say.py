"""``bridge say``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from bridge.cli.running import reserved, run, writing
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.config import LightningConfig
    from bridge.lightning.clip import Clip

Format: TypeAlias = Literal["pcm", "wav", "mp3", "ulaw", "alaw"]

#: What ``-`` is called on its way through cyclopts, which takes it for an option. No argument can hold a NUL.
STDIN: Final = "\0-"


def name_stdin(arguments: Sequence[str]) -> list[str]:
    """`arguments` with ``-`` made `STDIN` wherever it is not the value of an option."""
    before = ("", *arguments)
    return [
        STDIN if a == "-" and not b.startswith("-") else a for b, a in zip(before, arguments, strict=False)
    ]


def say(
    text: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    voice: str | None = None,
    model: str | None = None,
    language: str | None = None,
    speed: Annotated[float | None, Parameter(validator=Number(gte=0.5, lte=2))] = None,
    sample_rate: Literal[8000, 16000, 24000, 44100] = 24000,
    format: Format = "pcm",
    pronunciation_dict: Annotated[list[str] | None, Parameter(negative="")] = None,
    config: Annotated[Path | None, Parameter(alias="-c")] = None,
) -> int:
    """Say a text with Lightning, into a WAV file.

    Prints the time to the first byte, the total time, and how much faster than real time it was. The key comes from
    SMALLEST_API_KEY or the configuration.

    Args:
        text: what to say, of any length; or "-" to read it from standard input.
        out: the file to write: out.wav, or out.mp3, if it is not given.
        voice: voice id; this and the next three are those of the configuration when left out.
        model: such as lightning_v3.1 or lightning_v3.1_pro.
        language: a code such as en or hi, or auto.
        speed: 0.5 to 2.
        sample_rate: in hertz.
        format: what to ask Lightning for. The WAV holds just that: linear for pcm and wav, G.711 for ulaw and alaw.
            mp3 is written as it comes.
        pronunciation_dict: id of a pronunciation dictionary of your account; more of them may be given.
        config: a TOML file; only its [lightning] is used.
    """
    from bridge.config import load_config
    from bridge.lightning.clip import ClipFormat, synthesise_clip

    overrides = {"voice_id": voice, "model": model, "language": language, "speed": speed}
    lightning = load_config(config).lightning.with_changes(overrides)
    if not lightning.api_key:
        raise ConfigError(
            "is missing: set SMALLEST_API_KEY", key="lightning.api_key", source=str(config or "")
        )
    words, target = _words(text), _target(out, format)
    wanted, dictionaries = ClipFormat(format, sample_rate), pronunciation_dict or ()
    with reserved(target):
        with _progress() as progress:
            clip = run(
                synthesise_clip(words, wanted, lightning, pronunciation_dicts=dictionaries, progress=progress)
            )
        with writing(target):
            clip.write(target)
    for label, value in _figures(clip, target, lightning):
        print(f"{label:<17} {value}")
    return 0


def _words(text: str) -> str:
    if text == STDIN:
        try:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"byte {error.start} is not UTF-8", source="standard input") from error
    if not text.strip():
        raise ConfigError("there is nothing to say", key="TEXT")
    return text


def _target(out: Path | None, format: Format) -> Path:
    """Where to write; never an MP3 under a WAV's name, or the other way round."""
    suffix, other = (".mp3", ".wav") if format == "mp3" else (".wav", ".mp3")
    out = out or Path(f"out{suffix}")
    if out.suffix.lower() == other:
        raise ConfigError(f"--format {format} makes a {suffix} file", key="--out", source=str(out))
    return out


def _figures(clip: Clip, target: Path, lightning: LightningConfig) -> Iterator[tuple[str, str]]:
    what = f"{clip.format.name} at {clip.format.rate_hz} Hz"
    yield "wrote", f"{target}: {what}" + (f", {clip.seconds:.2f} s" if clip.seconds else "")
    yield "voice", f"{lightning.voice_id}, {lightning.model}, {lightning.language}, speed {lightning.speed:g}"
    yield "first byte", f"{clip.first_byte_s * 1000:.0f} ms"
    yield "total", f"{clip.total_s * 1000:.0f} ms"
    factor = clip.real_time_factor
    told = (
        f"{factor:.3f} ({1 / factor:.1f} times as fast as it plays)"
        if factor
        else "unknown: MP3 is not decoded here"
    )
    yield "real-time factor", told


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """A line on standard error while it runs, where somebody watches: how much audio has come."""
    if not sys.stderr.isatty():
        yield lambda _seconds: None
        return
    from rich.console import Console

    with Console(stderr=True).status("waiting for the first byte") as status:
        yield lambda seconds: status.update(f"{seconds:.1f} s of audio" if seconds else "audio is coming")
