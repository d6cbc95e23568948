"""A carrier's REST API without a network: a stand-in that is asked at once, or when the test says so."""

from __future__ import annotations

import asyncio

from bridge.carriers.rest import RestAnswer, RestRequest
from bridge.emulators.rest_stand_in import RestStandIn
from bridge.errors import CarrierError
from bridge.rest_client import RestClient


class PlayedRest(RestClient):
    """Asks `stand_in`; without one there is no answer at all."""

    def __init__(self, stand_in: RestStandIn | None) -> None:
        super().__init__()
        self.stand_in = stand_in
        #: Clear it to keep the carrier waiting; a request that waits is in `waiting`.
        self.open = asyncio.Event()
        self.open.set()
        self.waiting: list[RestRequest] = []

    async def answer_to(self, request: RestRequest) -> RestAnswer:
        self.waiting.append(request)
        await self.open.wait()
        self.waiting.remove(request)
        if self.stand_in is None:
            raise CarrierError("no answer", carrier=request.carrier)
        return self.stand_in.answer(request)
