"""Exotel's REST API on this machine, as far as the bridge uses it; see `bridge.emulators.rest_stand_in`.

Facts, from developer.exotel.com: agentstream/developer-guide, connect-voice-ai.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlsplit

from bridge.carriers.exotel import MAX_STREAM_URL_CHARS, ExotelConfig
from bridge.carriers.rest import RestAnswer, RestRequest, basic
from bridge.emulators.rest_stand_in import RestStandIn, header, said

CALL_ID: Final = "2d0e6a5f0a6b4a2c9f3b7a1c5d8e9f16"
_WANTED: Final = ("From", "CallerId", "StreamUrl", "StreamType")


class ExotelRest(RestStandIn):
    """One account."""

    name = "exotel"
    section: ExotelConfig

    def judge(self, request: RestRequest) -> RestAnswer:
        """401 without the key and token, 404 for another account or page, 400 for a body that lacks something."""
        section = self.section
        if header(request, "Authorization") != basic(section.api_key, section.api_token)["Authorization"]:
            return _refused(401, "Authentication failed")
        base = f"/v1/Accounts/{section.account_sid}"
        path = urlsplit(request.url).path
        if (request.method, path) == ("GET", f"{base}/Calls.json"):
            return said(200, {"Metadata": {"PageSize": 1}, "Calls": []})
        if (request.method, path) == ("POST", f"{base}/Calls/connect"):
            return self._connect(request.body)
        return _refused(404, "The requested resource was not found")

    def _connect(self, body: bytes) -> RestAnswer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if missing := [name for name in _WANTED if name not in form]:
            return _refused(400, f"Mandatory Parameter missing: {', '.join(missing)}")
        url = form["StreamUrl"]
        if not url.startswith(("wss://", "ws://")) or len(url) > MAX_STREAM_URL_CHARS:
            return _refused(400, "StreamUrl is invalid")
        if form["StreamType"] != "bidirectional":
            return _refused(400, "StreamType is invalid")
        return said(200, {"Call": {"Sid": CALL_ID, "Status": "in-progress", "To": form["From"]}})


STAND_IN = ExotelRest


def _refused(status: int, message: str) -> RestAnswer:
    return said(status, {"RestException": {"Status": status, "Message": message}})
