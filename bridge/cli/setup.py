"""``bridge setup``: what to set at a carrier so that a number's calls come here; with ``--apply``, do it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bridge.cli.account import note
from bridge.cli.installation import any_carrier, checked_number, public_urls, the_carrier, what_is_missing
from bridge.cli.running import ConfigPath, Flag, Text, run

if TYPE_CHECKING:
    from bridge.carriers.carrier import Carrier, StreamUrls
    from bridge.config import Config


def setup(
    carrier: str,
    /,
    *,
    number: Annotated[str, Parameter(alias="-n")],
    config: ConfigPath = None,
    public_url: Text = "",
    apply: Flag = False,
) -> int:
    """Show what to set at a carrier for a number, or set it.

    Prints the exact settings, as places and values, that bring the number's calls here. With --apply they are made
    through the carrier's REST API, and what was done is printed. Where the carrier has no API for that they are
    printed all the same, and the exit code is 1.

    Args:
        carrier: twilio, telnyx, plivo, ...; for --apply with its credentials in the configuration.
        number: the number that is going to be called: +15550100001. Where calls have none, that of the extension.
        config: a TOML file; BRIDGE_SECTION__KEY in the environment is read on top of it.
        public_url: instead of server.public_url.
        apply: make the settings.
    """
    settings = _configured(config, public_url)
    chosen = (
        the_carrier(settings, carrier, _source(config), option="CARRIER")
        if apply
        else any_carrier(settings, carrier, option="CARRIER")
    )
    urls = public_urls(settings, carrier, _source(config))
    wanted = checked_number(number, "--number")
    if apply:
        return run(_apply(chosen, wanted, urls))
    _show(chosen, wanted, urls)
    for missing in what_is_missing(chosen, _source(config)):
        note(f"bridge: its calls are not served yet: {missing}")
    return 0


def _configured(path: Path | None, public_url: str) -> Config:
    from bridge.config import load_config

    instead = {"BRIDGE_SERVER__PUBLIC_URL": public_url} if public_url else {}
    return load_config(path, {**os.environ, **instead})


def _source(path: Path | None) -> str:
    return str(path or "environment")


def _show(carrier: Carrier, number: str, urls: StreamUrls) -> None:
    for setting in carrier.settings(number, urls):
        print(f"{setting.where}\n    {setting.value}")


async def _apply(carrier: Carrier, number: str, urls: StreamUrls) -> int:
    from bridge.errors import Unsupported
    from bridge.rest_client import RestClient

    client = RestClient()
    try:
        done = await client.carry_out(carrier.set_up(number, urls))
    except Unsupported as error:
        note(f"bridge: {error}. By hand:")
        _show(carrier, number, urls)
        return 1
    finally:
        await client.close()
    print("\n".join(done))
    return 0
