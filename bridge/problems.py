"""What is wrong with a file that somebody wrote: where, which key, what, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.errors import ConfigError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One of them.

    Attributes:
        source: the file, as it was named.
        line: counted from 1; 0 when it is about the whole file.
        key: dotted, as in ``steps.menu.choices.3``.
        reason: what is wrong and how to mend it.
        fatal: False for what may be meant, and is told all the same.
    """

    source: str
    line: int
    key: str
    reason: str
    fatal: bool = True

    @classmethod
    def of(cls, error: ConfigError) -> Problem:
        """Of a file that could not be read at all."""
        at = re.search(r"\(at line (\d+), column \d+\)", error.reason)
        return cls(error.source, int(at[1]) if at else 0, error.key, error.reason)

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        kind = "" if self.fatal else "warning"
        return ": ".join(part for part in (place, kind, self.key, self.reason) if part)


class FilesRefused(ConfigError):
    """Files with problems, of which at least one is fatal: none of them was taken.

    Args:
        problems: all of them, warnings too.
        command: what shows them all.
    """

    def __init__(self, problems: Sequence[Problem], command: str = "bridge flows check") -> None:
        self.problems = tuple(problems)
        fatal = [problem for problem in self.problems if problem.fatal]
        more = f" (and {len(fatal) - 1} more: {command} shows them)" if len(fatal) > 1 else ""
        first = fatal[0]
        super().__init__(
            f"{first.reason}{more}",
            key=first.key,
            source=f"{first.source}:{first.line}" if first.line else first.source,
        )
