"""FreeSWITCH's API over mod_xml_rpc, as far as the bridge uses it: what is wrong is told with a status of 200.

Facts, from FreeSWITCH's pages on mod_xml_rpc and mod_commands, and their sources.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

from bridge.carriers.freeswitch import FreeswitchConfig
from bridge.carriers.rest import RestAnswer, RestRequest, basic
from bridge.emulators.rest_stand_in import RestStandIn, header

#: What `create_uuid` makes.
NEW_UUID: Final = "6e3f2c1a-0b7d-4f57-8d2a-5a1c9e0b4d66"

_UUID: Final = re.compile(r"[0-9A-Za-z_-]+")
_ORIGINATE: Final = re.compile(
    r"originate \{origination_uuid=(?P<uuid>[^,{}]+),origination_caller_id_number=(?P<caller>[^,{}]+)"
    r",ignore_early_media=true\}(?P<endpoint>[a-z_]+/\S+) (?P<extension>\S+) XML (?P<context>\S+)"
)
_NO_CHANNEL: Final = "-ERR No such channel!\n"


class FreeswitchRest(RestStandIn):
    """One switch with the calls `calls`; `section` is a `FreeswitchConfig`."""

    name = "freeswitch"
    section: FreeswitchConfig

    def __init__(self, section: FreeswitchConfig, calls: frozenset[str] = frozenset()) -> None:
        super().__init__(section)
        self.calls = set(calls)

    def judge(self, request: RestRequest) -> RestAnswer:
        """What the switch says to `request`."""
        known = basic(self.section.api_username, self.section.api_password)
        if header(request, "Authorization") != known["Authorization"]:
            return _text("Unauthorized\n", 401)
        url = urlsplit(request.url)
        root, _, command = url.path.rpartition("/")
        if root != "/txtapi":
            return _text("Not Found\n", 404)
        # Reading may be done twice, changing may not; the API itself would take both by either method.
        if (request.method == "GET") != (command in {"status", "create_uuid"}):
            return _text("-ERR the wrong method\n")
        return _text(self._carry_out(command, unquote(url.query)))

    def _carry_out(self, command: str, arguments: str) -> str:
        words = arguments.split(" ")
        match command, words:
            case "status", [""]:
                return "UP 0 years, 0 days, 1 hour\nFreeSWITCH (Version 1.10.12 64bit) is ready\n"
            case "create_uuid", [""]:
                return NEW_UUID
            case "uuid_kill", [uuid, "NORMAL_CLEARING"]:
                return self._on(uuid)
            case "uuid_transfer", [uuid, _, "XML", _]:
                return self._on(uuid)
            case "uuid_send_dtmf", [uuid, _]:
                return self._on(uuid)
            case "bgapi", ["originate", *_]:
                return self._originate(arguments)
        return f"-USAGE: {command}\n"

    def _on(self, uuid: str) -> str:
        return "+OK\n" if uuid in self.calls else _NO_CHANNEL

    def _originate(self, arguments: str) -> str:
        asked = _ORIGINATE.fullmatch(arguments)
        if asked is None or not _UUID.fullmatch(asked["uuid"]):
            return "-USAGE: originate <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>]\n"
        self.calls.add(asked["uuid"])
        return "+OK Job-UUID: 0d1c2b3a-0000-4000-8000-000000000000\n"


STAND_IN = FreeswitchRest


def _text(body: str, status: int = 200) -> RestAnswer:
    return RestAnswer(status, body.encode())
