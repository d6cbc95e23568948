"""``bridge turns``: how long the caller of a call waited for each answer, part by part.

A running bridge is asked: it remembers the calls that are on and the last 200 that ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from bridge.cli.account import note, show_json, show_table
from bridge.cli.local_bridge import LocalBridge, bridge_at, local_bridge
from bridge.cli.running import ConfigPath, Flag, Text, log_to_stderr, run
from bridge.errors import BridgeError, ConfigError

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.observe.latency import CallTurns
    from bridge.observe.timeline import TurnTimed

#: What the bridge gets to answer.
TOLD_WITHIN_S: Final = 5.0
#: What is shown of a turn, in the order in which it happens: milliseconds since the end of speech.
PARTS: Final = ("transcript", "token", "audio", "audible")
_REFUSAL: Final = "which tells nobody else"


def turns(call: Text = "last", /, *, url: Text = "", json: Flag = False, config: ConfigPath = None) -> int:
    """Show how long a caller waited for each answer.

    One line a turn, in milliseconds since the end of the caller's speech: the words were final, the agent had the
    first of its answer, Lightning the first audio of it, the caller could hear it (silence at its beginning counted).
    Below, the medians of the turns that were answered. The bridge that runs on this machine (at server.port) is asked,
    with server.admin_token if there is one.

    Args:
        call: the call's id, on or one of the last 200 that ended; "last" is the newest.
        url: the address of another bridge, such as https://bridge.example.com.
        json: print JSON instead of a table.
        config: the bridge's TOML file: server.port and server.admin_token say where it is and that you may ask.
    """
    from bridge.config import load_config

    log_to_stderr("error")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
        raise ConfigError(f"must begin with http:// or https://, not be {url!r}", key="--url")
    found = run(_turns_of(call, load_config(config), url))
    if json:
        show_json({**_plain(found), "medians": _medians(found.turns)})
    else:
        _show(found)
    return 0


async def _turns_of(call: str, config: Config, url: str) -> CallTurns:
    """What the bridge knows of `call`.

    Raises:
        ConfigError: it does not take our word.
        BridgeError: there is no bridge, or no such call.
    """
    import msgspec

    from bridge.carriers.rest import text_at
    from bridge.observe.latency import CallTurns

    async with _the_bridge(config, url) as bridge:
        answer, error = await bridge.get(f"/calls/{quote(call, safe='')}/turns", refusal=_REFUSAL)
        if answer.status != 200:
            why = text_at(answer, "error") or error or f"HTTP {answer.status}"
            raise BridgeError(f"the bridge at {bridge.url} tells no turns of call {call!r}: {why}")
        try:
            return msgspec.json.decode(answer.body, type=CallTurns)
        except (msgspec.DecodeError, UnicodeDecodeError) as mistake:
            raise BridgeError(
                f"{bridge.url} answers what no bridge of this version does: {mistake}"
            ) from None


@asynccontextmanager
async def _the_bridge(config: Config, url: str) -> AsyncIterator[LocalBridge]:
    if url:
        async with bridge_at(url, config, TOLD_WITHIN_S) as there:
            yield there
        return
    from bridge.doctor.web import local_url

    async with local_bridge(config, TOLD_WITHIN_S) as here:
        if here is None:
            raise BridgeError(
                f"no bridge runs at {local_url(config.server)}: start it with `bridge serve`, or say --url"
            )
        yield here


# -- what is shown -----------------------------------------------------------------------------------------------------


def _show(found: CallTurns) -> None:
    note(f"call {found.call_id} on {found.carrier}: {f'over ({found.ended})' if found.ended else 'on'}")
    if not found.turns:
        note("the caller has had no turn yet" if not found.ended else "the caller had no turn")
        return
    rows = [
        (str(turn.turn), f"{turn.speech_end_ms / 1000:.1f}", *_shown(_waits(turn)), turn.outcome)
        for turn in found.turns
    ]
    rows.append(("median", "", *_shown(_medians(found.turns)), ""))
    show_table(("TURN", "AT S", *(f"{part.upper()} MS" for part in PARTS), "OUTCOME"), rows)


def _shown(waits: dict[str, float | None]) -> list[str]:
    return ["-" if (wait_ms := waits[part]) is None else f"{wait_ms:.0f}" for part in PARTS]


def _waits(turn: TurnTimed) -> dict[str, float | None]:
    """Milliseconds from the end of speech to each part; None for what did not happen."""
    moments = (turn.transcript_ms, turn.token_ms, turn.audio_ms, turn.audible_ms)
    return {
        part: None if at_ms is None else at_ms - turn.speech_end_ms
        for part, at_ms in zip(PARTS, moments, strict=True)
    }


def _medians(turns: list[TurnTimed]) -> dict[str, float | None]:
    """Of each part, over the turns that were answered and had it."""
    answered = [_waits(turn) for turn in turns if turn.outcome == "answered"]
    found = {part: [wait for waits in answered if (wait := waits[part]) is not None] for part in PARTS}
    return {part: median(waits) if waits else None for part, waits in found.items()}


def _plain(found: CallTurns) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(found)
    return plain
