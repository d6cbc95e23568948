"""What a misspelt name may be meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def meant(name: str, known: Iterable[str], mark: str = "", most: int = 1) -> str:
    """``did you mean x?``, for a `name` that is none of `known`; empty when none of them is near.

    Args:
        mark: what stands before and behind each name that is offered.
        most: how many are offered; the nearest is first.
    """
    near = difflib.get_close_matches(name, list(known), most)
    return f"did you mean {' or '.join(f'{mark}{other}{mark}' for other in near)}?" if near else ""
