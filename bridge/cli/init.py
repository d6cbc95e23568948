"""``bridge init``."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from bridge.cli.running import Flag
from bridge.errors import ConfigError

#: Who talks, in bridge.toml: the last of it.
_AGENT: Final = re.compile(r"^\[agent\]\n.*", re.MULTILINE | re.DOTALL)
_MENU_TALKS: Final = """\
[agent]
# Who talks: the phone menus of the folder `flows` beside this file. See docs/flows.md.
entrypoint = "bridge.agents.ivr:ivr"

[agent.options]
# Who calls another number than these gets this flow.
flow = "hello"

# The number that was called = the flow.
#[agent.options.numbers]
#"+15550100001" = "hello"
"""


def init(directory: Path = Path(), /, *, menu: Flag = False, force: Flag = False) -> int:
    """Write a commented bridge.toml, ready to be filled in.

    It shows every setting with its default, and what must be filled in.

    Args:
        directory: where to put it; made if it is not there.
        menu: a phone menu talks: flows/hello.toml is written as well.
        force: overwrite what is there.
    """
    packaged = files("bridge.cli")
    config = directory / "bridge.toml"
    contents = {config: packaged.joinpath("bridge.toml").read_bytes()}
    if menu:
        contents[config] = _AGENT.sub(_MENU_TALKS, contents[config].decode()).encode()
        contents[directory / "flows" / "hello.toml"] = packaged.joinpath("hello.toml").read_bytes()
    for target in contents:
        if os.path.lexists(target) and not force:
            raise ConfigError("is there already; --force overwrites it", source=str(target))
    for target, content in contents.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, content)
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", source=str(target)) from error
    if menu:
        print(f"Wrote {' and '.join(map(str, contents))}. Try the menu, without a phone or an account:")
        print(f"  bridge flows try hello --config {config}")
    else:
        print(f"Wrote {config}.")
    print("Fill in server.public_url, lightning.api_key and carriers.twilio.auth_token, then:")
    print(f"  bridge serve --config {config}")
    return 0


def _write(target: Path, content: bytes) -> None:
    # For its owner alone: secrets are going to stand in it.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
