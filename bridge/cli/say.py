"""``bridge say``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.config import LightningConfig
    from bridge.lightning.clip import Clip, ClipFormat


def say(
    text: str,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")] = Path("out.wav"),
    voice: str | None = None,
    model: str | None = None,
    language: str | None = None,
    speed: Annotated[float | None, Parameter(validator=Number(gte=0.5, lte=2))] = None,
    sample_rate: Literal[8000, 16000, 24000, 44100] = 24000,
    format: Literal["pcm", "wav", "mp3", "ulaw", "alaw"] = "pcm",
    config: Annotated[Path | None, Parameter(alias="-c")] = None,
) -> int:
    """Say a text with Lightning, into a WAV file.

    Prints the time to the first byte, the total time, and how much faster than real time it was. The key comes from
    SMALLEST_API_KEY or the configuration.

    Args:
        text: what to say, or "-" to read it from standard input.
        out: the file to write; with --format mp3 an MP3 file, else a WAV.
        voice: voice id; this and the next three are those of the configuration when left out.
        model: such as lightning_v3.1 or lightning_v3.1_pro.
        language: a code such as en or hi, or auto.
        speed: 0.5 to 2.
        sample_rate: in hertz.
        format: what to ask Lightning for. The WAV holds just that: linear for pcm and wav, G.711 for ulaw and alaw.
        config: a TOML file; only its [lightning] is used.
    """
    from bridge.cli.running import run
    from bridge.config import load_config
    from bridge.errors import ConfigError
    from bridge.lightning.clip import ClipFormat, synthesise_clip

    overrides = {"voice_id": voice, "model": model, "language": language, "speed": speed}
    lightning = load_config(config).lightning.with_changes(overrides)
    if not lightning.api_key:
        raise ConfigError("is missing: set SMALLEST_API_KEY.", key="lightning.api_key")
    words = sys.stdin.read() if text == "-" else text
    wanted = ClipFormat(format, sample_rate)

    async def work(progress: Callable[[float], None]) -> Clip:
        return await synthesise_clip(words, wanted, lightning, progress=progress)

    with _progress() as progress:
        clip = run(work(progress))
    try:
        clip.write(out)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", source=str(out)) from error
    _tell(clip, out, lightning, wanted)
    return 0


def _tell(clip: Clip, out: Path, lightning: LightningConfig, wanted: ClipFormat) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for label, value in (
        (
            "wrote",
            f"{out}: {clip.seconds:.2f} s, {wanted.name} at {wanted.rate_hz} Hz"
            if clip.seconds
            else str(out),
        ),
        (
            "voice",
            f"{lightning.voice_id}, {lightning.model}, {lightning.language}, speed {lightning.speed:g}",
        ),
        ("first byte", f"{clip.first_byte_s * 1000:.0f} ms"),
        ("total", f"{clip.total_s * 1000:.0f} ms"),
        ("real-time factor", f"{clip.real_time_factor:.2f}" if clip.seconds else "-"),
    ):
        table.add_row(f"[dim]{label}[/dim]", value)
    Console().print(table)


class _progress:
    """A line on standard error, while it runs and where somebody watches: how much audio has come."""

    def __enter__(self) -> Callable[[float], None]:
        from rich.console import Console

        self._status = Console(stderr=True).status("waiting for the first byte")
        self._status.start()
        return lambda seconds: self._status.update(f"{seconds:.1f} s of audio")

    def __exit__(self, *_exc: object) -> None:
        self._status.stop()
