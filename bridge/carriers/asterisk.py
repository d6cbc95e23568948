"""Asterisk, one's own exchange instead of a carrier's: the WebSocket channel driver. Its wire: `asterisk_dialect`.

Strategy, besides what `carrier` promises:

- Asterisk connects to us, or we connect to a channel that waits for us (``WebSocket/INCOMING``), and the media socket
  is the same from there on. Name and password are the gate of both: HTTP Basic.
- What a call can be told past its media socket the dialplan tells it: it asks ``ended`` whom to dial next.
- Whom we name to a dialplan, or to ARI, is one word by pattern: `dialable`.

Facts, from docs.asterisk.org (WebSocket channel driver, websocket_client.conf, ARI) and rest-api in the sources of
Asterisk 20 to 23.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from bridge.carriers.asterisk_dialect import (
    CHANNEL_ID,
    FORMATS,
    MAX_FIELD_CHARS,
    NAME,
    SUBPROTOCOL,
    AsteriskDialect,
)
from bridge.carriers.capabilities import Capabilities, How, Marks
from bridge.carriers.carrier import (
    Carrier,
    Ended,
    Ending,
    IncomingCall,
    MediaSocket,
    Reply,
    Setting,
    StreamUrls,
    Upgrade,
    Webhook,
)
from bridge.carriers.dialable import dialable, is_dialable
from bridge.carriers.http_auth import require_basic
from bridge.carriers.rest import Plan, RestRequest, ask, basic, fail, json_request, text_at
from bridge.config_tree import Section
from bridge.errors import ProtocolError, Unsupported
from bridge.plain_text import plain
from bridge.secret import Secret
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K

# A waiting channel's media id: what leads to it at Asterisk's web server.
_CONNECTION_ID: Final = r"\A[0-9A-Za-z][0-9A-Za-z_-]{7,99}\Z"


class AsteriskConfig(Section, frozen=True):
    """``[carriers.asterisk]``."""

    #: What Asterisk proves itself with, on the media socket and on webhooks: websocket_client.conf has the same.
    username: str = ""
    password: Secret = msgspec.field(default_factory=Secret)
    #: Where Asterisk's web server is, to connect to channels that wait for us: ``ws://asterisk:8088``.
    media_url: Annotated[
        str, Meta(pattern=r"\A(wss?://[^\s?#]+)?\Z", description="a ws:// or wss:// address")
    ] = ""
    #: ARI, for calls that we place: ``http://asterisk:8088``.
    ari_url: str = ""
    ari_username: str = ""
    ari_password: Secret = msgspec.field(default_factory=Secret)
    #: Whom to dial for a number: ``PJSIP/{to}@trunk``.
    endpoint: str = ""
    #: Where in the dialplan a call that we placed goes on when it is answered.
    context: str = "bridge"
    extension: str = "placed"


class Asterisk(Carrier):
    """Asterisk as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Asterisk"
    section = AsteriskConfig
    capabilities = Capabilities(
        formats=(MULAW_8K, ALAW_8K, PCM16_8K, FORMATS["slin16"]),
        marks=Marks.PLAYED_ONLY,
        hang_up=How.MESSAGE,
        transfer=How.ANSWER,
        place_calls=How.REST,
        token="",
        signed="HTTP Basic, media socket and webhooks",
    )
    needs_token = False
    webhook_methods = ("POST", "GET")

    _config: AsteriskConfig

    def missing(self) -> list[tuple[str, str]]:
        """Name and password are all there is to tell Asterisk from anybody else."""
        wanted = {"username": self._config.username, "password": self._config.password}
        why = "without it no call can be told from a forgery."
        return [(key, why) for key, value in wanted.items() if not value]

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused without the configured name and password."""
        require_basic(webhook.headers, self._config.username, self._config.password)

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Raises Refused likewise."""
        require_basic(upgrade.headers, self._config.username, self._config.password)

    def dialect(self, upgrade: Upgrade) -> AsteriskDialect:
        """A fresh dialect, for one media socket; the query is what the dialplan put into ``v()``."""
        return AsteriskDialect({name: plain(value, MAX_FIELD_CHARS) for name, value in upgrade.query})

    # -- webhooks: a dialplan that asks by CURL() ------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall:
        """A channel that waits for us: its ``connection_id``, and as far as the dialplan tells who calls whom."""
        connection_id, caller = webhook.value("connection_id"), webhook.value("caller")
        if not re.match(_CONNECTION_ID, connection_id):
            raise _bad_webhook("connection_id is missing, repeated or malformed")
        if caller and not re.match(CHANNEL_ID, caller):
            raise _bad_webhook("caller is not a channel's unique id")
        return IncomingCall(
            call_id=caller or connection_id,
            account_id="",
            from_number=plain(webhook.value("from"), MAX_FIELD_CHARS),
            to_number=plain(webhook.value("to"), MAX_FIELD_CHARS),
            direction="inbound",
            detail=connection_id,
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """Nothing to say: we connect to the channel, whose id is known to nobody else."""
        config = self._config
        if not config.media_url:
            return Reply("carriers.asterisk.media_url is not set\n", "text/plain", 503)
        url = f"{config.media_url.rstrip('/')}/media/{quote(call.detail, safe='')}"
        dial = MediaSocket(url, basic(config.username, config.password), (SUBPROTOCOL,))
        return Reply("connecting\n", "text/plain", dial=dial)

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """Whom the dialplan is to dial next, or nothing."""
        to = ended.transfer_to if ended.ending is Ending.TRANSFERRED else ""
        return Reply(to if is_dialable(to) else "", "text/plain")

    def call_id_of(self, webhook: Webhook) -> str:
        """The call that ``ended`` asks about: ``caller``."""
        caller = webhook.value("caller")
        if not re.match(CHANNEL_ID, caller):
            raise _bad_webhook("caller is missing, repeated or malformed")
        return caller

    # -- call control ----------------------------------------------------------------------------------

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> None:
        """By the answer to ``ended``: ARI can do it only for channels that are in a Stasis application."""
        dialable(NAME, "transfer the call", to)

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call that goes on in the dialplan when it is answered, which connects it to us."""
        config, purpose = self._config, "place the call"
        if "{to}" not in config.endpoint:
            raise Unsupported(
                f"cannot {purpose}: carriers.asterisk.endpoint is needed for it, such as PJSIP/{{to}}@trunk",
                carrier=NAME,
            )
        body = {
            "endpoint": config.endpoint.replace("{to}", dialable(NAME, purpose, to)),
            "context": config.context,
            "extension": config.extension,
            "priority": 1,
            "callerId": dialable(NAME, purpose, from_number),
            "variables": {"BRIDGE_FROM": from_number, "BRIDGE_TO": to},
        }
        request = json_request(NAME, purpose, self._ari(purpose, "channels"), body, self._ari_headers())
        answer = yield from ask(request)
        if not (channel_id := text_at(answer, "id")):
            fail(request, answer, "the answer names no channel")
        return channel_id

    def _ari(self, purpose: str, path: str) -> str:
        config = self._config
        if not (config.ari_url and config.ari_username and config.ari_password):
            needed = "carriers.asterisk.ari_url, ari_username and ari_password are needed for it"
            raise Unsupported(f"cannot {purpose}: {needed}", carrier=NAME)
        return f"{config.ari_url.rstrip('/')}/ari/{path}"

    def _ari_headers(self) -> dict[str, str]:
        return basic(self._config.ari_username, self._config.ari_password)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """The section that names us, and the lines of the dialplan that bring calls here."""
        section = (
            f"[bridge] type=websocket_client, uri={urls.media}, protocols={SUBPROTOCOL},"
            f" username={self._config.username}, password=<carriers.asterisk.password>,"
            " connection_type=per_call_config, connection_timeout=5000"
        )
        told = (
            "caller=${URIENCODE(${UNIQUEID})},from=${URIENCODE(${CALLERID(num)})},to=${URIENCODE(${EXTEN})}"
        )
        dial = f"exten => {number},1,Dial(WebSocket/bridge/c(ulaw)f(json)v({told}),,g)"
        ask_next = f"then CURL({urls.ended},caller=${{UNIQUEID}}), and Dial it"
        return (
            Setting("websocket_client.conf", section),
            Setting("extensions.conf", dial),
            Setting("extensions.conf, for transfers", ask_next),
        )

    def check(self) -> Plan[str] | None:
        """Ask ARI for its version."""
        return self._version() if self._config.ari_url else None

    def _version(self) -> Plan[str]:
        purpose = "ask for Asterisk's version"
        request = RestRequest(NAME, purpose, "GET", self._ari(purpose, "asterisk/info"), self._ari_headers())
        answer = yield from ask(request)
        return f"Asterisk {text_at(answer, 'system', 'version') or 'of unknown version'}"

    def sample_request(self, urls: StreamUrls, now_s: float) -> Webhook:
        """A webhook that says nothing, with name and password."""
        headers = basic(self._config.username, self._config.password)
        return Webhook(url=urls.status, headers=headers, now_s=now_s)


CARRIER = Asterisk


def _bad_webhook(reason: str) -> ProtocolError:
    return ProtocolError(reason, peer=NAME, kind="bad_webhook")
