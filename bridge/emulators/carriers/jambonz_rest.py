"""jambonz' REST API on this machine: calls, applications, phone numbers. All of it wants the account's API key."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.jambonz import JambonzConfig
from bridge.carriers.rest import RestAnswer, RestRequest, bearer
from bridge.emulators.rest_stand_in import RestStandIn, header, said

#: The call that it places, and its one number.
CALL_SID: Final = "9210add6-9573-4860-a003-648c7829faaa"
NUMBER_SID: Final = "5a1b9c2e-0000-4000-8000-000000000001"

_Url: TypeAlias = Annotated[str, Meta(pattern="^https?://")]


class _Hook(Struct, forbid_unknown_fields=True):
    url: _Url
    method: Literal["GET", "POST"] = "POST"


class _Phone(Struct, forbid_unknown_fields=True):
    type: Literal["phone"]
    number: Annotated[str, Meta(min_length=3)]


class _NewCall(Struct, forbid_unknown_fields=True):
    call_hook: _Hook
    from_: str = msgspec.field(name="from")
    to: _Phone
    call_status_hook: _Hook | None = None


class _Dtmf(Struct, forbid_unknown_fields=True):
    digit: Annotated[str, Meta(pattern="^[0-9*#A-D]$")]
    duration: int = 250


class _Change(Struct, forbid_unknown_fields=True):
    call_hook: _Hook | None = None
    call_status: Literal["completed", "no-answer"] | None = None
    dtmf: _Dtmf | None = None


class _Hooks(Struct, forbid_unknown_fields=True):
    call_hook: _Hook
    call_status_hook: _Hook


class _Link(Struct, forbid_unknown_fields=True):
    application_sid: str


class JambonzRest(RestStandIn):
    """One account, with one application and one number.

    Args:
        section: a `JambonzConfig`; its credentials are the right ones.
        number: the account's, as jambonz keeps it: without a plus.
    """

    name = "jambonz"
    section: JambonzConfig

    def __init__(self, section: Any, number: str = "15550100002") -> None:
        super().__init__(section)
        self.number = number

    def judge(self, request: RestRequest) -> RestAnswer:
        """By method and path."""
        if header(request, "Authorization") != bearer(self.section.api_key)["Authorization"]:
            return said(401, {"msg": "unauthorized"})
        section, account = self.section, f"/v1/Accounts/{self.section.account_sid}"
        path = urlsplit(request.url).path
        numbers = [{"number": self.number, "phone_number_sid": NUMBER_SID}]
        match request.method, path.removeprefix(account):
            case "GET", "":
                return said(200, {"name": "bridge", "account_sid": section.account_sid})
            case "GET", "/PhoneNumbers":
                return said(200, numbers)
            case "POST", "/Calls":
                return _judged(request, _NewCall, said(201, {"sid": CALL_SID}))
            case "PUT", below if below.startswith("/Calls/"):
                return _judged(request, _Change, said(202))
            case "PUT", below if below == f"/v1/Applications/{section.application_sid}":
                return _judged(request, _Hooks, said(204))
            case "PUT", below if below == f"/v1/PhoneNumbers/{NUMBER_SID}":
                return _judged(request, _Link, said(204))
        return said(404, {"msg": "not found"})


def _judged(request: RestRequest, kind: Any, answer: RestAnswer) -> RestAnswer:
    try:
        msgspec.json.decode(request.body, type=kind)
    except msgspec.MsgspecError as error:
        return said(400, {"msg": str(error)})
    return answer


STAND_IN = JambonzRest
