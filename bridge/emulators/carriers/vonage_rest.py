"""Vonage's REST APIs on this machine: calls, the application, its numbers.

Calls want the application's JWT (RS256), each one once; the account's own affairs want its key and secret (Basic).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.rest import RestAnswer, RestRequest, basic
from bridge.carriers.vonage import VonageConfig
from bridge.carriers.vonage_tokens import OUR_TOKEN_S, pem_of
from bridge.emulators.rest_stand_in import RestStandIn, header, said

#: The call that it places, and the country of its numbers.
CALL_ID: Final = "63f61863-4a51-4f6b-86e1-46edebcf9356"
COUNTRY: Final = "US"

_Number: TypeAlias = Annotated[str, Meta(pattern="^[0-9]{5,15}$")]
_Url: TypeAlias = Annotated[str, Meta(pattern="^https?://")]


class _Phone(Struct, forbid_unknown_fields=True):
    type: Literal["phone"]
    number: _Number


class _NewCall(Struct, forbid_unknown_fields=True):
    to: Annotated[list[_Phone], Meta(min_length=1)]
    from_: _Phone = msgspec.field(name="from")
    answer_url: Annotated[list[_Url], Meta(min_length=1)]
    event_url: list[_Url] = []
    answer_method: Literal["GET", "POST"] = "GET"
    event_method: Literal["GET", "POST"] = "POST"


class _HangUp(Struct, forbid_unknown_fields=True, tag_field="action", tag="hangup"):
    pass


class _Ncco(Struct, forbid_unknown_fields=True):
    type: Literal["ncco"]
    ncco: Annotated[list[dict[str, Any]], Meta(min_length=1)]


class _Transfer(Struct, forbid_unknown_fields=True, tag_field="action", tag="transfer"):
    destination: _Ncco


class _Keys(Struct, forbid_unknown_fields=True):
    digits: Annotated[str, Meta(pattern="^[0-9*#p]+$")]


class _Webhook(Struct):
    address: _Url
    http_method: Literal["GET", "POST"]


class _Voice(Struct):
    webhooks: dict[Literal["answer_url", "event_url", "fallback_answer_url"], _Webhook]
    signed_callbacks: bool = False


class _Capabilities(Struct):
    voice: _Voice


class _Application(Struct):
    name: str
    capabilities: _Capabilities


class VonageRest(RestStandIn):
    """One account, with one application and some numbers.

    Args:
        section: a `VonageConfig`; its credentials are the right ones, its private key among them.
        numbers: of the account, digits only.
    """

    name = "vonage"
    section: VonageConfig

    def __init__(self, section: Any, numbers: tuple[str, ...] = ("15550100002",)) -> None:
        super().__init__(section)
        self.numbers = numbers
        #: As the Applications API keeps it.
        self.application: dict[str, Any] = {
            "id": section.application_id,
            "name": "bridge",
            "capabilities": {"messages": {"webhooks": {}}},
        }
        self._seen: set[str] = set()

    def judge(self, request: RestRequest) -> RestAnswer:
        """By the first steps of the path."""
        path = urlsplit(request.url).path
        if path.startswith("/v1/calls"):
            return (
                self._calls(request, path) if self._is_ours(request) else said(401, {"title": "Unauthorized"})
            )
        wanted = basic(self.section.api_key, self.section.api_secret)["Authorization"]
        if header(request, "Authorization") != wanted:
            return said(401, {"title": "Unauthorized"})
        if path == f"/v2/applications/{self.section.application_id}":
            return self._change_application(request)
        if path == "/account/numbers" and request.method == "GET":
            return self._find_number(request)
        return self._link(request) if path == "/number/update" else said(404, {"title": "Not found"})

    def _is_ours(self, request: RestRequest) -> bool:
        import jwt
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        scheme, _, token = header(request, "Authorization").partition(" ")
        key: Any = load_pem_private_key(pem_of(self.section.private_key).encode("ascii"), None).public_key()
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"], options={"require": ["iat", "jti", "exp"]})
        except (jwt.PyJWTError, ValueError):
            return False
        fresh = claims["jti"] not in self._seen and claims["exp"] - claims["iat"] <= OUR_TOKEN_S
        self._seen.add(claims["jti"])
        return scheme == "Bearer" and fresh and claims.get("application_id") == self.section.application_id

    def _calls(self, request: RestRequest, path: str) -> RestAnswer:
        steps = path.removeprefix("/v1/calls").split("/")[1:]
        if request.method == "GET" and not steps:
            return said(200, {"count": 0, "_embedded": {"calls": []}})
        if request.method == "POST" and not steps:
            placed = {"uuid": CALL_ID, "status": "started", "direction": "outbound"}
            return _judged(request, _NewCall, said(201, placed))
        if request.method == "PUT" and len(steps) == 1:
            return _judged(request, _HangUp | _Transfer, said(204))
        if request.method == "PUT" and steps[1:] == ["dtmf"]:
            return _judged(request, _Keys, said(200, {"message": "DTMF sent", "uuid": steps[0]}))
        return said(404, {"title": "Not found"})

    def _change_application(self, request: RestRequest) -> RestAnswer:
        if request.method == "GET":
            return said(200, self.application)
        answer = _judged(request, _Application, said(200))
        if answer.ok:
            self.application = msgspec.json.decode(request.body)
        return answer

    def _find_number(self, request: RestRequest) -> RestAnswer:
        pattern = parse_qs(urlsplit(request.url).query).get("pattern", [""])[0]
        found = [{"country": COUNTRY, "msisdn": number} for number in self.numbers if pattern in number]
        return said(200, {"count": len(found), "numbers": found} if found else {})

    def _link(self, request: RestRequest) -> RestAnswer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode("ascii")).items()}
        known = form.get("msisdn") in self.numbers and form.get("country") == COUNTRY
        if not known or form.get("app_id") != self.section.application_id:
            return said(420, {"error-code": "420", "error-code-label": "method failed"})
        return said(200, {"error-code": "200", "error-code-label": "success"})


def _judged(request: RestRequest, kind: Any, answer: RestAnswer) -> RestAnswer:
    try:
        msgspec.json.decode(request.body, type=kind)
    except msgspec.MsgspecError as error:
        return said(400, {"title": "Bad Request", "detail": str(error)})
    return answer


STAND_IN = VonageRest
