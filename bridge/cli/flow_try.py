"""``bridge flows try``: a flow played in the terminal. What it does is in `bridge.cli.try_player`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from bridge.cli.account import note
from bridge.cli.edition import files_of, named_flow, settings_for_flows
from bridge.cli.running import ConfigPath, Flag, Text, log_to_stderr, reserved, run, writing
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.cli.edition import Files
    from bridge.cli.keyboards import Keyboard
    from bridge.cli.try_player import Player
    from bridge.cli.try_world import Fetches, Speaker
    from bridge.flows.actions import Fetched, Message
    from bridge.flows.model import Flow, Value

NAMES: Final = Parameter(negative="")
#: What is told at a terminal before it begins.
HELP_AT_TERMINAL: Final = "Keys: 0-9 * # A-D. Enter: wait no longer. s: speak. Ctrl-D: hang up. Ctrl-C: stop."


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is tried, and how: options, checked."""

    files: Files
    flow: Flow
    variables: Mapping[str, Value]
    script: Sequence[list[str]] | None
    pace: float
    silent: bool
    start: Callable[[], datetime]
    answers: Mapping[str, Sequence[Fetched]]
    message: Message | None
    transfers: bool


def try_flow(
    flow: str,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")] = Path("flow.wav"),
    keys: str | None = None,
    set: Annotated[list[str] | None, NAMES] = None,
    from_number: Annotated[str, Parameter(name="--from")] = "+15550100003",
    to: str = "+15550100001",
    now: Text = "",
    answer: Annotated[list[str] | None, NAMES] = None,
    message: Path | None = None,
    transfers_fail: Flag = False,
    silent: Flag = False,
    pace: Annotated[float, Parameter(validator=Number(gt=0, lte=100))] = 1.0,
    config: ConfigPath = None,
) -> int:
    """Play a flow in the terminal: type what a caller would press, read what is said, and hear it in a WAV file.

    At a terminal each key counts as you press it, over what is being said, too. From a pipe each line is what is
    typed the next time that the flow waits; at the end of it the caller hangs up. Webhooks are really asked unless
    they are given an answer; transfers, agents and recordings are told, and not done. What is not rendered yet is
    spoken by Lightning now, and kept. Exit code 1 means that something could not be spoken.

    Args:
        flow: its name, or its file.
        out: the file for what the caller hears: 8 kHz mu-law.
        keys: what is typed instead, a word each time that the flow waits: "1 2468# - 3". "-" is nothing, "s" is
            speech; after the last one the caller hangs up.
        set: NAME=VALUE, a variable at the beginning of the call; once for each.
        from_number: the caller's number.
        to: the number that was called.
        now: when the call begins, for business hours: 2026-12-25T10:00, in the flow's time zone.
        answer: STEP=FILE.json or STEP=STATUS, what a webhook answers; several for one step are given in turn.
        message: a WAV that callers leave when a message is taken.
        transfers_fail: transfers do not work.
        silent: nothing is spoken that is not rendered yet; there is silence instead, as there is without a key.
        pace: how many times as fast as on a call what is said goes by at a terminal.
        config: the bridge's TOML file; its folders flows and prompts are beside it unless it names others.
    """
    from bridge.cli.try_options import answers_of, clock_of, message_of, script_of, variables_of

    log_to_stderr("error")
    settings, name = named_flow(settings_for_flows(config), flow)
    files = files_of(settings, str(config or ""))
    found = files.flow(name)
    files.require(files.problems, f"bridge flows check {flow}")
    known = {"caller": from_number, "called": to, "carrier": "terminal"}
    trial = Trial(
        files=files,
        flow=found,
        variables=known | variables_of(found, set or ()),
        script=script_of(keys) if keys is not None else None,
        pace=pace,
        silent=silent,
        start=clock_of(now, found),
        answers=answers_of(found, answer or ()),
        message=message_of(message) if message else None,
        transfers=not transfers_fail,
    )
    files.shelf.warm()
    with reserved(out):
        return _play(trial, out)


# -- playing -----------------------------------------------------------------------------------------------------------


def _play(trial: Trial, out: Path) -> int:
    """Play it to its end, or to a Ctrl-C; what was heard until then is written."""
    heard: list[Player] = []
    try:
        run(_played(trial, heard))
    finally:
        for player in heard:
            if player.track.audio:
                with writing(out):
                    out.write_bytes(player.track.wav())
                note(f"wrote {out}: {player.track.seconds:.1f} s of what the caller heard")
    (player,) = heard
    return 1 if player.unheard else 0


async def _played(trial: Trial, heard: list[Player]) -> None:
    from bridge.cli.try_player import Player
    from bridge.cli.try_screen import Screen
    from bridge.cli.try_world import World
    from bridge.flows.machine import run as run_flow

    screen = Screen(_write, dims=sys.stdout.isatty())
    with _keyboard(trial) as keyboard:
        async with _speaker(trial) as speaker, _fetches(trial) as fetch:
            world = World(fetch=fetch, message=trial.message, transfers=trial.transfers)
            player = Player(trial.files.shelf, keyboard, speaker, screen, world)
            heard.append(player)
            began = trial.start()

            def now() -> datetime:
                return began + timedelta(seconds=player.track.seconds)

            ended = await player.play(run_flow(trial.flow, trial.variables, now, player.entered))
    await trial.files.shelf.close()
    print(f"{ended}, after {player.track.seconds:.1f} s")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _keyboard(trial: Trial) -> Iterator[Keyboard]:
    """Whoever types: the script, whoever sits at the terminal, or whatever comes through the pipe."""
    from bridge.cli.keyboards import Terminal, Typed, lines_of, raw, words_of

    if trial.script is not None:
        yield Typed(words_of(trial.script))
    elif sys.stdin is None:
        yield Typed(words_of(()))
    elif sys.stdin.isatty():
        note(HELP_AT_TERMINAL)
        with raw(sys.stdin.fileno()):
            yield Terminal(sys.stdin.fileno(), trial.pace)
    else:
        yield Typed(lines_of(sys.stdin.fileno()))


@asynccontextmanager
async def _speaker(trial: Trial) -> AsyncIterator[Speaker]:
    from bridge.cli.try_world import Silent, Spoken
    from bridge.lightning.client import require_usable

    if trial.silent:
        yield Silent()
        return
    try:
        require_usable(trial.files.config.lightning.entries[0])
    except ConfigError as error:
        note(f"{error}; until then there is silence where something is not rendered")
        yield Silent()
        return
    async with Spoken(trial.files.config.lightning, normalise=trial.files.normalise is not None) as speaker:
        yield speaker


@asynccontextmanager
async def _fetches(trial: Trial) -> AsyncIterator[Fetches]:
    """Really asks webhooks, but for those that have answers."""
    import os

    from bridge.cli.try_world import answered
    from bridge.flows.webhook import WebhookClient
    from bridge.observe.stats import FlowStats

    client = WebhookClient(trial.files.config.flows.webhook_hosts, os.environ, FlowStats())
    try:
        yield answered(trial.answers, lambda _step, asked: client.fetch(asked))
    finally:
        await client.close()
