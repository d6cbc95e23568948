"""SignalWire's REST API on this machine, as far as the bridge uses it; see `bridge.emulators.rest_stand_in`.

Facts, from signalwire.com/docs: compatibility-api/rest.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from bridge.carriers.rest import RestAnswer, RestRequest, basic
from bridge.carriers.signalwire import SignalWireConfig
from bridge.emulators.rest_stand_in import RestStandIn, header, said

CALL_ID: Final = "b3877c40-da60-4998-90ad-b792e98472ca"
NUMBER_ID: Final = "b3877c40-da60-4998-90ad-b792e98472fe"
NUMBER: Final = "+15550002222"
PROJECT_NAME: Final = "a project"

_FORM: Final = "application/x-www-form-urlencoded"
_CALL: Final = re.compile(r"/Calls/[0-9A-Za-z_-]{1,64}\.json")


class SignalWireRest(RestStandIn):
    """One project, with one number."""

    name = "signalwire"
    section: SignalWireConfig

    def judge(self, request: RestRequest) -> RestAnswer:
        """401 without the project's own credentials, 404 for what it has not, 422 for a body that lacks something."""
        section = self.section
        if header(request, "Authorization") != basic(section.project_id, section.api_token)["Authorization"]:
            return said(401, {"error": "Unauthorized"})
        base = f"/api/laml/2010-04-01/Accounts/{section.project_id}"
        parts = urlsplit(request.url)
        if not parts.path.startswith(base):
            return _refused(404, "no such project")
        if request.method == "GET":
            return self._read(parts.path.removeprefix(base), parse_qs(parts.query))
        if request.method != "POST" or header(request, "Content-Type") != _FORM:
            return _refused(400, "a form is to be posted")
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        return self._change(parts.path.removeprefix(base), form)

    def _read(self, path: str, query: dict[str, list[str]]) -> RestAnswer:
        if path == ".json":
            return said(200, {"sid": self.section.project_id, "friendly_name": PROJECT_NAME})
        if path == "/IncomingPhoneNumbers.json":
            known = query.get("PhoneNumber") == [NUMBER]
            numbers = [{"sid": NUMBER_ID, "phone_number": NUMBER}] if known else []
            return said(200, {"incoming_phone_numbers": numbers})
        return _refused(404, "no such page")

    def _change(self, path: str, form: dict[str, str]) -> RestAnswer:
        if path == "/Calls.json":
            return _given(form, {"To", "From", "Url"}, 201, {"sid": CALL_ID, "status": "queued"})
        if _CALL.fullmatch(path):
            wanted = {"Status"} if form.get("Status") in ("completed", "canceled") else {"Url"}
            return _given(form, wanted, 200, {"sid": CALL_ID, "status": "in-progress"})
        if path == f"/IncomingPhoneNumbers/{NUMBER_ID}.json":
            return _given(form, {"VoiceUrl"}, 200, {"sid": NUMBER_ID})
        return _refused(404, "no such page")


STAND_IN = SignalWireRest


def _given(form: dict[str, str], wanted: set[str], status: int, body: object) -> RestAnswer:
    missing = sorted(wanted - form.keys())
    return _refused(422, f"{', '.join(missing)}: missing") if missing else said(status, body)


def _refused(status: int, message: str) -> RestAnswer:
    return said(status, {"code": status, "message": message, "status": status})
