"""Telnyx's REST API, and the events that go with it: calls, applications, numbers. Values and plans, no I/O.

Strategy:

- Call Control commands are JSON under ``/v2/calls``; a TeXML call is changed by a form under its account, as at Twilio.
- What a plan lacks is told before its first request.

Facts, from developers.telnyx.com/api-reference (call-commands, texml-rest-commands, call-control-applications,
texml-applications, phone-number-configurations, balance) and the types of the `telnyx` package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from bridge.carriers.carrier import IncomingCall
from bridge.carriers.json_dialect import UNDECODABLE
from bridge.carriers.rest import Plan, RestRequest, ask, bearer, fail, form_request, json_request, text_at
from bridge.carriers.telnyx_dialect import NAME
from bridge.errors import ProtocolError, Unsupported
from bridge.secret import Secret

_T = TypeVar("_T")

_ALREADY_ENDED: Final = b'"90018"'


@dataclass(frozen=True, slots=True)
class Application:
    """One of the two kinds of application: where they are, which setting names ours, what their fields are called."""

    path: str
    setting: str
    name: str
    webhook: str


TEXML_APPLICATION: Final = Application(
    "texml_applications", "texml_application_id", "friendly_name", "voice_url"
)
CALL_CONTROL_APPLICATION: Final = Application(
    "call_control_applications", "connection_id", "application_name", "webhook_event_url"
)


class CallPayload(Struct):
    """What the events that we act on say of their call, as far as we read it."""

    call_control_id: str = ""
    connection_id: str | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    direction: str | None = None
    client_state: str | None = None


class CallEvent(Struct):
    """One event of Call Control. There are a hundred kinds, and of most the name is all that is read."""

    event_type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")

    def call(self) -> CallPayload:
        """What it says of its call.

        Raises:
            ProtocolError: it cannot be read.
        """
        return _decoded(self.payload, CallPayload)


class _Envelope(Struct):
    data: CallEvent


def call_event(body: bytes) -> CallEvent:
    """The event in a webhook's body.

    Raises:
        ProtocolError: there is none.
    """
    return _decoded(body, _Envelope).data


def _decoded(body: bytes | msgspec.Raw, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNDECODABLE:
        raise ProtocolError("it is no event of Call Control", peer=NAME, kind="bad_webhook") from None


class TelnyxApi:
    """What the bridge asks of Telnyx. Every method raises Unsupported when there is no key to ask with."""

    def __init__(self, url: str, key: Secret) -> None:
        self._url, self._key = url, key

    def action(self, call_id: str, purpose: str, action: str, body: Mapping[str, object]) -> RestRequest:
        """A command to a call."""
        return self._request(purpose, "POST", f"calls/{_step(call_id)}/actions/{action}", body)

    def texml(self, call: IncomingCall, purpose: str, form: Mapping[str, str]) -> RestRequest:
        """A change to a TeXML call."""
        path = f"texml/Accounts/{_step(call.account_id)}/Calls/{_step(call.call_id)}"
        return form_request(NAME, purpose, f"{self._url}/v2/{path}", form, self._headers(purpose))

    def do(self, request: RestRequest) -> Plan[None]:
        """Make the one request."""
        yield from ask(request)

    def end(self, request: RestRequest) -> Plan[None]:
        """Make the one request that ends a call; that it has ended already is as good."""
        answer = yield request
        already_ended = answer.status == 422 and _ALREADY_ENDED in answer.body
        if not (answer.ok or already_ended):
            fail(request, answer)

    def dial(self, connection_id: str, call: Mapping[str, object]) -> Plan[str]:
        """Place a call; returns its ``call_control_id``."""
        purpose = "place the call"
        self._require(purpose, "connection_id", connection_id)
        request = self._request(purpose, "POST", "calls", {"connection_id": connection_id, **call})
        answer = yield from ask(request)
        if not (call_id := text_at(answer, "data", "call_control_id")):
            fail(request, answer, "the answer names no call")
        return call_id

    def set_webhook(self, kind: Application, application_id: str, url: str) -> Plan[None]:
        """Have an application's calls answered at `url`."""
        purpose = "set the application's webhook"
        self._require(purpose, kind.setting, application_id)
        path = f"{kind.path}/{_step(application_id)}"
        application = yield from ask(self._request("read the application", "GET", path))
        # A change must say the name again.
        body = {kind.name: text_at(application, "data", kind.name), kind.webhook: url}
        yield from ask(self._request(purpose, "PATCH", path, body))

    def assign(self, number: str, application_id: str) -> Plan[None]:
        """Give a number to an application."""
        query = urlencode({"filter[phone_number]": number})
        find = self._request("find the number", "GET", f"phone_numbers?{query}")
        found = yield from ask(find)
        if not (number_id := text_at(found, "data", 0, "id")):
            fail(find, found, f"{number} is not one of the account's numbers")
        path, body = f"phone_numbers/{_step(number_id)}", {"connection_id": application_id}
        yield from ask(self._request("give the number to the application", "PATCH", path, body))

    def balance(self) -> Plan[str]:
        """What the account has: its currency and how much."""
        answer = yield from ask(self._request("read the balance", "GET", "balance"))
        balance, currency = (text_at(answer, "data", key) for key in ("balance", "currency"))
        return f"an account with {balance} {currency}" if balance else "an account"

    def _request(self, purpose: str, method: str, path: str, body: object = None) -> RestRequest:
        headers, url = self._headers(purpose), f"{self._url}/v2/{path}"
        if body is None:
            return RestRequest(NAME, purpose, method, url, headers)
        return json_request(NAME, purpose, url, body, headers, method)

    def _headers(self, purpose: str) -> dict[str, str]:
        self._require(purpose, "api_key", self._key)
        return bearer(self._key)

    @staticmethod
    def _require(purpose: str, setting: str, value: object) -> None:
        if not value:
            raise Unsupported(f"cannot {purpose}: carriers.telnyx.{setting} must be set for it", carrier=NAME)


def _step(text: str) -> str:
    """`text` as one step of a path."""
    return quote(text, safe="")
