"""Exotel: the Voicebot applet and AgentStream, which sign nothing and ask for nothing. Its wire: `exotel_dialect`.

Strategy, besides what `carrier` promises:

- There is no webhook to answer and nothing is signed: who opens the socket must know our user name and password, or
  come from an allowed address. What is configured must hold, all of it; one of the two must be configured.
- The password gets into the upgrade by one way alone: it stands in the address that Exotel is given. So it is in what
  we answer an applet and in what a placed call asks for, and nowhere else.
- The flow at Exotel goes on when the socket is closed; a Hangup applet in it ends the call. Nothing transfers one.

Facts, from developer.exotel.com: agentstream/stream-voicebot-applet, developer-guide, passthru; support.exotel.com
3000132302; github.com/exotel/Agent-Stream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote
from xml.etree import ElementTree as Xml

import msgspec
from msgspec import Struct

from bridge.carriers.carrier import (
    Capabilities,
    Carrier,
    Ended,
    How,
    IncomingCall,
    Marks,
    Reply,
    Setting,
    StreamStatus,
    StreamUrls,
    Upgrade,
    Webhook,
    one_of,
)
from bridge.carriers.exotel_dialect import MAX_FIELD_CHARS, NAME, RATES_HZ, ExotelDialect, message_ms
from bridge.carriers.http_auth import require_basic
from bridge.carriers.json_dialect import UNDECODABLE
from bridge.carriers.rest import Plan, RestAnswer, RestRequest, ask, basic, fail, form_request, text_at
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Refused, Unsupported
from bridge.networks import is_within, networks
from bridge.plain_text import plain
from bridge.secret import Secret
from telephony_codecs.formats import AudioFormat, Encoding

#: A field of the stream's URL that asks for a rate.
RATE_FIELD: Final = "sample-rate"
#: The longest `StreamUrl` that a placed call may have.
MAX_STREAM_URL_CHARS: Final = 600

_CALL_ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"
_STREAM_STATUSES: Final[dict[str, StreamStatus]] = {
    "started": "started",
    "completed": "stopped",
    "stopped": "stopped",
    "failed": "error",
    "error": "error",
}


class _Passthru(Struct):
    Status: str = ""


_PASSTHRU: Final = msgspec.json.Decoder(_Passthru)


class ExotelConfig(Section, frozen=True):
    """``[carriers.exotel]``.

    Raises:
        ValueError: an entry of `allowed_addresses` is neither an address nor a network.
    """

    #: What Exotel is to put into the stream's URL, as ``wss://username:password@...``.
    username: str = ""
    password: Secret = msgspec.field(default_factory=Secret)
    #: Addresses and networks that Exotel calls from, such as ``203.0.113.0/24``; ask Exotel for them.
    allowed_addresses: list[str] = []
    sample_rate_hz: Literal[8000, 16000, 24000] = 8000
    account_sid: str = ""
    api_key: str = ""
    api_token: Secret = msgspec.field(default_factory=Secret)
    #: Where REST requests go: Mumbai's, Singapore's (``https://api.exotel.com``), or a stand-in's.
    api_url: str = "https://api.in.exotel.com"

    def __post_init__(self) -> None:
        networks(self.allowed_addresses)


class Exotel(Carrier):
    """Exotel as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Exotel"
    section = ExotelConfig
    capabilities = Capabilities(
        formats=tuple(AudioFormat(Encoding.PCM16, rate_hz) for rate_hz in RATES_HZ),
        packet_ms=message_ms(AudioFormat(Encoding.PCM16, RATES_HZ[0])),
        # Whether a clear sends marks back is not known; not to expect them is right either way.
        marks=Marks.PLAYED_ONLY,
        hang_up=How.CLOSE,
        place_calls=How.REST,
        token="",
        signed="nothing is: HTTP Basic, or allowed addresses",
    )
    needs_token = False
    webhook_methods = ("GET", "POST")

    _config: ExotelConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._networks = networks(self._config.allowed_addresses)

    def missing(self) -> list[tuple[str, str]]:
        """Without credentials and without allowed addresses nothing can be verified."""
        config = self._config
        if config.username and not config.password:
            return [("password", "without it anybody who knows the username could pose as Exotel.")]
        if config.password and not config.username:
            return [("username", "Exotel is to send it along with the password.")]
        if not (config.username or config.allowed_addresses):
            why = "without it and password, or allowed_addresses, no call can be told from a forgery."
            return [("username", why)]
        return []

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless this comes from whom the configuration lets in."""
        self._verify(webhook.headers, webhook.remote)

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Raises Refused unless this comes from whom the configuration lets in."""
        self._verify(upgrade.headers, upgrade.remote)

    def _verify(self, headers: Mapping[str, str], remote: str) -> None:
        if self.missing():
            raise Refused("signature", "neither credentials nor addresses are configured to check it with")
        if self._networks and not is_within(remote, self._networks):
            raise Refused(
                "signature", f"{remote or 'nowhere'} is not among carriers.exotel.allowed_addresses"
            )
        if self._config.username:
            require_basic(headers, self._config.username, self._config.password)

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall:
        """The call that asks where to stream to, of an applet that was given our https:// address."""
        call_id = webhook.value("CallSid")
        if not re.match(_CALL_ID, call_id):
            raise ProtocolError("CallSid is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
        return IncomingCall(
            call_id=call_id,
            account_id=plain(webhook.value("AccountSid"), MAX_FIELD_CHARS),
            from_number=plain(webhook.value("CallFrom") or webhook.value("From"), MAX_FIELD_CHARS),
            to_number=plain(webhook.value("CallTo") or webhook.value("To"), MAX_FIELD_CHARS),
            direction="outbound" if webhook.value("Direction").startswith("out") else "inbound",
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """Where to stream to, credentials and all: they get into the upgrade by no other way."""
        return Reply(msgspec.json.encode({"url": self._stream_url(urls)}).decode(), "application/json")

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """The Passthru applet goes on with the flow at a 200; at a 204 it might not."""
        return Reply("", "text/plain")

    def status(self, webhook: Webhook) -> StreamStatus:
        """What the Passthru applet says of the stream."""
        return _STREAM_STATUSES.get(_status_told(webhook).lower(), "unknown")

    def dialect(self, upgrade: Upgrade) -> ExotelDialect:
        """A fresh dialect, for one media socket."""
        asked = one_of(upgrade.query, RATE_FIELD)
        return ExotelDialect(int(asked) if asked in map(str, RATES_HZ) else RATES_HZ[0])

    # -- call control ----------------------------------------------------------------------------------

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call that is streamed to us as soon as it is answered, without a flow. `from_number` is the ExoPhone."""
        form = {
            "From": to,
            "CallerId": from_number,
            "StreamUrl": self._stream_url(urls),
            "StreamType": "bidirectional",
        }
        request = self._request("place the call", "Calls/connect", form)
        if len(form["StreamUrl"]) > MAX_STREAM_URL_CHARS:
            raise Unsupported(
                f"cannot place the call: the stream's URL has more than {MAX_STREAM_URL_CHARS} characters;"
                " shorten server.public_url, or carriers.exotel.username and password",
                carrier=NAME,
            )
        answer = yield from ask(request)
        if not (sid := text_at(answer, "Call", "Sid") or _sid_in_xml(answer)):
            fail(request, answer, "the answer names no call")
        return sid

    def _request(self, purpose: str, path: str, form: Mapping[str, str] | None = None) -> RestRequest:
        config = self._config
        if not self._can_ask():
            raise Unsupported(
                f"cannot {purpose}: carriers.exotel.account_sid, api_key and api_token are needed for it",
                carrier=NAME,
            )
        url = f"{config.api_url.rstrip('/')}/v1/Accounts/{quote(config.account_sid, safe='')}/{path}"
        headers = basic(config.api_key, config.api_token)
        if form is None:
            return RestRequest(NAME, purpose, "GET", url, headers)
        return form_request(NAME, purpose, url, form, headers)

    def _can_ask(self) -> bool:
        return bool(self._config.account_sid and self._config.api_key and self._config.api_token)

    def _stream_url(self, urls: StreamUrls) -> str:
        config = self._config
        secrets = (config.username, config.password.reveal()) if config.username else ()
        user = ":".join(quote(part, safe="") for part in secrets)
        return _with_user(urls.media, user) + f"?{RATE_FIELD}={config.sample_rate_hz}"

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The flow of the ExoPhone, applet by applet."""
        user = "USERNAME:PASSWORD" if self._config.username else ""
        media = f"{_with_user(urls.media, user)}?{RATE_FIELD}={self._config.sample_rate_hz}"
        where = "App Bazaar > your flow"
        return (
            Setting(f"{where} > Voicebot applet > URL", media),
            Setting(f"{where} > Passthru applet, after it > URL", f"{_with_user(urls.ended, user)}, async"),
            Setting(f"{where} > Hangup applet", "last, or the call goes on when the bridge has hung up"),
            Setting(f"ExoPhones > {number} > Installed App", "that flow"),
        )

    def check(self) -> Plan[str] | None:
        """Ask for the newest call: the account itself has no page of its own."""
        return self._whose() if self._can_ask() else None

    def _whose(self) -> Plan[str]:
        yield from ask(self._request("read the account", "Calls.json?PageSize=1"))
        return self._config.account_sid

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook | None:
        """What a Passthru applet says, with our own credentials; None where addresses are what counts."""
        if self._networks:
            return None
        headers = basic(self._config.username, self._config.password)
        url = f"{urls.status}?Stream%5BStatus%5D=completed"
        return Webhook(url=url, method="GET", headers=headers, now_s=now_s)


CARRIER = Exotel


def _status_told(webhook: Webhook) -> str:
    """What the Passthru applet says of the stream: in ``Stream[Status]``, or in the JSON of ``Stream``."""
    try:
        return webhook.value("Stream[Status]") or _PASSTHRU.decode(webhook.value("Stream")).Status
    except UNDECODABLE:
        return ""


def _with_user(url: str, user: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}@{rest}" if user else url


def _sid_in_xml(answer: RestAnswer) -> str:
    try:
        return Xml.fromstring(answer.body).findtext(".//Call/Sid", "")  # noqa: S314 - expat bounds entities itself
    except (Xml.ParseError, ValueError):
        return ""
