"""Plivo: ``<Stream>`` in an Answer XML, base64 media both ways, `X-Plivo-Signature-V3` on webhooks.

Strategy, besides what `dialect`, `json_dialect` and `carrier` promise:

- `contentType` is always written: Plivo's pages disagree about what it is when it is not.
- One message plays 20 ms, the only size that nobody reports as refused.
- The stream ends when the socket is closed in good order, with no message about it; then ``<Redirect>`` has Plivo ask
  us what is next. A socket that breaks is opened again, twice; a call that ends meanwhile is told by its hangup URL.
- The token travels in the path of the stream's address. A signature on the upgrade is not looked at: Plivo does not say
  that there is one, and a check that a forger escapes by leaving the header out would stop nobody but Plivo.

Facts, from plivo.com/docs: voice/xml/audio-stream, voice/xml/stream/*, voice/concepts/signature-validation,
voice/api/call, account/api/application, numbers/api/account-phone-number; and the `plivo` package.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

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
from bridge.carriers.form_signature import spellings
from bridge.carriers.markup import response, verb
from bridge.carriers.plivo_dialect import ID, NAME, PlivoDialect
from bridge.carriers.rest import Plan, RestRequest, ask, basic, fail, json_request, text_at
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused, Unsupported
from bridge.plain_text import plain
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, PCM16_8K, AudioFormat, Encoding

#: Signed with the token of the account that the number is of, and with that of the account above it.
SIGNATURE_HEADERS: Final = ("X-Plivo-Signature-V3", "X-Plivo-Signature-Ma-V3")
NONCE_HEADER: Final = "X-Plivo-Signature-V3-Nonce"

_MAX_FIELD_CHARS: Final = 400
_LONGEST_CALL_S: Final = 24 * 3600
_STREAM_EVENTS: Final[dict[str, StreamStatus]] = {
    "StartStream": "started",
    "StopStream": "stopped",
    "DroppedStream": "error",
}
#: What a webhook says of a call that is over. Without a `hangup_url` it comes to the answer URL.
_OVER: Final = frozenset({"completed", "busy", "failed", "timeout", "no-answer", "cancel", "rejected"})

# -- signature -------------------------------------------------------------------------------------


def sign(secret: str, method: str, url: str, form: Iterable[tuple[str, str]], nonce: str) -> str:
    """The V3 signature that belongs to a request: base64 of the HMAC. `plivo.utils` is the oracle for it, in the tests.

    Args:
        secret: the account's auth token.
        method: ``GET`` or ``POST``.
        url: the whole URL as Plivo knows it, query included.
        form: the fields of a POST body, in any order; a GET has them in its query.
        nonce: what came along.
    """
    parts = urlsplit(url)
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    fields = [] if method == "GET" else sorted(form)
    base = f"{parts.scheme}://{parts.netloc}{parts.path}" + ("?" if query or fields else "")
    base += "&".join(f"{name}={value}" for name, value in query) + ("." if query and fields else "")
    base += "".join(name + value for name, value in fields)
    # Lone surrogates are how a server hands on bytes that are not UTF-8: they must not match, and not raise.
    message = f"{base}.{nonce}".encode("utf-8", "surrogatepass")
    return b64encode(hmac.digest(secret.encode("utf-8"), message, "sha256")).decode("ascii")


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode("ascii"), theirs.encode("utf-8", "surrogatepass"))


# -- carrier ---------------------------------------------------------------------------------------


class PlivoConfig(Section, frozen=True):
    """``[carriers.plivo]``."""

    #: For the REST API: hanging up, transfers, calls that we place.
    auth_id: str = ""
    auth_token: Secret = msgspec.field(default_factory=Secret)
    #: The application whose answer URL `bridge setup` sets; empty: it makes one.
    app_id: str = ""
    codec: Literal["mulaw", "l16"] = "mulaw"
    #: Of l16 alone.
    rate_hz: Literal[8000, 16000] = 8000
    #: Where REST requests go; a stand-in's.
    api_url: str = "https://api.plivo.com"

    @property
    def content_type(self) -> str:
        """The audio of both directions, as ``<Stream>`` has it."""
        return f"audio/x-{self.codec};rate={self.rate_hz if self.codec == 'l16' else 8000}"


class Plivo(Carrier):
    """Plivo as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Plivo"
    section = PlivoConfig
    capabilities = Capabilities(
        formats=(MULAW_8K, PCM16_8K, AudioFormat(Encoding.PCM16, 16000)),
        marks=Marks.PLAYED_ONLY,
        send_digits=How.MESSAGE,
        hang_up=How.REST,
        transfer=How.REST,
        place_calls=How.REST,
        token="path",  # noqa: S106 - a place, not a token
        signed="X-Plivo-Signature-V3 (HMAC-SHA256), webhooks",
    )
    reconnects = True
    webhook_methods = ("POST", "GET")

    _config: PlivoConfig

    def missing(self) -> list[tuple[str, str]]:
        """Without the auth token nothing can be verified."""
        return (
            []
            if self._config.auth_token
            else [("auth_token", "without it no call can be told from a forgery.")]
        )

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless one of the signatures belongs to this URL and form."""
        if not self._config.auth_token:
            raise Refused("signature", "no secret is configured to check it with")
        nonces = header_values(webhook.headers, NONCE_HEADER)
        if len(nonces) != 1:
            raise Refused("signature", f"{len(nonces)} headers {NONCE_HEADER} instead of one")
        given = [
            signature.strip()
            for header in SIGNATURE_HEADERS
            for value in header_values(webhook.headers, header)
            for signature in value.split(",")
        ]
        token, form, nonce = self._config.auth_token.reveal(), webhook.form.items(), nonces[0]
        ours = [sign(token, webhook.method, url, form, nonce) for url in spellings(webhook.url)]
        if not any(_same(one, other) for one in ours for other in given):
            raise Refused(
                "signature", "it does not match; is server.public_url the address that the carrier calls?"
            )

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Plivo does not say that it signs upgrades: the token in the path must do."""

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        """The call that the answer webhook announces; None when it tells that a call is over."""
        if _is_over(webhook):
            return None
        call_id = webhook.value("CallUUID")
        if not re.match(ID, call_id):
            raise ProtocolError("CallUUID is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
        return IncomingCall(
            call_id=call_id,
            account_id=plain(webhook.value("ParentAuthID"), _MAX_FIELD_CHARS),
            from_number=plain(webhook.value("From"), _MAX_FIELD_CHARS),
            to_number=plain(webhook.value("To"), _MAX_FIELD_CHARS),
            direction="outbound" if webhook.value("Direction") == "outbound" else "inbound",
            placed_as=_request_of(webhook),
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """XML that opens the stream, and then asks us what is next."""
        stream = verb(
            "Stream",
            f"{urls.media}/{token}",
            bidirectional="true",
            keepCallAlive="true",
            contentType=self._config.content_type,
            streamTimeout=str(_LONGEST_CALL_S),
            statusCallbackUrl=urls.status,
            statusCallbackMethod="POST",
        )
        return response(stream, verb("Redirect", urls.ended, method="POST"))

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """XML for the time after the stream: connect to somebody else, or hang up, after an apology if need be."""
        if ended.ending is Ending.TRANSFERRED:
            dial = verb("Dial")
            whom = "User" if ended.transfer_to.startswith(("sip:", "sips:")) else "Number"
            dial.append(verb(whom, plain(ended.transfer_to, _MAX_FIELD_CHARS)))
            return response(dial, verb("Hangup"))
        lost = ended.ending is Ending.LOST or self.status(webhook) == "error"
        return response(verb("Speak", APOLOGY), verb("Hangup")) if lost else response(verb("Hangup"))

    def call_id_of(self, webhook: Webhook) -> str:
        """The call, also of a webhook that tells its end."""
        call_id = webhook.value("CallUUID")
        return call_id if re.match(ID, call_id) else ""

    def status(self, webhook: Webhook) -> StreamStatus:
        """What the stream's status callback reports."""
        return _STREAM_EVENTS.get(webhook.value("Event"), "unknown")

    def over(self, webhook: Webhook) -> str:
        """The call that has been hung up."""
        return self.call_id_of(webhook) if _is_over(webhook) else ""

    def dialect(self, upgrade: Upgrade) -> PlivoDialect:
        """A fresh dialect, for one media socket."""
        return PlivoDialect()

    # -- call control ----------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None] | None:
        """Through REST; without credentials by closing, and the answer to ``ended``."""
        return self._end(self._call("hang up", call, "DELETE")) if self._config.auth_id else None

    def _end(self, request: RestRequest) -> Plan[None]:
        answer = yield request
        if not answer.ok and answer.status != 404:  # it has ended already
            fail(request, answer)

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None] | None:
        """Have Plivo ask ``ended`` what is next, and answer it there; without credentials it asks once we close."""
        if not self._config.auth_id:
            return None
        body = {"legs": "aleg", "aleg_url": urls.ended, "aleg_method": "POST"}
        return self._do(self._call("transfer the call", call, "POST", body))

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call whose answer is fetched from us, like that of any other."""
        body = {
            "to": to,
            "from": from_number,
            "answer_url": urls.answer,
            "answer_method": "POST",
            "hangup_url": urls.status,
            "hangup_method": "POST",
        }
        request = self._request("place the call", "POST", "Call/", body)
        answer = yield from ask(request)
        if not (call_id := text_at(answer, "request_uuid")):
            fail(request, answer, "the answer names no call")
        return call_id

    def _do(self, request: RestRequest) -> Plan[None]:
        yield from ask(request)

    def _call(
        self, purpose: str, call: IncomingCall, method: str, body: Mapping[str, str] | None = None
    ) -> RestRequest:
        return self._request(purpose, method, f"Call/{quote(call.call_id, safe='')}/", body)

    def _request(
        self, purpose: str, method: str, path: str, body: Mapping[str, str] | None = None
    ) -> RestRequest:
        config = self._config
        if not (config.auth_id and config.auth_token):
            raise Unsupported(
                f"cannot {purpose}: carriers.plivo.auth_id and auth_token are needed for it", carrier=NAME
            )
        url = f"{config.api_url}/v1/Account/{quote(config.auth_id, safe='')}/{path}"
        headers = basic(config.auth_id, config.auth_token)
        if body is None:
            return RestRequest(NAME, purpose, method, url, headers)
        return json_request(NAME, purpose, url, body, headers, method)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """An XML application with our webhooks, and the number on it."""
        return (
            Setting("Voice > Applications > XML > Answer URL", f"{urls.answer}, POST"),
            Setting("Voice > Applications > XML > Hangup URL", f"{urls.status}, POST"),
            Setting(f"Phone Numbers > Your Numbers > {number} > Application", "XML Application, that one"),
        )

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Make the application, or change the one that is configured, and give the number to it."""
        app_id = self._config.app_id
        body = {"answer_url": urls.answer, "answer_method": "POST"}
        body |= {"hangup_url": urls.status, "hangup_method": "POST"}
        if app_id:
            change = self._request("set the webhooks", "POST", f"Application/{quote(app_id, safe='')}/", body)
            yield from ask(change)
        else:
            app_id = yield from self._make_application(body)
        path = f"Number/{quote(number.removeprefix('+'), safe='')}/"
        yield from ask(self._request("give the number to the application", "POST", path, {"app_id": app_id}))
        return [
            f"application {app_id}: a call that comes in is answered by {urls.answer}",
            f"{number}: belongs to application {app_id}; keep it as carriers.plivo.app_id",
        ]

    def _make_application(self, body: Mapping[str, str]) -> Plan[str]:
        request = self._request(
            "make the application", "POST", "Application/", {"app_name": "bridge", **body}
        )
        answer = yield from ask(request)
        if not (app_id := text_at(answer, "app_id")):
            fail(request, answer, "the answer names no application")
        return app_id

    def check(self) -> Plan[str] | None:
        """Ask for the account."""
        return self._whose() if self._config.auth_id and self._config.auth_token else None

    def _whose(self) -> Plan[str]:
        answer = yield from ask(self._request("read the account", "GET", ""))
        return text_at(answer, "name") or self._config.auth_id

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook:
        """A status callback of a stream that never was."""
        form, nonce = {"Event": "StopStream"}, str(int(now_s))
        signature = sign(self._config.auth_token.reveal(), "POST", urls.status, form.items(), nonce)
        headers = {
            SIGNATURE_HEADERS[0]: signature,
            NONCE_HEADER: nonce,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return Webhook(
            url=urls.status, headers=headers, form=form, body=urlencode(form).encode("ascii"), now_s=now_s
        )


CARRIER = Plivo


def _is_over(webhook: Webhook) -> bool:
    return webhook.value("Event") == "Hangup" or webhook.value("CallStatus") in _OVER


def _request_of(webhook: Webhook) -> str:
    """The ``request_uuid`` that placing the call was answered with: it goes by two names."""
    told = webhook.value("ALegRequestUUID") or webhook.value("RequestUUID")
    return told if re.match(ID, told) else ""
