"""Telnyx's REST API as far as the bridge asks it: commands to calls, applications, numbers, the balance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from bridge.carriers.rest import RestAnswer, RestRequest
from bridge.carriers.telnyx import TelnyxConfig
from bridge.emulators.rest_stand_in import RestStandIn, header, said

#: What each command must hold, and what else it may.
_COMMANDS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "hangup": (frozenset(), frozenset({"command_id", "client_state"})),
    "transfer": (frozenset({"to"}), frozenset({"command_id", "client_state", "from"})),
    "send_dtmf": (frozenset({"digits"}), frozenset({"command_id", "client_state", "duration_millis"})),
}
_STREAMING: Final = frozenset(
    {
        "stream_url",
        "stream_track",
        "stream_codec",
        "stream_bidirectional_mode",
        "stream_bidirectional_codec",
        "command_id",
        "client_state",
    }
)
_STREAM_COMMANDS: Final = {
    # Only the second can be told the rate.
    "answer": _STREAMING | {"webhook_url"},
    "streaming_start": _STREAMING | {"custom_parameters", "stream_bidirectional_sampling_rate"},
}
_NAMES: Final = {"texml_applications": "friendly_name", "call_control_applications": "application_name"}
_WEBHOOKS: Final = {"texml_applications": "voice_url", "call_control_applications": "webhook_event_url"}

NUMBER_ID: Final = "1293384261075731499"


class TelnyxRest(RestStandIn):
    """One account at Telnyx: it has the applications of `section`, and the number +15550002222."""

    name = "telnyx"
    section: TelnyxConfig

    def __init__(self, section: TelnyxConfig, numbers: tuple[str, ...] = ("+15550002222",)) -> None:
        super().__init__(section)
        self.numbers = numbers
        #: Calls that are over already.
        self.over: set[str] = set()

    def judge(self, request: RestRequest) -> RestAnswer:
        """401 without the key, 404 for what is not there, 422 for a body that is not right."""
        if header(request, "Authorization") != f"Bearer {self.section.api_key.reveal()}":
            return _error(401, "10009", "Authentication failed")
        parts = urlsplit(request.url)
        path = parts.path.strip("/").split("/")
        if path[0] != "v2":
            return _not_found()
        if path[1:2] == ["texml"]:
            return self._texml(request, path[2:])
        body = _json(request.body)
        if body is None:
            return _error(422, "10015", "the body is not JSON")
        return self._answer(request.method, path[1:], body, parts.query)

    def _answer(self, method: str, path: list[str], body: dict[str, Any], query: str) -> RestAnswer:
        match method, path:
            case "POST", ["calls"]:
                return self._dial(body)
            case "POST", ["calls", call_id, "actions", action]:
                return self._act(unquote(call_id), action, body)
            case "GET", ["balance"]:
                return said(200, {"data": {"balance": "300.00", "currency": "USD"}})
            case "GET", ["phone_numbers"]:
                found = [n for n in self.numbers if parse_qs(query).get("filter[phone_number]") == [n]]
                return said(200, {"data": [{"id": NUMBER_ID, "phone_number": n} for n in found]})
            case "PATCH", ["phone_numbers", number_id] if number_id == NUMBER_ID:
                return (
                    said(200, {"data": body})
                    if body.get("connection_id")
                    else _unprocessable("connection_id")
                )
            case _, [kind, application_id] if kind in _NAMES and application_id in self._applications():
                return self._application(method, kind, body)
        return _not_found()

    def _applications(self) -> tuple[str, ...]:
        return tuple(
            filter(None, (unquote(self.section.texml_application_id), unquote(self.section.connection_id)))
        )

    def _application(self, method: str, kind: str, body: dict[str, Any]) -> RestAnswer:
        name, webhook = _NAMES[kind], _WEBHOOKS[kind]
        if method == "GET":
            return said(200, {"data": {name: "the bridge's", webhook: "https://elsewhere.example"}})
        if method != "PATCH":
            return _not_found()
        missing = [field for field in (name, webhook) if not body.get(field)]
        return _unprocessable(missing[0]) if missing else said(200, {"data": body})

    def _dial(self, body: dict[str, Any]) -> RestAnswer:
        for field in ("connection_id", "to", "from", "webhook_url", "client_state"):
            if not body.get(field):
                return _unprocessable(field)
        if body["connection_id"] != self.section.connection_id:
            return _unprocessable("connection_id")
        return said(200, {"data": {"call_control_id": "v3:placed", "call_leg_id": "1", "is_alive": False}})

    def _act(self, call_id: str, action: str, body: dict[str, Any]) -> RestAnswer:
        if call_id in self.over:
            return _error(422, "90018", "Call has already ended")
        if action in _STREAM_COMMANDS:
            return _stream(body, _STREAM_COMMANDS[action], plain=action == "answer")
        if action not in _COMMANDS:
            return _not_found()
        required, allowed = _COMMANDS[action]
        wrong = sorted((required - set(body)) | (set(body) - required - allowed))
        return _unprocessable(wrong[0]) if wrong else said(200, {"data": {"result": "ok"}})

    def _texml(self, request: RestRequest, path: list[str]) -> RestAnswer:
        if request.method != "POST" or len(path) != 4 or (path[0], path[2]) != ("Accounts", "Calls"):
            return _not_found()
        if not header(request, "Content-Type").startswith("application/x-www-form-urlencoded"):
            return _error(422, "10015", "the body is no form")
        if unquote(path[3]) in self.over:
            return _error(422, "90018", "Call has already ended")
        form = parse_qs(request.body.decode("ascii"))
        good = form.get("Status") == ["completed"] or "Texml" in form
        return said(200, {"sid": unquote(path[3])}) if good else _unprocessable("Status")


STAND_IN = TelnyxRest


def _stream(body: dict[str, Any], allowed: frozenset[str], *, plain: bool) -> RestAnswer:
    if unknown := sorted(set(body) - allowed):
        return _unprocessable(unknown[0])
    without_stream = plain and not any(key.startswith("stream_") for key in body)
    if not (without_stream or re.match("wss?://", str(body.get("stream_url")))):
        return _unprocessable("stream_url")
    if len(str(body.get("command_id", ""))) > 64:
        return _unprocessable("command_id")
    return said(200, {"data": {"result": "ok"}})


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        decoded = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:
        return None
    return decoded if isinstance(decoded, dict) else None


def _unprocessable(field: str) -> RestAnswer:
    return _error(422, "10015", f"Bad Request: {field}")


def _not_found() -> RestAnswer:
    return _error(404, "10005", "Resource not found")


def _error(status: int, code: str, title: str) -> RestAnswer:
    return said(status, {"errors": [{"code": code, "title": title}]})
