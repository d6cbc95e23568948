"""The sections of prompts, flows and keys, and where the folders that they name are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from bridge.config_tree import Section

#: The agent that plays flows.
IVR: Final = "bridge.agents.ivr:ivr"


class PromptsConfig(Section, frozen=True):
    """``[prompts]``: what is rendered ahead of calls."""

    #: Where the prompt files (*.toml) are; by default `prompts` beside this file, if it is there.
    folder: str = ""
    #: Where what has been rendered is kept; by default `bridge/prompts` in the user's cache folder.
    cache: str = ""
    #: Of what is kept on disk, so much is kept in memory too.
    memory_mb: Annotated[int, Meta(ge=1, le=100_000)] = 256


class FlowsConfig(Section, frozen=True):
    """``[flows]``: phone menus."""

    #: Where the flow files (*.toml) are; by default `flows` beside this file, if it is there and the agent is the
    #: ivr: an agent that plays none need not be kept from starting by them.
    folder: str = ""
    #: Hosts that webhooks may ask: ``api.example.com`` (https, and a public address), or
    #: ``http://crm.example:8080`` (just that, wherever it is).
    webhook_hosts: list[str] = []
    #: Where messages that callers leave are written.
    recordings: str = "recordings"


class DtmfConfig(Section, frozen=True):
    """``[dtmf]``: keys that callers press."""

    #: Listen for tones in the caller's audio: `auto` where the carrier tells of no keys.
    in_band: Literal["auto", "always", "never"] = "auto"


def placed_prompts(section: PromptsConfig, file: Path) -> PromptsConfig:
    """The same with folders that mean the same wherever it is read: relative ones are beside `file`."""
    return msgspec.structs.replace(
        section,
        folder=_beside(section.folder, file) or _usual("prompts", file),
        cache=_beside(section.cache, file),
    )


def placed_flows(section: FlowsConfig, file: Path, *, played: bool) -> FlowsConfig:
    """As `placed_prompts`. Flows that are not named are looked for only where they are `played`."""
    return msgspec.structs.replace(
        section,
        folder=_beside(section.folder, file) or (_usual("flows", file) if played else ""),
        recordings=_beside(section.recordings, file),
    )


def _usual(name: str, file: Path) -> str:
    beside = file.parent / name
    return str(beside) if beside.is_dir() else ""


def _beside(named: str, file: Path) -> str:
    return str(file.parent / Path(named).expanduser()) if named else ""
