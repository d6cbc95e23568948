"""What the agents of a process share: made once, closed with it."""

from __future__ import annotations

from bridge.secret import Secret
from bridge.surroundings import Surroundings


class Shared:
    def __init__(self, closed: list[Shared]) -> None:
        self._closed = closed

    async def close(self) -> None:
        self._closed.append(self)


async def test_what_is_shared_is_made_once_and_closed_with_the_process() -> None:
    surroundings, closed = Surroundings(api_key=Secret("canary")), list[Shared]()
    one = surroundings.shared("one", lambda: Shared(closed))
    other = surroundings.shared(("one", 2), lambda: Shared(closed))
    assert one is not other
    assert surroundings.shared("one", lambda: Shared(closed)) is one
    await surroundings.close()
    await surroundings.close()
    assert closed == [other, one]
    assert "canary" not in repr(vars(surroundings))
