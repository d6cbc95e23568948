"""Variables of a flow: as text, as numbers, compared, filled into text, and taken from JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.flows.model import Value


def text_of(value: Value) -> str:
    """A value as it is said and sent in a URL."""
    raise NotImplementedError


def variables_in(template: str) -> list[str]:
    """Names of the ``{variables}`` in a URL or a number."""
    raise NotImplementedError


def filled(template: str, variables: Mapping[str, Value]) -> str:
    """`template` with its ``{variables}``; those without a value are empty."""
    raise NotImplementedError
