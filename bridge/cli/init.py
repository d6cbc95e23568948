"""``bridge init``."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from bridge.cli.running import Flag
from bridge.errors import ConfigError


def init(directory: Path = Path(), /, *, force: Flag = False) -> int:
    """Write a commented bridge.toml, ready to be filled in.

    It shows every setting with its default, and what must be filled in.

    Args:
        directory: where to put it; made if it is not there.
        force: overwrite one that is there.
    """
    target = directory / "bridge.toml"
    if os.path.lexists(target) and not force:
        raise ConfigError("is there already; --force overwrites it", source=str(target))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(target, files("bridge.cli").joinpath("bridge.toml").read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", source=str(target)) from error
    print(
        f"Wrote {target}. Fill in server.public_url, lightning.api_key and carriers.twilio.auth_token, then:"
    )
    print(f"  bridge serve --config {target}")
    return 0


def _write(target: Path, content: bytes) -> None:
    # For its owner alone: secrets are going to stand in it.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
