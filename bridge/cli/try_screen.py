"""What ``bridge flows try`` shows: who says what, and, less loudly, what the flow does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"


class Screen:
    """Writes as it happens, a line for each thing.

    Args:
        write: takes text, with its line breaks, and shows it at once.
        dims: whether it is a terminal that can show something less loudly.
    """

    def __init__(self, write: Callable[[str], None], *, dims: bool = False) -> None:
        self._write, self._dims = write, dims
        self._line_is_open = False

    def step(self, name: str) -> None:
        """The flow has come to a step."""
        self._line(self._aside(f"[{name}]"))

    def says(self, text: str, how: str = "") -> None:
        """The caller hears `text`; `how` is what else there is to know of it."""
        self._line(f"  bridge: {_shown(text)}" + (self._aside(f" ({how})") if how else ""))

    def told(self, text: str) -> None:
        """What a call would have done, or what the world answered."""
        self._line("  " + self._aside(f"({_shown(text)})"))

    def waits(self) -> None:
        """The caller is waited for: what is `pressed` from now on is one line."""
        self._write("  caller: ")
        self._line_is_open = True

    def pressed(self, key: str) -> None:
        """A key of that line."""
        self._write(key)

    def waited(self, why: str) -> None:
        """That line is over, because of `why`."""
        self.close_line(self._aside(f"({why})"))

    def close_line(self, text: str = "") -> None:
        """End a line that is open, as it is."""
        if self._line_is_open:
            self._write(text + "\n")
        self._line_is_open = False

    def _line(self, text: str) -> None:
        self.close_line()
        self._write(text + "\n")

    def _aside(self, text: str) -> str:
        return f"{_DIM}{text}{_PLAIN}" if self._dims else text


def _shown(text: str) -> str:
    """What somebody else wrote must not repaint a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
