"""A simulated caller on a simulated carrier: calls a bridge, talks to it, and reports what happened.

`place_call` is for tests and the demo, `run` for people: ``bridge emulate caller``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from bridge.carriers.registry import carrier_types
from bridge.config import ENV_PREFIX, Secret, load_config
from bridge.config_tree import Section, variable_of
from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_script import Action, Cue, Press, Utterance
from bridge.emulators.caller_webhooks import Signature
from bridge.emulators.carrier_call import CarrierCall
from bridge.errors import ConfigError

__all__ = [
    "CallPlan",
    "CallReport",
    "Cue",
    "Misbehaviour",
    "Outcome",
    "Press",
    "Signature",
    "Utterance",
    "answer_url",
    "place_call",
    "run",
]

#: A polite caller waits for a pause of this length before the next sentence.
TURN_MS: Final = 800.0


async def place_call(plan: CallPlan) -> CallReport:
    """Make the call, to its end. Takes as long as the call does.

    Returns:
        What happened, whatever the bridge did: see `CallReport.outcome`.
    """
    async with aiohttp.ClientSession() as session:
        return await CarrierCall(plan, session).run()


async def run(
    url: str,
    *,
    carrier: str = "twilio",
    config: Path | None = None,
    speak: Sequence[Path] = (),
    speak_after_s: float = 1.0,
    digits: str = "",
    in_band: bool = False,
    hang_up_after_s: float = 30.0,
    hang_up_on_silence_s: float | None = 5.0,
    auth_token: Secret | None = None,
    account_sid: str = "",
    public_url: str = "",
    out: Path | None = None,
) -> CallReport:
    """Make one call and print how it went: ``bridge emulate caller``.

    Args:
        url: the bridge's answer webhook, or its media socket, or only where it is.
        carrier: who calls.
        config: the bridge's configuration file, for the carrier's credentials; the environment is read on top of it.
        speak: WAV files. The first is said at `speak_after_s`, each further one when the bridge has answered
            the one before and fallen silent.
        digits: keys pressed at `speak_after_s`, or when all is said.
        in_band: the keys are tones in the caller's audio, and the carrier tells nothing of them.
        auth_token, account_sid: instead of the configuration's, of carriers that have them.
        public_url: the bridge's `server.public_url`, where that is not the beginning of `url`.
        out: a stereo WAV to write, caller left, bridge right.

    Returns:
        The report; `ok` tells whether the call went as a call should.

    Raises:
        ConfigError: there are no credentials to call with, or a recording or key cannot be used.
    """
    plan = CallPlan(
        answer_url=answer_url(url, carrier),
        carrier=carrier,
        section=_section(carrier, config, auth_token, account_sid),
        public_url=public_url,
        actions=_actions(speak, speak_after_s, digits, in_band=in_band),
        hang_up_after_s=hang_up_after_s,
        hang_up_on_silence_s=hang_up_on_silence_s,
    )
    report = await place_call(plan)
    written = report.write_stereo(out) if out else None
    _print(report, written)
    return report


def answer_url(url: str, carrier: str) -> str:
    """The webhook of `carrier` on a bridge that is given by it, by its media socket or by its base address."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path.endswith("/media"):
        path = f"{path.removesuffix('media')}answer"
    elif not path:
        path = f"/carriers/{carrier}/answer"
    else:
        path = parts.path
    return urlunsplit(
        parts._replace(scheme={"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme), path=path)
    )


def _section(name: str, config: Path | None, auth_token: Secret | None, account_sid: str) -> Section:
    """The carrier's section of the configuration, with all that a call is signed with.

    Raises:
        ConfigError: names what is missing from it.
    """
    carrier = carrier_types().get(name)
    if carrier is None:
        raise ConfigError(f"{name!r} is none of {', '.join(carrier_types())}", key="--carrier")
    section: Section = getattr(load_config(config).carriers, name) or carrier.section()
    given = {"auth_token": auth_token, "account_sid": account_sid}
    for key, value in given.items():
        if value and key not in section.__struct_fields__:
            raise ConfigError(f"{carrier.title} has none", key=f"--{key.replace('_', '-')}")
    section = msgspec.structs.replace(section, **{key: value for key, value in given.items() if value})
    served = carrier(section)
    for key, why in served.missing():
        full_key = f"carriers.{name}.{key}"
        raise ConfigError(served.lack(key, why), key=full_key, source=variable_of(full_key, ENV_PREFIX))
    return section


def _actions(speak: Sequence[Path], speak_after_s: float, digits: str, *, in_band: bool) -> list[Action]:
    first, then = Cue(at_s=speak_after_s), Cue(after_bridge_silent_ms=TURN_MS)
    try:
        actions: list[Action] = [
            Utterance.from_wav(wav, then if position else first) for position, wav in enumerate(speak)
        ]
        return [*actions, Press(digits, first, in_band)] if digits else actions
    except (OSError, ValueError) as error:
        raise ConfigError(str(error), source="speak" if speak else "digits") from error


def _print(report: CallReport, written: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for label, value in report.summary():
        table.add_row(f"[dim]{label}[/dim]", Text(value))
    if written:
        table.add_row("[dim]recording[/dim]", Text(str(written)))
    Console().print(table)
