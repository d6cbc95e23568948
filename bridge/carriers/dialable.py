"""Whom an exchange of one's own may be told to dial.

What an agent or an operator writes ends up in a dialplan or in a command, where a space, a comma or an ampersand would
begin something else: an option, a second destination, another command. So it is a number or a plain name, by pattern.
"""

from __future__ import annotations

import re
from typing import Final

from bridge.errors import CarrierError

_DIALABLE: Final = re.compile(r"\A\+?[0-9A-Za-z*#][0-9A-Za-z*#._-]{0,63}\Z")


def is_dialable(to: str) -> bool:
    """Whether `to` is a number (``+15550100001``, ``100``, ``*97``) or a plain name (``sales``)."""
    return bool(_DIALABLE.match(to))


def dialable(carrier: str, purpose: str, to: str) -> str:
    """`to`, if it is.

    Raises:
        CarrierError: it is not; `purpose` is what was to be done with it: "transfer the call".
    """
    if not is_dialable(to):
        raise CarrierError(
            f"cannot {purpose}: {to[:40]!r} is not a number or a name to dial", carrier=carrier
        )
    return to
