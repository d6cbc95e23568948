"""Asterisk's ARI, as far as the bridge uses it: its version, and a call that goes on in the dialplan.

Facts, from docs.asterisk.org (ARI: channels, asterisk) and rest-api/ of its sources.
"""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.asterisk import AsteriskConfig
from bridge.carriers.rest import RestAnswer, RestRequest, basic
from bridge.emulators.rest_stand_in import RestStandIn, header, said

_TECHNOLOGY: Final = re.compile(r"(PJSIP|SIP|IAX2|Local|WebSocket)/[^\s,&|]+")


class _Originate(Struct, forbid_unknown_fields=True):
    endpoint: str
    extension: Annotated[str, Meta(min_length=1)]
    context: Annotated[str, Meta(min_length=1)]
    priority: Annotated[int, Meta(ge=1)] = 1
    callerId: str = ""
    variables: dict[str, str] = {}


class AsteriskRest(RestStandIn):
    """One Asterisk with ARI on; `section` is an `AsteriskConfig`."""

    name = "asterisk"
    section: AsteriskConfig

    def judge(self, request: RestRequest) -> RestAnswer:
        """What ARI says to `request`."""
        known = basic(self.section.ari_username, self.section.ari_password)
        if header(request, "Authorization") != known["Authorization"]:
            return said(401, {"error": "Authentication required"})
        match request.method, urlsplit(request.url).path:
            case "GET", "/ari/asterisk/info":
                return said(200, {"system": {"version": "22.8.0", "entity_id": "00:00:00:00:00:01"}})
            case "POST", "/ari/channels":
                return _originate(request)
        return said(404, {"message": "Resource not found"})


def _originate(request: RestRequest) -> RestAnswer:
    try:
        asked = msgspec.json.decode(request.body, type=_Originate)
    except msgspec.DecodeError as error:
        return said(400, {"message": str(error)})
    if not _TECHNOLOGY.fullmatch(asked.endpoint):
        return said(400, {"message": "Invalid endpoint specified"})
    return said(200, {"id": "1795260005.7", "name": f"{asked.endpoint}-00000001", "state": "Down"})


STAND_IN = AsteriskRest
