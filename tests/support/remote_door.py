"""The way to an agent elsewhere that is a list: a test sees what it is told, and commands in its stead."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bridge.agents.remote import Remote, RemoteOptions
from bridge.remote.door import Door, Reception, Trouble
from bridge.remote.protocol import Event, Start, decode
from bridge.surroundings import Surroundings
from tests.support.call import Scene

E = TypeVar("E", bound=Event)
URL = "ws://127.0.0.1:1/"


class PlayedDoor(Door):
    """A `Door` without a network."""

    def __init__(self, start: Start, reception: Reception) -> None:
        super().__init__(start, reception)
        self.told: list[Event] = []

    async def _run(self) -> None:
        self.told.append(self._outbox.open())
        while True:
            while (event := self._outbox.take()) is not None:
                self.told.append(event)
            await self._until_news()

    def command(self, *commands: dict[str, Any]) -> None:
        """The agent sends these, all in one message."""
        for command in decode(json.dumps(commands).encode()):
            self._reception.take(command)

    def fail(self, trouble: Trouble) -> None:
        """Something is wrong with the agent."""
        self._in_trouble(trouble)


@dataclass
class Elsewhere:
    """A conversation that a test holds in the agent's stead."""

    scene: Scene
    door: PlayedDoor
    task: asyncio.Task[None] = field(repr=False)

    def command(self, *commands: dict[str, Any]) -> None:
        """The agent sends these."""
        self.door.command(*commands)

    def told(self, kind: type[E]) -> list[E]:
        """What it was told of one kind, in order."""
        return [event for event in self.door.told if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """What it was told, by type."""
        return [str(event.__struct_config__.tag) for event in self.door.told]


def elsewhere(scene: Scene, **options: Any) -> Elsewhere:
    """The remote agent at work on a scene, while the test goes on."""
    doors: list[PlayedDoor] = []

    def open_door(_options: RemoteOptions, _shared: Surroundings, start: Start, reception: Reception) -> Door:
        doors.append(PlayedDoor(start, reception))
        return doors[0]

    remote = Remote(scene.call, RemoteOptions(**{"url": URL, **options}), open_door)
    return Elsewhere(scene, doors[0], asyncio.create_task(remote.hold()))
