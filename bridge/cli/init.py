"""``bridge init``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def init(directory: Path = Path(), /, *, force: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Write a commented bridge.toml: every default, and what must be filled in.

    Args:
        directory: where to put it; made if it is not there.
        force: overwrite one that is there.
    """
    from bridge.errors import ConfigError

    target = directory / "bridge.toml"
    if target.exists() and not force:
        raise ConfigError("is there already; --force overwrites it", source=str(target))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        target.write_text(files("bridge.cli").joinpath("bridge.toml").read_text("utf-8"), "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", source=str(target)) from error
    print(
        f"Wrote {target}. Fill in server.public_url, lightning.api_key and carriers.twilio.auth_token, then:"
    )
    print(f"  bridge serve --config {target}")
    return 0
