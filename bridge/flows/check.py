"""Whether a flow holds together: what no single step can know."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from bridge.flows.model import Agent, Flow
from bridge.problems import Problem
from bridge.prompts.book import Book


def check(
    flow: Flow,
    book: Book,
    *,
    agent_fault: Callable[[Agent], str] = lambda _agent: "",
    webhook_hosts: Sequence[str] = (),
    environ: Container[str] = (),
) -> list[Problem]:
    """What is wrong with a flow, in the order of its file.

    Args:
        flow: as it was read.
        book: all prompts, those of the flow's own file too.
        agent_fault: why an agent cannot be run; empty when it can.
        webhook_hosts: as in ``[flows]`` of the configuration.
        environ: names of the variables of the environment.
    """
    raise NotImplementedError
