"""Business hours. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.flows.model import Hours

if TYPE_CHECKING:
    from datetime import datetime


def is_open(hours: Hours, default_zone: str, now: datetime) -> bool:
    """Whether `hours` are open at `now`, which has a zone of its own."""
    raise NotImplementedError


def problems(hours: Hours, default_zone: str) -> list[tuple[str, str]]:
    """What is wrong with `hours`: key within it (``days.mon-fri[0]``, ``closed[1]``, ``time_zone``), and why."""
    raise NotImplementedError


def problem_of_zone(name: str) -> str:
    """Why `name` is no time zone; empty when it is one."""
    raise NotImplementedError
