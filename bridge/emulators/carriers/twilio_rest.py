"""Twilio's REST API, as far as the bridge uses it: calls, numbers, the account.

Facts, from twilio.com/docs: iam/api/account, voice/api/call-resource, phone-numbers/api/incomingphonenumber-resource,
api/errors (20003, 20404, 21201, 21205, 21213, 21220, 12100).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from bridge.carriers.rest import RestAnswer, RestRequest, basic
from bridge.carriers.twilio import TwilioConfig
from bridge.emulators.caller_plan import new_sid
from bridge.emulators.rest_stand_in import RestStandIn, header, said
from bridge.emulators.twiml import parse_twiml
from bridge.errors import ProtocolError

_CALL_SID: Final = re.compile(r"CA[0-9a-f]{32}")
_STATUSES: Final = frozenset({"canceled", "completed"})


class TwilioRest(RestStandIn):
    """One account at Twilio, with the numbers `numbers`: number to sid."""

    name = "twilio"
    section: TwilioConfig

    def __init__(self, section: TwilioConfig, numbers: Mapping[str, str] | None = None) -> None:
        super().__init__(section)
        self.numbers = {"+15550100002": "PN" + "0" * 32} if numbers is None else dict(numbers)

    def judge(self, request: RestRequest) -> RestAnswer:
        """What Twilio says to `request`."""
        url, section = urlsplit(request.url), self.section
        if (
            header(request, "Authorization")
            != basic(section.account_sid, section.auth_token)["Authorization"]
        ):
            return _error(401, 20003, "Authenticate")
        account = f"/2010-04-01/Accounts/{section.account_sid}"
        form = dict(parse_qsl(request.body.decode("ascii")))
        match request.method, url.path.removeprefix(account).removesuffix(".json").split("/"):
            case "GET", [""]:
                return said(200, {"sid": section.account_sid, "friendly_name": "The stand-in's account"})
            case "POST", ["", "Calls"]:
                return _place(form)
            case "POST", ["", "Calls", sid] if _CALL_SID.fullmatch(sid):
                return _change(sid, form)
            case "GET", ["", "IncomingPhoneNumbers"]:
                return self._find(dict(parse_qsl(url.query)).get("PhoneNumber", ""))
            case "POST", ["", "IncomingPhoneNumbers", sid] if sid in self.numbers.values():
                return _configure(sid, form)
        return _error(404, 20404, f"The requested resource {url.path} was not found")

    def _find(self, number: str) -> RestAnswer:
        found = [{"sid": sid, "phone_number": has} for has, sid in self.numbers.items() if number in has]
        return said(200, {"incoming_phone_numbers": found})


def _place(form: Mapping[str, str]) -> RestAnswer:
    if not form.get("To"):
        return _error(400, 21201, "No 'To' number is specified")
    if not form.get("From"):
        return _error(400, 21213, "'From' number is required")
    if not _is_url(form.get("Url", "")):
        return _error(400, 21205, "Url parameter is required and must be a valid URL")
    return said(201, {"sid": new_sid("CA"), "status": "queued"})


def _change(sid: str, form: Mapping[str, str]) -> RestAnswer:
    if "Twiml" in form:
        try:
            parse_twiml(form["Twiml"])
        except ProtocolError as error:
            return _error(400, 12100, error.reason)
    elif form.get("Status") not in _STATUSES:
        return _error(400, 21220, "Status must be canceled or completed")
    return said(200, {"sid": sid, "status": form.get("Status", "in-progress")})


def _configure(sid: str, form: Mapping[str, str]) -> RestAnswer:
    if not _is_url(form.get("VoiceUrl", "")) or form.get("VoiceMethod") not in {"GET", "POST"}:
        return _error(400, 21502, "Voice URL is not valid")
    return said(200, {"sid": sid, "voice_url": form["VoiceUrl"]})


def _is_url(text: str) -> bool:
    return urlsplit(text).scheme in {"http", "https"}


def _error(status: int, code: int, message: str) -> RestAnswer:
    return said(status, {"code": code, "message": message, "status": status})


STAND_IN = TwilioRest
