"""Prompts and flows of a process: the edition that new calls get, and how it is exchanged for another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.flows.model import Flow
from bridge.prompts.shelf import Shelf


@dataclass(frozen=True)
class Edition:
    """All files as they were at one time. A call keeps the one that it began with."""

    shelf: Shelf = field(default_factory=Shelf)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    #: Counted from 1.
    number: int = 1
