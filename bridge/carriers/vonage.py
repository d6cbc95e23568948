"""Vonage Voice: NCCO answers, JWTs on webhooks and towards its API.

Strategy, besides what `dialect` and `carrier` promise (the media socket is in `vonage_dialect`, JWTs in
`vonage_tokens`):

- NCCOs are encoded as a whole: no caller can write an action into them.
- Upgrades are not signed, so the media socket's gate is the token that the NCCO put into its headers.
- The stream's `eventUrl` is asked synchronously when the socket has closed. So closing ends the call, and connects the
  caller to somebody else; with the application's private key both go by REST, which waits for no webhook.
- Events about the socket name its own leg of the call. Which call that is, our address for them tells.

Facts, from developer.vonage.com: voice/voice-api/ncco-reference, voice/voice-api/webhook-reference, api/voice,
api/application.v2, api/numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from bridge.carriers.carrier import (
    APOLOGY,
    NOTED,
    Capabilities,
    Carrier,
    Ended,
    Ending,
    How,
    IncomingCall,
    Marks,
    Reply,
    Setting,
    StreamStatus,
    StreamUrls,
    Upgrade,
    Webhook,
    header_values,
    one_of,
)
from bridge.carriers.rest import Plan, RestRequest, ask, basic, fail, form_request, json_request, text_at
from bridge.carriers.vonage_dialect import CALL_ID, FORMATS, NAME, VonageDialect
from bridge.carriers.vonage_tokens import application_header, preload, require_signed, webhook_header
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused, Unsupported
from bridge.plain_text import plain
from bridge.secret import Secret

_MAX_FIELD_CHARS: Final = 200

#: Events about the socket's leg after which Vonage asks what comes next; the others want no answer.
_FAILED: Final = frozenset({"failed", "unanswered", "rejected", "busy", "timeout", "cancelled"})
_ASKING: Final = _FAILED | {"disconnected"}
_STREAM_STATUSES: Final[dict[str, StreamStatus]] = {
    "answered": "started",
    "disconnected": "stopped",
    "completed": "stopped",
    **dict.fromkeys(_FAILED, "error"),
}


# -- carrier ---------------------------------------------------------------------------------------


class VonageConfig(Section, frozen=True):
    """``[carriers.vonage]``."""

    #: What Vonage signs webhooks with; of the account, in its dashboard's settings.
    signature_secret: Secret = msgspec.field(default_factory=Secret)
    #: Whose webhooks are taken; empty: anybody's who has the secret.
    api_key: str = ""
    application_id: str = ""
    #: The key's secret: only to set up the application and its number.
    api_secret: Secret = msgspec.field(default_factory=Secret)
    #: The application's, as PEM or the path of a file with it: for the REST API.
    private_key: Secret = msgspec.field(default_factory=Secret)
    rate_hz: Literal[8000, 16000, 24000] = 8000
    #: Where REST requests go; another region's, or a stand-in's.
    api_url: str = "https://api.nexmo.com"
    #: Where the account's numbers are kept.
    numbers_url: str = "https://rest.nexmo.com"


class Vonage(Carrier):
    """Vonage as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Vonage"
    section = VonageConfig
    capabilities = Capabilities(
        formats=tuple(FORMATS.values()),
        marks=Marks.PLAYED_ONLY,
        send_digits=How.REST,
        hang_up=How.CLOSE,
        transfer=How.ANSWER,
        place_calls=How.REST,
        signed="JWT (HS256) with a digest of the body, webhooks",
    )
    webhook_methods = ("POST", "GET")

    _config: VonageConfig

    def __init__(self, config: VonageConfig) -> None:
        super().__init__(config)
        self._can_verify = bool(config.signature_secret) and preload()

    def missing(self) -> list[tuple[str, str]]:
        """Without the signature secret, and something to read JWTs with, nothing can be verified."""
        if self._can_verify:
            return []
        if not self._config.signature_secret:
            return [("signature_secret", "without it no call can be told from a forgery.")]
        return [("signature_secret", "PyJWT is not installed, which checks it: install the extra `vonage`.")]

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless Vonage signed this body, or the query of a GET, just now."""
        names = ("api_key", "application_id")
        wanted = {name: value for name in names if (value := getattr(self._config, name))}
        given = header_values(webhook.headers, "Authorization")
        secret, content = self._config.signature_secret, _signed_content(webhook)
        require_signed(secret, given, content, webhook.now_s, wanted)

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Lets in: Vonage signs no upgrade. The token of the call's answer is the gate."""

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        """The call that the answer webhook announces; None for an event."""
        fields = _fields(webhook)
        if fields.get("status"):
            return None
        call_id = fields.get("uuid", "")
        if not re.match(CALL_ID, call_id):
            raise ProtocolError("uuid is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
        return IncomingCall(
            call_id=call_id,
            account_id=self._config.api_key,
            from_number=plain(fields.get("from", ""), _MAX_FIELD_CHARS),
            to_number=plain(fields.get("to", ""), _MAX_FIELD_CHARS),
            direction="outbound" if one_of(webhook.query, "direction") == "outbound" else "inbound",
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """An NCCO that connects the call to our socket, and has us asked what to do after it."""
        # Its events name the socket's leg, not the caller's: ours is in the address. `line` is whom they may call as.
        ended = {"call": call.call_id, "line": _digits(_our_number(call))}
        endpoint = {
            "type": "websocket",
            "uri": urls.media,
            "content-type": f"audio/l16;rate={self._config.rate_hz}",
            "headers": {"token": token, "call": call.call_id},
        }
        return _ncco(
            {
                "action": "connect",
                "eventType": "synchronous",
                "eventUrl": [f"{urls.ended}?{urlencode(ended)}"],
                "eventMethod": "POST",
                "endpoint": [endpoint],
            }
        )

    def call_id_of(self, webhook: Webhook) -> str:
        """The call that an event of its socket is about: our own address tells it."""
        if not _asks(webhook):
            return ""
        call_id = one_of(webhook.query, "call")
        return call_id if re.match(CALL_ID, call_id) else ""

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """An NCCO for the time after the stream: none of its actions end the call, so an empty one does."""
        status = _fields(webhook).get("status", "")
        if status not in _ASKING:
            return NOTED
        if ended.ending is Ending.TRANSFERRED:
            return _ncco(_connect(ended.transfer_to, one_of(webhook.query, "line")))
        lost = ended.ending is Ending.LOST or status in _FAILED
        return _ncco(_talk(APOLOGY)) if lost else _ncco()

    def status(self, webhook: Webhook) -> StreamStatus:
        """What an event reports."""
        return _STREAM_STATUSES.get(_fields(webhook).get("status", ""), "unknown")

    def dialect(self, upgrade: Upgrade) -> VonageDialect:
        """A fresh dialect, for one media socket."""
        return VonageDialect()

    # -- call control ----------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None] | None:
        """By REST if that is configured; else by closing, and by the answer to what that makes Vonage ask."""
        return self._change(call, "hang up", {"action": "hangup"}) if self._has_rest else None

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None] | None:
        """A new NCCO for the call, by REST if that is configured; else as the answer to ``ended``."""
        if not self._has_rest:
            return None
        destination = {"type": "ncco", "ncco": [_connect(to, _our_number(call))]}
        return self._change(call, "transfer the call", {"action": "transfer", "destination": destination})

    def send_digits(self, call: IncomingCall, digits: str) -> Plan[None]:
        """DTMF on the caller's leg."""
        return self._change(call, "send keys", {"digits": digits}, "/dtmf")

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call whose answer is fetched from us, like that of any other."""
        body = {
            "to": [{"type": "phone", "number": _digits(to)}],
            "from": {"type": "phone", "number": _digits(from_number)},
            "answer_url": [f"{urls.answer}?direction=outbound"],
            "answer_method": "POST",
            "event_url": [urls.status],
            "event_method": "POST",
        }
        request = self._request("place the call", "/v1/calls", body)
        answer = yield from ask(request)
        if not (call_id := text_at(answer, "uuid")):
            fail(request, answer, "the answer names no call")
        return call_id

    @property
    def _has_rest(self) -> bool:
        return bool(self._config.application_id and self._config.private_key)

    def _change(self, call: IncomingCall, purpose: str, body: object, below: str = "") -> Plan[None]:
        path = f"/v1/calls/{quote(call.call_id, safe='')}{below}"
        yield from ask(self._request(purpose, path, body, "PUT"))

    def _request(self, purpose: str, path: str, body: object = None, method: str = "POST") -> RestRequest:
        """A request that is signed with the application's key, when it is sent."""
        if not self._has_rest:
            raise _lacking(purpose, "application_id and private_key")
        config, url = self._config, f"{self._config.api_url}{path}"
        content = b"" if body is None else msgspec.json.encode(body)
        told = f"{method} {url} ".encode() + content

        def sign(now_s: float) -> Mapping[str, str]:
            return application_header(config.application_id, config.private_key, told, now_s)

        headers = {} if body is None else {"Content-Type": "application/json"}
        return RestRequest(NAME, purpose, method, url, headers, content, sign)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The application's webhooks, and its number."""
        where = "Applications > (the application) > Edit > Capabilities > Voice"
        return (
            Setting(f"{where} > Answer URL", f"{urls.answer}, HTTP POST"),
            Setting(f"{where} > Event URL", f"{urls.status}, HTTP POST"),
            Setting(f"{where} > Use signed webhooks", "on"),
            Setting("Applications > (the application) > Link", number),
        )

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Give the application our webhooks, and the number to the application."""
        config = self._config
        if not (config.api_key and config.api_secret and config.application_id):
            raise _lacking("set it up", "api_key, api_secret and application_id")
        headers = basic(config.api_key, config.api_secret)
        yield from self._set_webhooks(urls, headers)
        yield from self._link(number, headers)
        return [
            f"{config.application_id}: calls are answered by {urls.answer}, events go to {urls.status}, signed",
            f"{number}: linked to {config.application_id}",
        ]

    def _set_webhooks(self, urls: StreamUrls, headers: Mapping[str, str]) -> Plan[None]:
        url = f"{self._config.api_url}/v2/applications/{quote(self._config.application_id, safe='')}"
        read = RestRequest(NAME, "read the application", "GET", url, headers)
        answer = yield from ask(read)
        found = answer.json()
        if not isinstance(found, dict):
            fail(read, answer, "the answer is no application")
        capabilities = found.get("capabilities")
        webhooks = {
            "answer_url": {"address": urls.answer, "http_method": "POST"},
            "event_url": {"address": urls.status, "http_method": "POST"},
        }
        # All of it goes back: what is left out of a PUT is taken from the application.
        found["capabilities"] = {
            **(capabilities if isinstance(capabilities, dict) else {}),
            "voice": {"webhooks": webhooks, "signed_callbacks": True},
        }
        yield from ask(json_request(NAME, "set its webhooks", url, found, headers, "PUT"))

    def _link(self, number: str, headers: Mapping[str, str]) -> Plan[None]:
        digits, base = _digits(number), self._config.numbers_url
        find = RestRequest(
            NAME, "find the number", "GET", f"{base}/account/numbers?pattern={digits}", headers
        )
        found = yield from ask(find)
        if text_at(found, "numbers", 0, "msisdn") != digits:
            fail(find, found, f"{number} is not one of the account's numbers")
        form = {
            "country": text_at(found, "numbers", 0, "country"),
            "msisdn": digits,
            "app_id": self._config.application_id,
        }
        yield from ask(form_request(NAME, "link the number", f"{base}/number/update", form, headers))

    def check(self) -> Plan[str] | None:
        """Ask for the application's calls."""
        return self._list_calls() if self._has_rest else None

    def _list_calls(self) -> Plan[str]:
        yield from ask(self._request("list calls", "/v1/calls?page_size=1", method="GET"))
        return f"application {self._config.application_id}"

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook:
        """An event of a call that never was."""
        config = self._config
        body = b'{"status":"completed","uuid":"00000000-0000-0000-0000-000000000000"}'
        claims = {"api_key": config.api_key, "application_id": config.application_id}
        headers = {
            **webhook_header(config.signature_secret, body, now_s, **claims),
            "Content-Type": "application/json",
        }
        return Webhook(url=urls.status, headers=headers, body=body, now_s=now_s)


CARRIER = Vonage


# -- answers -----------------------------------------------------------------------------------------------


def _ncco(*actions: object) -> Reply:
    return Reply(msgspec.json.encode(actions).decode(), "application/json")


def _talk(text: str) -> dict[str, object]:
    return {"action": "talk", "text": text}


def _connect(to: str, from_number: str) -> dict[str, object]:
    caller = {"from": digits} if (digits := _digits(from_number)) else {}
    return {"action": "connect", **caller, "endpoint": [{"type": "phone", "number": _digits(to)}]}


def _digits(number: str) -> str:
    """A number as Vonage writes it: its digits, without a plus."""
    return re.sub("[^0-9]", "", number[:_MAX_FIELD_CHARS])


def _our_number(call: IncomingCall) -> str:
    return call.from_number if call.direction == "outbound" else call.to_number


def _lacking(purpose: str, settings: str) -> Unsupported:
    return Unsupported(f"cannot {purpose}: carriers.vonage.{settings} are needed for it", carrier=NAME)


# -- webhooks ----------------------------------------------------------------------------------------------


def _fields(webhook: Webhook) -> dict[str, str]:
    """What a webhook says: the text fields of its JSON or, of a GET, those of its query that are there once."""
    if webhook.method == "GET":
        return {name: one_of(webhook.query, name) for name, _ in webhook.query}
    content = webhook.json()
    found = content.items() if isinstance(content, dict) else ()
    return {name: value for name, value in found if isinstance(value, str)}


def _asks(webhook: Webhook) -> bool:
    return _fields(webhook).get("status", "") in _ASKING


def _signed_content(webhook: Webhook) -> bytes:
    if webhook.method != "GET":
        return webhook.body
    fields = dict(webhook.query)
    if len(fields) < len(webhook.query):
        raise Refused(
            "signature", "a field of the query is repeated: nobody can say which of them was signed"
        )
    return msgspec.json.encode(fields)
