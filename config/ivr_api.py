"""A made-up API for the clinic's and the bank's lines of ivr.toml: python config/ivr_api.py, and it answers on
port 8090 of this machine. It books appointments in a clinic that does not exist, and knows one account."""

from __future__ import annotations

from datetime import date, timedelta

from aiohttp import web

#: The account, its PIN, and how often one may be wrong.
ACCOUNT, PIN, TRIES = "12345678", "4321", 3


class Api:
    """What it knows, and what it was asked for."""

    def __init__(self, today: date | None = None) -> None:
        self.today = today or date.today()
        self.booked: list[str] = []
        self.tries_left = TRIES

    async def slots(self, request: web.Request) -> web.Response:
        """The next free appointment; none for who is not born yet."""
        asked = await request.json()
        if asked["birth_date"] > f"{self.today:%Y%m%d}":
            return web.json_response({"error": "nothing is free"}, status=404)
        day = self.today + timedelta(days=7)
        slot = {"id": f"{day:%Y%m%d}-0930", "day": day.isoformat(), "time": "09:30"}
        return web.json_response({"slot": slot})

    async def book(self, request: web.Request) -> web.Response:
        """Take it."""
        self.booked.append(request.match_info["slot"])
        return web.json_response({"booked": True})

    async def balance(self, request: web.Request) -> web.Response:
        """What the account holds, for who knows its PIN."""
        asked = await request.json()
        if not self.tries_left:
            return web.json_response({"error": "locked"}, status=423)
        if (asked["account"], asked["pin"]) != (ACCOUNT, PIN):
            self.tries_left -= 1
            return web.json_response({"tries_left": self.tries_left}, status=401)
        self.tries_left = TRIES
        return web.json_response({"name": "Ada", "balance": "1234.50"})

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application()
        app.router.add_post("/clinic/slots", self.slots)
        app.router.add_post("/clinic/bookings/{slot}", self.book)
        app.router.add_post("/bank/balance", self.balance)
        return app


if __name__ == "__main__":
    web.run_app(Api().app(), host="127.0.0.1", port=8090)
