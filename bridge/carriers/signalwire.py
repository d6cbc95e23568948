"""SignalWire: answers in cXML, which is nearly TwiML, and two schemes of signatures. Its wire: `signalwire_dialect`.

Strategy, besides what `carrier` promises:

- A form is signed over its fields, in base64; anything else over its bytes, in hexadecimal. A body that no scheme
  covers is refused, however good the signature of its URL.
- The one-time token travels twice, as a parameter of the stream and as its bearer token. The two may not differ.
- What comes after the stream is asked for by a ``<Redirect>`` behind it, because ``<Connect>`` has no `action` here.
- Closing the socket ends the call by way of that; a transfer goes through REST, which is documented to work.

Facts, from signalwire.com/docs: cxml/voice/stream, cxml/voice/connect, webhook-security, compatibility-api/rest
(calls, incoming phone numbers, accounts); and from signalwire-python, webhook_validator.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, urlencode

import msgspec

from bridge.carriers.carrier import (
    APOLOGY,
    Capabilities,
    Carrier,
    Ended,
    Ending,
    How,
    IncomingCall,
    Reply,
    Setting,
    StreamStatus,
    StreamUrls,
    Upgrade,
    Webhook,
    form_value,
    header_values,
)
from bridge.carriers.dialect import Started
from bridge.carriers.form_signature import spellings
from bridge.carriers.markup import dial, response, verb
from bridge.carriers.rest import Plan, RestRequest, ask, basic, fail, form_request, text_at
from bridge.carriers.signalwire_dialect import CALL_ID, NAME, SignalWireDialect
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused, Unsupported
from bridge.plain_text import plain
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding

SIGNATURE_HEADER: Final = "X-SignalWire-Signature"
#: cXML may carry its signature under the name that Twilio's libraries look for.
TWILIO_HEADER: Final = "X-Twilio-Signature"
#: The same bytes, hashed better; JSON may carry it.
SHA256_HEADER: Final = "X-Signalwire-SHA256-Signature"
#: A field of the query that carries the hash of a body which the signature itself does not cover.
BODY_HASH_FIELD: Final = "bodySHA256"

#: `<Parameter>` names; they come back in ``start.customParameters``.
TOKEN_PARAMETER: Final = "token"  # noqa: S105 - a name, not a token

Codec: TypeAlias = Literal["PCMU@8000h", "L16@16000h", "L16@24000h"]

_MAX_PARAMETER_CHARS: Final = 500  # name and value together
_MAX_FIELD_CHARS: Final = 400  # of a number, a name or a SIP address
_STREAM_EVENTS: Final[dict[str, StreamStatus]] = {
    "stream-started": "started",
    "stream-stopped": "stopped",
    "stream-error": "error",
}
_FORM: Final = "application/x-www-form-urlencoded"

# -- signatures ------------------------------------------------------------------------------------


def sign_form(key: str, url: str, fields: Iterable[tuple[str, str]] = ()) -> str:
    """The signature of a form: base64 of HMAC-SHA1 over the URL and its fields.

    Fields are sorted by name; those of one name stay in their order, and none is left out, unlike Twilio's.
    """
    message = url + "".join(name + value for name, value in sorted(fields, key=lambda field: field[0]))
    return b64encode(hmac.digest(key.encode(), _bytes(message), "sha1")).decode("ascii")


def sign_body(key: str, url: str, body: bytes, algorithm: Literal["sha1", "sha256"] = "sha1") -> str:
    """The signature of any other request: the HMAC over its URL and its body as it came, in hexadecimal."""
    return hmac.digest(key.encode(), _bytes(url) + body, algorithm).hex()


def _bytes(text: str) -> bytes:
    # Lone surrogates are how a server hands on bytes that are not UTF-8: they must not match, and not raise.
    return text.encode("utf-8", "surrogatepass")


def _expected(key: str, url: str, webhook: Webhook) -> dict[str, list[str]]:
    """The signatures that belong to a request, had it been asked for at `url`, by the header that carries them."""
    hashed = [value for name, value in webhook.query if name == BODY_HASH_FIELD]
    intact = not hashed or hashed == [hashlib.sha256(webhook.body).hexdigest()]
    covered = bool(hashed) or bool(webhook.form) or not webhook.body
    forms = [sign_form(key, url, webhook.form.items())] if covered and intact else []
    bodies = [sign_body(key, url, webhook.body)]
    return {
        SIGNATURE_HEADER: bodies + forms,
        TWILIO_HEADER: forms,
        SHA256_HEADER: [sign_body(key, url, webhook.body, "sha256")],
    }


# -- carrier ---------------------------------------------------------------------------------------


class SignalWireConfig(Section, frozen=True):
    """``[carriers.signalwire]``."""

    #: Of the project, not its API token: webhooks are signed with it.
    signing_key: Secret = msgspec.field(default_factory=Secret)
    project_id: str = ""
    api_token: Secret = msgspec.field(default_factory=Secret)
    #: ``example.signalwire.com``, or ``example`` for short.
    space: str = ""
    codec: Codec = "PCMU@8000h"
    #: Of linear audio; nobody says which it is.
    l16_byte_order: Literal["little", "big"] = "little"
    #: Where REST requests go; a stand-in's, or empty for the space's own.
    api_url: str = ""


class SignalWire(Carrier):
    """SignalWire as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "SignalWire"
    section = SignalWireConfig
    capabilities = Capabilities(
        formats=(MULAW_8K, AudioFormat(Encoding.PCM16, 16_000), AudioFormat(Encoding.PCM16, 24_000)),
        send_digits=How.MESSAGE,
        hang_up=How.CLOSE,
        transfer=How.REST,
        place_calls=How.REST,
        token="parameter, header",  # noqa: S106 - places, not a token
        signed="X-SignalWire-Signature (HMAC-SHA1), webhooks",
    )

    _config: SignalWireConfig

    def missing(self) -> list[tuple[str, str]]:
        """Without the signing key nothing can be verified."""
        if self._config.signing_key:
            return []
        return [("signing_key", "without it no call can be told from a forgery.")]

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless SignalWire signed this, by either scheme, for its URL."""
        if not self._config.signing_key:
            raise Refused("signature", "no secret is configured to check it with")
        given = {name: header_values(webhook.headers, name) for name in _SIGNATURE_HEADERS}
        if not any(given.values()):
            raise Refused("signature", "0 signatures instead of one")
        if any(len(values) > 1 for values in given.values()):
            raise Refused("signature", "a signature is repeated")
        key = self._config.signing_key.reveal()
        for url in spellings(webhook.url):
            for name, signatures in _expected(key, url, webhook).items():
                if any(_same(ours, theirs) for ours in signatures for theirs in given[name]):
                    return
        raise Refused(
            "signature", "it does not match; is server.public_url the address that the carrier calls?"
        )

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Upgrades are not signed. One without the bearer token that the answer asked for is not SignalWire's."""
        if not _bearer(upgrade):
            raise Refused("signature", "the upgrade brings no bearer token, which the stream was opened with")

    def token_of(self, started: Started, upgrade: Upgrade) -> str:
        """The one-time token, if what the start and the upgrade bring is the same."""
        brought = {started.parameters.get(TOKEN_PARAMETER, ""), _bearer(upgrade)}
        return brought.pop() if len(brought) == 1 else ""

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        """The call that the answer webhook announces; None for JSON, which cannot be answered with cXML."""
        if webhook.is_json:
            return None
        call_id, account_id = webhook.value("CallSid"), webhook.value("AccountSid")
        if not re.match(CALL_ID, call_id):
            raise ProtocolError("CallSid is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
        if self._config.project_id and account_id != self._config.project_id:
            raise Refused("account", "the call is not of carriers.signalwire.project_id")
        return IncomingCall(
            call_id=call_id,
            account_id=plain(account_id, _MAX_FIELD_CHARS),
            from_number=plain(webhook.value("From"), _MAX_FIELD_CHARS),
            to_number=plain(webhook.value("To"), _MAX_FIELD_CHARS),
            direction="outbound" if webhook.value("Direction").startswith("outbound") else "inbound",
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """cXML that opens the stream, and asks what comes next when it is over."""
        stream = verb(
            "Stream",
            url=urls.media,
            codec=self._config.codec,
            realtime="true",
            authBearerToken=plain(token, _MAX_PARAMETER_CHARS),
            statusCallback=urls.status,
        )
        parameters = {TOKEN_PARAMETER: token, "from": call.from_number, "to": call.to_number}
        for name, value in parameters.items():
            stream.append(verb("Parameter", name=name, value=plain(value, _MAX_PARAMETER_CHARS - len(name))))
        connect = verb("Connect")
        connect.append(stream)
        return response(connect, verb("Redirect", urls.ended, method="POST"))

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """cXML for the time after the stream: hang up, after an apology if it did not end well, or connect."""
        if ended.ending is Ending.TRANSFERRED and ended.transfer_to:
            return response(dial(ended.transfer_to), verb("Hangup"))
        failed = bool(form_value(webhook.form, "StreamError")) or self.status(webhook) == "error"
        if failed or ended.ending is Ending.LOST:
            return response(verb("Say", APOLOGY), verb("Hangup"))
        return response(verb("Hangup"))

    def status(self, webhook: Webhook) -> StreamStatus:
        """What the stream's status callback reports."""
        return _STREAM_EVENTS.get(webhook.value("StreamEvent"), "unknown")

    def dialect(self, upgrade: Upgrade) -> SignalWireDialect:
        """A fresh dialect, for one media socket."""
        return SignalWireDialect(big_endian=self._config.l16_byte_order == "big")

    # -- call control ----------------------------------------------------------------------------------

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None]:
        """Send the call to ``ended``, which answers with ``<Dial>``: new cXML goes by its address alone."""
        form = {"Url": urls.ended, "Method": "POST"}
        yield from ask(
            self._request("transfer the call", f"/Calls/{quote(call.call_id, safe='')}.json", form)
        )

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call whose answer is fetched from us, like that of any other."""
        form = {"To": to, "From": from_number, "Url": urls.answer, "Method": "POST"}
        request = self._request("place the call", "/Calls.json", form)
        answer = yield from ask(request)
        if not (sid := text_at(answer, "sid")):
            fail(request, answer, "the answer names no call")
        return sid

    def _request(
        self,
        purpose: str,
        path: str,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> RestRequest:
        config = self._config
        if not self._can_ask():
            raise Unsupported(
                f"cannot {purpose}: carriers.signalwire.space, project_id and api_token are needed for it",
                carrier=NAME,
            )
        url = f"{self._api_url()}/api/laml/2010-04-01/Accounts/{quote(config.project_id, safe='')}{path}"
        url += f"?{urlencode(query)}" if query else ""
        headers = basic(config.project_id, config.api_token)
        if form is None:
            return RestRequest(NAME, purpose, "GET", url, headers)
        return form_request(NAME, purpose, url, form, headers)

    def _can_ask(self) -> bool:
        config = self._config
        return bool(config.project_id and config.api_token and (config.space or config.api_url))

    def _api_url(self) -> str:
        if self._config.api_url:
            return self._config.api_url.rstrip("/")
        host = self._config.space.removeprefix("https://").rstrip("/")
        return f"https://{host}" if "." in host else f"https://{host}.signalwire.com"

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The number's voice settings."""
        where = f"Phone Numbers > {number} > Edit Settings > Voice and Fax"
        return (
            Setting(f"{where} > Handle calls using", "a cXML Webhook"),
            Setting(f"{where} > When a call comes in", f"{urls.answer}, POST"),
        )

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Find the number, and give it our webhook."""
        find = self._request("find the number", "/IncomingPhoneNumbers.json", query={"PhoneNumber": number})
        found = yield from ask(find)
        if not (sid := text_at(found, "incoming_phone_numbers", 0, "sid")):
            fail(find, found, f"{number} is not one of the project's numbers")
        form = {"VoiceUrl": urls.answer, "VoiceMethod": "POST"}
        path = f"/IncomingPhoneNumbers/{quote(sid, safe='')}.json"
        yield from ask(self._request("set its webhook", path, form))
        return [f"{number}: a call that comes in is answered by {urls.answer}"]

    def check(self) -> Plan[str] | None:
        """Ask for the project."""
        return self._whose() if self._can_ask() else None

    def _whose(self) -> Plan[str]:
        answer = yield from ask(self._request("read the project", ".json"))
        return text_at(answer, "friendly_name") or self._config.project_id

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook:
        """A status callback of a stream that never was."""
        form = {"AccountSid": self._config.project_id, "StreamEvent": "stream-stopped"}
        signature = sign_form(self._config.signing_key.reveal(), urls.status, form.items())
        headers = {SIGNATURE_HEADER: signature, "Content-Type": _FORM}
        return Webhook(
            url=urls.status, headers=headers, form=form, body=urlencode(form).encode(), now_s=now_s
        )


CARRIER = SignalWire

_SIGNATURE_HEADERS: Final = (SIGNATURE_HEADER, TWILIO_HEADER, SHA256_HEADER)


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode("ascii"), _bytes(theirs))


def _bearer(upgrade: Upgrade) -> str:
    """The bearer token of an upgrade; empty when there is none, or more than one."""
    values = header_values(upgrade.headers, "Authorization")
    scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
