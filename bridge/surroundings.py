"""What the agents of a process share, and may know of it.

Strategy:

- An agent is a function of a call; what must outlive the call (connections, what was read from a file) is made once,
  when it is first wanted, and closed with the process.
- What an agent's options leave out is that of the bridge: its key, the folder of its configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from bridge.networks import is_loopback
from bridge.secret import Secret


class Closable(Protocol):
    """What is shared."""

    async def close(self) -> None:
        """Let go of everything. Nobody uses it any more."""


C = TypeVar("C", bound=Closable)


class Surroundings:
    """Of one process.

    Args:
        folder: where the configuration's file is; what is named in it relatively is beside it.
        api_key: that of ``[lightning]``.
    """

    def __init__(self, folder: Path | None = None, api_key: Secret | None = None) -> None:
        self.folder = folder or Path()
        self.api_key = api_key or Secret()
        #: The ids of prompts that are in files; None while nobody has read them.
        self.prompts: Container[str] | None = None
        self._shared: dict[Hashable, Any] = {}

    def key_for(self, url: str, own: Secret) -> Secret:
        """What to ask for entry to `url` with: `own`, or ours where that is Smallest AI's, or on this machine.

        Our key is not for every address that somebody may name. Empty: there is none.
        """
        host = urlsplit(url).hostname or ""
        theirs = host == "smallest.ai" or host.endswith(".smallest.ai") or is_loopback(host)
        return own or (self.api_key if theirs else Secret())

    def shared(self, key: Hashable, make: Callable[[], C]) -> C:
        """What is shared under `key`; made if nobody has wanted it yet."""
        if key not in self._shared:
            self._shared[key] = make()
        made: C = self._shared[key]
        return made

    async def close(self) -> None:
        """Close all that is shared."""
        while self._shared:
            _, each = self._shared.popitem()
            await each.close()
