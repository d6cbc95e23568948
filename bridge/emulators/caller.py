"""A simulated caller on a simulated Twilio: calls a bridge, talks to it, and reports what happened.

`place_call` is for tests and the demo, `run` for people: ``bridge emulate caller``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from bridge.config import Secret, load_config
from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.caller_plan import SOME_ACCOUNT, CallPlan, Misbehaviour
from bridge.emulators.caller_script import Action, Cue, Press, Utterance
from bridge.emulators.caller_webhooks import Signature
from bridge.emulators.twilio_call import TwilioCall
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
    "place_call",
    "run",
]

#: Where `run` finds the auth token when it is given none.
AUTH_TOKEN_VARIABLE: Final = "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN"  # noqa: S105 - a name, not a token
#: A polite caller waits for a pause of this length before the next sentence.
TURN_MS: Final = 800.0


async def place_call(plan: CallPlan) -> CallReport:
    """Make the call, to its end. Takes as long as the call does.

    Returns:
        What happened, whatever the bridge did: see `CallReport.outcome`.
    """
    async with aiohttp.ClientSession() as session:
        return await TwilioCall(plan, session).run()


async def run(
    url: str,
    *,
    speak: Sequence[Path] = (),
    speak_after_s: float = 1.0,
    digits: str = "",
    hang_up_after_s: float = 30.0,
    hang_up_on_silence_s: float | None = 5.0,
    auth_token: Secret | None = None,
    account_sid: str = "",
    public_url: str = "",
    out: Path | None = None,
) -> CallReport:
    """Make one call and print how it went: ``bridge emulate caller``.

    Args:
        url: the bridge's answer webhook.
        speak: WAV files. The first is said at `speak_after_s`, each further one when the bridge has answered
            the one before and fallen silent.
        digits: keys pressed at `speak_after_s`, or when all is said.
        auth_token, account_sid: the Twilio account; by default that of the environment, as the bridge reads
            it.
        public_url: the bridge's `server.public_url`, where that is not the beginning of `url`.
        out: a stereo WAV to write, caller left, bridge right.

    Returns:
        The report; `ok` tells whether the call went as a call should.

    Raises:
        ConfigError: there is no auth token to sign with, or a recording or key cannot be used.
    """
    token, sid = _account(auth_token, account_sid)
    plan = CallPlan(
        answer_url=url,
        auth_token=token,
        public_url=public_url,
        actions=_actions(speak, speak_after_s, digits),
        hang_up_after_s=hang_up_after_s,
        hang_up_on_silence_s=hang_up_on_silence_s,
        account_sid=sid or SOME_ACCOUNT,
    )
    report = await place_call(plan)
    written = report.write_stereo(out) if out else None
    _print(report, written)
    return report


def _account(auth_token: Secret | None, account_sid: str) -> tuple[Secret, str]:
    configured = load_config().carriers.twilio
    token = auth_token or (configured.auth_token if configured else Secret())
    if not token:
        raise ConfigError(
            "is missing: the call must be signed with what the bridge checks it with",
            key="carriers.twilio.auth_token",
            source=AUTH_TOKEN_VARIABLE,
        )
    return token, account_sid or (configured.account_sid if configured else "")


def _actions(speak: Sequence[Path], speak_after_s: float, digits: str) -> list[Action]:
    first, then = Cue(at_s=speak_after_s), Cue(after_bridge_silent_ms=TURN_MS)
    try:
        actions: list[Action] = [
            Utterance.from_wav(wav, then if position else first) for position, wav in enumerate(speak)
        ]
        return [*actions, Press(digits, first)] if digits else actions
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
