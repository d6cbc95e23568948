"""jambonz: the `listen` verb, HMAC on webhooks, call control by REST.

Strategy, besides what `dialect` and `carrier` promise (the media socket is in `jambonz_dialect`):

- Answers are JSON verbs, encoded as a whole: no caller can write one into them. They end in verbs that run when we
  cannot be asked for better ones.
- `disconnect` ends the `listen`; its `actionHook` is asked then. So closing ends the call, and connects the caller to
  somebody else. With the API key hanging up goes by REST too, which waits for no webhook. Handing a call on does not:
  a `listen` that REST has replaced asks its `actionHook` all the same, and each of the two answers would dial.
- A hook's signature covers its time and its raw body. One that is asked with GET signs attributes that it does not
  send: hooks are POST.

Facts, from docs.jambonz.org: verbs/listen, verbs/dial, webhooks, reference/rest-call-control; and from the sources of
jambonz-feature-server (base-requestor.js, http-requestor.js, call-session.js).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote

import msgspec

from bridge.carriers.carrier import (
    APOLOGY,
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
)
from bridge.carriers.http_auth import require_basic
from bridge.carriers.jambonz_dialect import CALL_ID, FORMATS, NAME, JambonzDialect, text_of
from bridge.carriers.rest import Plan, RestRequest, ask, bearer, fail, json_request, text_at
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused, Unsupported
from bridge.plain_text import plain
from bridge.secret import Secret

SIGNATURE_HEADER: Final = "Jambonz-Signature"
#: How far the time in a signature may be from ours.
SIGNATURE_WINDOW_S: Final = 300.0

_SIGNED: Final = re.compile(r"\At=([0-9]{1,12})((?:,\s*v1=[0-9a-fA-F]{64})+)\Z")
_MAX_FIELD_CHARS: Final = 200
_DIGIT_MS: Final = 250
_STATUSES: Final[dict[str, StreamStatus]] = {
    "in-progress": "started",
    "completed": "stopped",
    "failed": "error",
    "busy": "error",
    "no-answer": "error",
}


# -- carrier ---------------------------------------------------------------------------------------


class JambonzConfig(Section, frozen=True):
    """``[carriers.jambonz]``."""

    #: What webhooks are signed with; of the account, in the portal.
    webhook_secret: Secret = msgspec.field(default_factory=Secret)
    #: Whose calls are taken; empty: anybody's who has the secret.
    account_sid: str = ""
    #: For the REST API, and what it is to set up.
    api_key: Secret = msgspec.field(default_factory=Secret)
    application_sid: str = ""
    #: What the media socket is to be opened with, by HTTP Basic; empty: the token of the call alone.
    username: str = ""
    password: Secret = msgspec.field(default_factory=Secret)
    rate_hz: Literal[8000, 16000, 24000, 48000] = 8000
    #: Where REST requests go: your own installation, or a stand-in.
    api_url: str = "https://api.jambonz.cloud"


class Jambonz(Carrier):
    """jambonz as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "jambonz"
    section = JambonzConfig
    capabilities = Capabilities(
        formats=tuple(FORMATS.values()),
        marks=Marks.LABELLED,
        send_digits=How.REST,
        hang_up=How.CLOSE,
        transfer=How.ANSWER,
        place_calls=How.REST,
        signed="Jambonz-Signature (HMAC-SHA256), webhooks; HTTP Basic on the upgrade, if configured",
    )

    _config: JambonzConfig

    def missing(self) -> list[tuple[str, str]]:
        """Without the webhook secret nothing can be verified."""
        if not self._config.webhook_secret:
            return [("webhook_secret", "without it no call can be told from a forgery.")]
        if self._config.username and not self._config.password:
            return [("password", "`username` is set, and without it nobody can open a media socket.")]
        return []

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless jambonz signed this body, just now."""
        secret, given = self._config.webhook_secret, header_values(webhook.headers, SIGNATURE_HEADER)
        if not secret:
            raise Refused("signature", "no secret is configured to check it with")
        signed = _SIGNED.match(given[0]) if len(given) == 1 else None
        if signed is None:
            raise Refused("signature", "no signature that could be read came with it")
        if abs(webhook.now_s - int(signed[1])) > SIGNATURE_WINDOW_S:
            raise Refused("signature", "it is not of this time; is the clock here right?")
        wanted = _code(secret, signed[1], webhook.body)
        codes = [part.strip().removeprefix("v1=").lower() for part in signed[2][1:].split(",")]
        if not any(hmac.compare_digest(wanted, code) for code in codes):
            raise Refused("signature", "it does not match; is it the account's webhook secret?")

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Raises Refused unless it brings our `wsAuth`. Without one the token of the call's answer is the gate."""
        if self._config.username:
            require_basic(upgrade.headers, self._config.username, self._config.password)

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        """The call that a hook is about; None when it tells that a call is over."""
        fields = _fields(webhook)
        if text_of(fields.get("call_status")) in ("completed", "failed", "busy", "no-answer"):
            return None
        call_id, account_id = self.call_id_of(webhook), text_of(fields.get("account_sid"))
        if not call_id:
            raise ProtocolError("call_sid is missing or malformed", peer=NAME, kind="bad_webhook")
        if self._config.account_sid and account_id != self._config.account_sid:
            raise Refused("account", "the call is not of carriers.jambonz.account_sid")
        return IncomingCall(
            call_id=call_id,
            account_id=account_id,
            from_number=text_of(fields.get("from")),
            to_number=text_of(fields.get("to")),
            direction="outbound" if fields.get("direction") == "outbound" else "inbound",
        )

    def call_id_of(self, webhook: Webhook) -> str:
        """The call that any hook is about."""
        call_id = text_of(_fields(webhook).get("call_sid"))
        return call_id if re.match(CALL_ID, call_id) else ""

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """Verbs that open the stream, and say sorry if we cannot be asked for better ones."""
        config = self._config
        auth = {"wsAuth": {"username": config.username, "password": config.password.reveal()}}
        listen = {
            "verb": "listen",
            "url": urls.media,
            "actionHook": urls.ended,
            "sampleRate": config.rate_hz,
            "mixType": "mono",
            "passDtmf": True,
            "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": config.rate_hz},
            "metadata": {"token": token},
            **(auth if config.username else {}),
        }
        return _verbs({"verb": "answer"}, listen, *_sorry())

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """Verbs for the time after the stream. An empty answer would let those after `listen` run."""
        if ended.ending is Ending.TRANSFERRED:
            return _verbs(_dial(ended.transfer_to), {"verb": "hangup"})
        return _verbs(*_sorry()) if ended.ending is Ending.LOST else _verbs({"verb": "hangup"})

    def status(self, webhook: Webhook) -> StreamStatus:
        """What became of the call, and with it of its stream."""
        return _STATUSES.get(text_of(_fields(webhook).get("call_status")), "unknown")

    def dialect(self, upgrade: Upgrade) -> JambonzDialect:
        """A fresh dialect, for one media socket."""
        return JambonzDialect()

    # -- call control ----------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None] | None:
        """By REST if that is configured; else by closing, and by the answer to the `actionHook`."""
        return self._change(call, "hang up", {"call_status": "completed"}) if self._has_rest else None

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None] | None:
        """By the answer to the `actionHook`."""
        return None

    def send_digits(self, call: IncomingCall, digits: str) -> Plan[None]:
        """DTMF to the caller, one key a request."""
        for digit in digits:
            yield from self._change(call, "send keys", {"dtmf": {"digit": digit, "duration": _DIGIT_MS}})

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call whose verbs are fetched from us, like that of any other."""
        body = {
            "call_hook": _hook(urls.answer),
            "call_status_hook": _hook(urls.status),
            "from": plain(from_number, _MAX_FIELD_CHARS),
            "to": {"type": "phone", "number": plain(to, _MAX_FIELD_CHARS)},
        }
        request = self._request("place the call", "POST", "/Calls", body)
        answer = yield from ask(request)
        if not (call_id := text_at(answer, "sid")):
            fail(request, answer, "the answer names no call")
        return call_id

    @property
    def _has_rest(self) -> bool:
        return bool(self._config.account_sid and self._config.api_key)

    def _change(self, call: IncomingCall, purpose: str, body: object) -> Plan[None]:
        yield from ask(self._request(purpose, "PUT", f"/Calls/{quote(call.call_id, safe='')}", body))

    def _request(self, purpose: str, method: str, path: str, body: object = None) -> RestRequest:
        """A request about the account."""
        config = self._config
        if not self._has_rest:
            raise Unsupported(
                f"cannot {purpose}: carriers.jambonz.account_sid and api_key are needed for it", carrier=NAME
            )
        url = f"{config.api_url}/v1/Accounts/{quote(config.account_sid, safe='')}{path}"
        if body is None:
            return RestRequest(NAME, purpose, method, url, bearer(config.api_key))
        return json_request(NAME, purpose, url, body, bearer(config.api_key), method)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The application's hooks, and its number."""
        return (
            Setting("Applications > (the application) > Calling webhook", f"{urls.answer}, POST"),
            Setting("Applications > (the application) > Call status webhook", f"{urls.status}, POST"),
            Setting(f"Phone numbers > {number} > Application", "the application"),
        )

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Give the application our hooks, and the number to the application."""
        config = self._config
        find = self._request("find the number", "GET", "/PhoneNumbers")
        if not config.application_sid:
            raise Unsupported(
                "cannot set it up: carriers.jambonz.application_sid is needed for it", carrier=NAME
            )
        found = yield from ask(find)
        if not (number_sid := _sid_of(number, found.json())):
            fail(find, found, f"{number} is not one of the account's numbers")
        hooks = {"call_hook": _hook(urls.answer), "call_status_hook": _hook(urls.status)}
        yield from self._put("set the application's hooks", f"Applications/{config.application_sid}", hooks)
        link = {"application_sid": config.application_sid}
        yield from self._put("link the number", f"PhoneNumbers/{number_sid}", link)
        return [
            f"{config.application_sid}: calls are answered by {urls.answer}, statuses go to {urls.status}",
            f"{number}: linked to {config.application_sid}",
        ]

    def _put(self, purpose: str, path: str, body: object) -> Plan[None]:
        url, headers = f"{self._config.api_url}/v1/{quote(path)}", bearer(self._config.api_key)
        yield from ask(json_request(NAME, purpose, url, body, headers, "PUT"))

    def check(self) -> Plan[str] | None:
        """Ask for the account."""
        return self._whose() if self._has_rest else None

    def _whose(self) -> Plan[str]:
        answer = yield from ask(self._request("read the account", "GET", ""))
        return text_at(answer, "name") or self._config.account_sid

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook:
        """A status of a call that never was."""
        call = {"call_sid": "00000000-0000-0000-0000-000000000000", "call_status": "completed"}
        body = msgspec.json.encode({**call, "account_sid": self._config.account_sid})
        headers = {
            SIGNATURE_HEADER: sign(self._config.webhook_secret, body, int(now_s)),
            "Content-Type": "application/json",
        }
        return Webhook(url=urls.status, headers=headers, body=body, now_s=now_s)


CARRIER = Jambonz


def sign(secret: Secret, body: bytes, at_s: int) -> str:
    """The signature that belongs to a body, as its header has it."""
    return f"t={at_s},v1={_code(secret, str(at_s), body)}"


def _code(secret: Secret, at_s: str, body: bytes) -> str:
    return hmac.digest(secret.reveal().encode(), at_s.encode() + b"." + body, "sha256").hex()


def _fields(webhook: Webhook) -> Mapping[str, object]:
    content = webhook.json()
    return content if isinstance(content, dict) else {}


def _hook(url: str) -> dict[str, str]:
    return {"url": url, "method": "POST"}


def _verbs(*verbs: Mapping[str, object]) -> Reply:
    return Reply(msgspec.json.encode(verbs).decode(), "application/json")


def _sorry() -> tuple[dict[str, object], dict[str, object]]:
    return {"verb": "say", "text": APOLOGY}, {"verb": "hangup"}


def _dial(to: str) -> dict[str, object]:
    return {"verb": "dial", "target": [{"type": "phone", "number": plain(to, _MAX_FIELD_CHARS)}]}


def _sid_of(number: str, listed: object) -> str:
    """The id of a number in the account's list; jambonz keeps numbers without a plus."""
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and text_of(one.get("number")).lstrip("+") == number.lstrip("+"):
            return text_of(one.get("phone_number_sid"))
    return ""
