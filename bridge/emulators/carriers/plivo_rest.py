"""Plivo's REST API as far as the bridge asks it: calls, applications, numbers, the account."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from bridge.carriers.plivo import PlivoConfig
from bridge.carriers.rest import RestAnswer, RestRequest, basic
from bridge.emulators.carriers.plivo import REQUEST_ID
from bridge.emulators.rest_stand_in import RestStandIn, header, said


class PlivoRest(RestStandIn):
    """One account at Plivo, with the number 15550002222."""

    name = "plivo"
    section: PlivoConfig

    def __init__(self, section: PlivoConfig, numbers: tuple[str, ...] = ("15550002222",)) -> None:
        super().__init__(section)
        self.numbers = numbers
        self.applications = {section.app_id} if section.app_id else set[str]()
        #: Calls that are over already.
        self.over: set[str] = set()

    def judge(self, request: RestRequest) -> RestAnswer:
        """401 without the credentials, 404 for what is not there, 400 for a body that is not right."""
        config = self.section
        if header(request, "Authorization") != basic(config.auth_id, config.auth_token)["Authorization"]:
            return RestAnswer(401, b"Could not verify your access level for that URL.")
        path = urlsplit(request.url).path
        root = f"/v1/Account/{config.auth_id}/"
        if not (path.startswith(root) and path.endswith("/")):
            return _error(404, "not found")
        body = _json(request.body)
        if body is None:
            return _error(400, "the body is not JSON")
        steps = [unquote(step) for step in path.removeprefix(root).strip("/").split("/") if step]
        return self._answer(request.method, steps, body)

    def _answer(self, method: str, path: list[str], body: dict[str, Any]) -> RestAnswer:
        match method, path:
            case "GET", []:
                return said(200, {"auth_id": self.section.auth_id, "name": "The Account", "state": "Active"})
            case "POST", ["Call"]:
                return self._dial(body)
            case _, ["Call", call_id] if call_id in self.over:
                return _error(404, "call not found")
            case "DELETE", ["Call", _]:
                return RestAnswer(204)
            case "POST", ["Call", _]:
                return self._transfer(body)
            case "POST", ["Application"]:
                return self._application(body, body.get("app_name"))
            case "POST", ["Application", app_id] if app_id in self.applications:
                return self._application(body, "kept")
            case "POST", ["Number", number] if number in self.numbers:
                known = body.get("app_id") in self.applications
                return said(202, {"message": "changed"}) if known else _error(400, "app_id")
        return _error(404, "not found")

    def _dial(self, body: dict[str, Any]) -> RestAnswer:
        for field in ("to", "from", "answer_url", "answer_method"):
            if not body.get(field):
                return _error(400, f"{field} is missing")
        return said(201, {"message": "call fired", "request_uuid": REQUEST_ID})

    def _transfer(self, body: dict[str, Any]) -> RestAnswer:
        if body.get("legs") != "aleg" or not str(body.get("aleg_url", "")).startswith("http"):
            return _error(400, "aleg_url is missing")
        return said(202, {"message": "call transferred"})

    def _application(self, body: dict[str, Any], name: object) -> RestAnswer:
        if not (name and body.get("answer_url") and body.get("answer_method") in ("GET", "POST")):
            return _error(400, "app_name, answer_url or answer_method is missing")
        self.applications.add("20372631212782780")
        return said(201, {"message": "created", "app_id": "20372631212782780"})


STAND_IN = PlivoRest


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        decoded = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:
        return None
    return decoded if isinstance(decoded, dict) else None


def _error(status: int, message: str) -> RestAnswer:
    return said(status, {"api_id": "2d1c0c4c", "error": message})
