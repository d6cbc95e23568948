"""Smallest AI's Lightning: text in, telephone audio out.

`Lightning` is what a program of one's own needs; the modules beside it are what it is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["Lightning"]

if TYPE_CHECKING:
    from bridge.lightning.client import Lightning
else:

    def __getattr__(name: str) -> object:
        # It stands on everything that is in this package, and nothing in here may need it.
        if name == "Lightning":
            from bridge.lightning.client import Lightning

            return Lightning
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
