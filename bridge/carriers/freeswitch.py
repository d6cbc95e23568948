"""FreeSWITCH with mod_audio_stream: one's own switch, a module that streams out and hands back what is sent.

Strategy, besides what `dialect`, `json_dialect` and `carrier` promise:

- The module sends sound, and before it one text of the dialplan's choice: JSON that names the call. What it has no
  words for, keys and a farewell, the dialplan's glue sends as JSON of the same kind (docs/carriers/freeswitch.md).
- A call without an id is not served: hanging it up, and everything else through the API, needs it. It comes in the
  metadata, or in the query of the socket's address.
- Each message to it is a file that the switch plays: no clear, no marks. Barge-in works by sending little ahead.
- Arguments of API commands are single words by pattern. The API splits on spaces, and `originate` on much else.

Facts, from the README and the source of amigniter/mod_audio_stream (community edition, January 2026), its issues, and
FreeSWITCH's pages on mod_commands and mod_xml_rpc.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.capabilities import Capabilities, How, Marks
from bridge.carriers.carrier import (
    Carrier,
    IncomingCall,
    Setting,
    StreamUrls,
    Upgrade,
)
from bridge.carriers.dialable import dialable
from bridge.carriers.dialect import Audio, Binary, Delivery, Digit, Event, Ignored, Started, Stopped
from bridge.carriers.http_auth import has_basic, has_bearer
from bridge.carriers.json_dialect import POLICY_VIOLATION, UNDECODABLE, JsonDialect, Kind, Phase, Wire
from bridge.carriers.rest import Plan, RestAnswer, RestRequest, ask, basic, fail
from bridge.config_tree import Section
from bridge.errors import CarrierError, Refused, Unsupported
from bridge.plain_text import plain
from bridge.secret import Secret
from telephony_codecs.formats import PCM16_8K, AudioFormat, Encoding

NAME: Final = "freeswitch"
PCM16_16K: Final = AudioFormat(Encoding.PCM16, 16_000)
#: As ``uuid_audio_stream ... start <url> mono <rate>`` has them.
FORMATS: Final[Mapping[str, AudioFormat]] = {"8k": PCM16_8K, "16k": PCM16_16K}

_CALL_ID: Final = r"\A[0-9A-Za-z][0-9A-Za-z_-]{0,63}\Z"
_DIGITS: Final = re.compile(r"\A[0-9A-D*#wW]{1,64}\Z")
_MAX_FIELD_CHARS: Final = 400
#: Commands that change nothing.
_ASKING: Final = ("status", "create_uuid")
_NO_SUCH_CHANNEL: Final = b"No such channel"

# -- messages received -----------------------------------------------------------------------------


class _Start(Wire, tag="start"):
    """The metadata; `event` may be left out of it."""

    call_id: str = ""
    uuid: str = ""
    caller: str = msgspec.field(name="from", default="")
    called: str = msgspec.field(name="to", default="")
    rate: Literal["", "8k", "16k"] = ""


class _Dtmf(Wire, tag="dtmf"):
    digit: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Stop(Wire, tag="stop"):
    pass


# -- dialect ---------------------------------------------------------------------------------------

_MEDIA_AFTER_STOP: Final = Ignored("media_after_stop")
_PREFIX: Final = b'{"type":"streamAudio","data":{"audioDataType":"raw","sampleRate":%d,"audioData":"'


class FreeswitchDialect(JsonDialect):
    """The media socket of one call; see `bridge.carriers.dialect.Dialect`.

    Args:
        told: what the socket's address says of the call (`call_id`, `from`, `to`, `rate`); metadata is stronger.
        message_ms: audio in one message to the switch.
    """

    carrier = NAME
    ends_by_closing = True
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Start: Kind.START,
        _Dtmf: Kind.DTMF,
        _Stop: Kind.STOP,
    }

    def __init__(self, told: Mapping[str, str], message_ms: int) -> None:
        super().__init__()
        self._told = told
        self._told_id = told.get("call_id", "") or told.get("uuid", "")
        self._prefix = b""
        self._received_bytes = 0
        self.delivery = Delivery(message_ms=message_ms, marks=False, clear=False)

    def receive(self, message: bytes) -> Event:
        """What `message` means; raises ProtocolError as every dialect does."""
        if type(message) is Binary:
            return self._sound(message)
        if self._phase is not Phase.OPENING:
            return super().receive(message)
        fields = _fields(message)
        if fields is None and self._told_id:
            return self._begin(_Start())  # metadata of somebody else's making: the address names the call
        if fields is not None and "event" not in fields:
            message = msgspec.json.encode({"event": "start", **fields})
        return super().receive(message)

    def _sound(self, message: bytes) -> Event:
        if self._phase is Phase.OPENING:  # no metadata then: these 20 ms are the price of learning of it
            return self._begin(_Start())
        if self._phase is Phase.STOPPED:
            return _MEDIA_AFTER_STOP
        if len(message) % 2:
            message = message[:-1]
        timestamp_ms = int(self.inbound_format.ms_in(self._received_bytes))
        self._received_bytes += len(message)
        return Audio(message, timestamp_ms)

    def audio(self, payload: bytes) -> bytes:
        """The message that becomes a file of linear PCM for the switch to play."""
        assert self._prefix, "audio before start"
        return self._prefix + b2a_base64(payload, newline=False) + b'"}}'

    def _start(self, wire: _Start) -> Started:
        call_id = wire.call_id or wire.uuid or self._told_id
        if not re.match(_CALL_ID, call_id):
            reason = "no call_id: it belongs into the metadata of uuid_audio_stream, or into the query of the address"
            raise self._broken(
                reason, "no_call_id", POLICY_VIOLATION if self._phase is Phase.OPENING else None
            )
        return Started(
            call_id=call_id,
            stream_id=call_id,
            from_number=plain(wire.caller or self._told.get("from", ""), _MAX_FIELD_CHARS),
            to_number=plain(wire.called or self._told.get("to", ""), _MAX_FIELD_CHARS),
        )

    def _opened(self, wire: _Start, started: Started) -> None:
        audio = FORMATS.get(wire.rate or self._told.get("rate", ""), PCM16_8K)
        self.inbound_format = self.outbound_format = audio
        self._prefix = _PREFIX % audio.rate_hz

    def _event(self, wire: Any) -> Event:
        return Digit(wire.digit) if isinstance(wire, _Dtmf) else Stopped()


def _fields(message: bytes) -> dict[str, object] | None:
    """What is in a JSON object; None when it is none."""
    try:
        return _FIELDS.decode(message)
    except UNDECODABLE:
        return None


_FIELDS: Final = msgspec.json.Decoder(dict[str, object])

# -- carrier ---------------------------------------------------------------------------------------


class FreeswitchConfig(Section, frozen=True):
    """``[carriers.freeswitch]``."""

    #: What the switch proves itself with, in STREAM_EXTRA_HEADERS: HTTP Basic with these,
    username: str = ""
    password: Secret = msgspec.field(default_factory=Secret)
    #: or this as a bearer token.
    token: Secret = msgspec.field(default_factory=Secret)
    #: Audio in one message. Each is a file to play: longer ones have fewer seams, shorter ones stop sooner.
    message_ms: Annotated[
        int, Meta(ge=20, le=1000, multiple_of=20, description="a multiple of 20 from 20 to 1000")
    ] = 200
    #: mod_xml_rpc, for call control: ``http://freeswitch:8080``.
    api_url: str = ""
    api_username: str = ""
    api_password: Secret = msgspec.field(default_factory=Secret)
    #: Whom to dial for a number: ``sofia/gateway/trunk/{to}``.
    endpoint: str = ""
    #: Where in the dialplan a transferred call goes on: `to` is the extension.
    context: str = "default"
    #: The extension, in that context, that connects a call which we placed to us.
    extension: str = "bridge"


class Freeswitch(Carrier):
    """FreeSWITCH as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "FreeSWITCH"
    section = FreeswitchConfig
    capabilities = Capabilities(
        formats=(PCM16_8K, PCM16_16K),
        packet_ms=200,
        clear=False,
        marks=Marks.NONE,
        send_digits=How.REST,
        hang_up=How.REST,
        transfer=How.REST,
        place_calls=How.REST,
        token="",
        signed="HTTP Basic or a bearer token, media socket",
    )
    needs_token = False

    _config: FreeswitchConfig

    def missing(self) -> list[tuple[str, str]]:
        """A password or a token is all there is to tell the switch from anybody else."""
        config = self._config
        if config.token or (config.username and config.password):
            return []
        return [("token", "without it, or username and password, no call can be told from a forgery.")]

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Raises Refused without the configured password, or token."""
        config = self._config
        if not (
            has_basic(upgrade.headers, config.username, config.password)
            or has_bearer(upgrade.headers, config.token)
        ):
            raise Refused("signature", "the Authorization header is missing, repeated or wrong")

    def dialect(self, upgrade: Upgrade) -> FreeswitchDialect:
        """A fresh dialect, for one media socket."""
        return FreeswitchDialect(dict(upgrade.query), self._config.message_ms)

    # -- call control ----------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None]:
        """Closing the socket leaves the call as it is."""
        return self._change("hang up", "uuid_kill", call.call_id, "NORMAL_CLEARING", gone_is_fine=True)

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None]:
        """The call goes on in the dialplan, at the extension `to`."""
        purpose = "transfer the call"
        to, context = dialable(NAME, purpose, to), dialable(NAME, purpose, self._config.context)
        return self._change(purpose, "uuid_transfer", call.call_id, to, "XML", context)

    def send_digits(self, call: IncomingCall, digits: str) -> Plan[None]:
        """Press `digits` towards the caller."""
        if not _DIGITS.match(digits):
            raise CarrierError("cannot send the keys: keys are 0-9, A-D, * and #", carrier=NAME)
        return self._change("send the keys", "uuid_send_dtmf", call.call_id, digits)

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call under an id that the switch makes up beforehand; its extension connects it to us."""
        config, purpose = self._config, "place the call"
        if "{to}" not in config.endpoint:
            raise Unsupported(
                f"cannot {purpose}: carriers.freeswitch.endpoint is needed for it, such as sofia/gateway/trunk/{{to}}",
                carrier=NAME,
            )
        endpoint = config.endpoint.replace("{to}", dialable(NAME, purpose, to))
        caller = dialable(NAME, purpose, from_number)
        made = yield from self._command(purpose, "create_uuid")
        call_id = made.body.decode("utf-8", "replace").strip()
        if not re.match(_CALL_ID, call_id):
            fail(self._request(purpose, "create_uuid"), made, "the switch made no call id")
        variables = (
            f"{{origination_uuid={call_id},origination_caller_id_number={caller},ignore_early_media=true}}"
        )
        where = (dialable(NAME, purpose, config.extension), "XML", dialable(NAME, purpose, config.context))
        # In the background: `originate` itself answers when the other side has picked up.
        yield from self._command(purpose, "bgapi", "originate", variables + endpoint, *where)
        return call_id

    def _change(self, purpose: str, *command: str, gone_is_fine: bool = False) -> Plan[None]:
        request = self._request(purpose, *command)  # refuses here, when the plan is made
        return _carried_out(request, gone_is_fine=gone_is_fine)

    def _command(self, purpose: str, *command: str) -> Plan[RestAnswer]:
        request = self._request(purpose, *command)
        answer = yield from ask(request)
        if answer.body.lstrip().startswith(b"-"):  # -ERR and -USAGE come with a status of 200
            fail(request, answer)
        return answer

    def _request(self, purpose: str, command: str, *arguments: str) -> RestRequest:
        config = self._config
        if not (config.api_url and config.api_username and config.api_password):
            needed = "carriers.freeswitch.api_url, api_username and api_password are needed for it"
            raise Unsupported(f"cannot {purpose}: {needed}", carrier=NAME)
        query = f"?{quote(' '.join(arguments), safe='')}" if arguments else ""
        url = f"{config.api_url.rstrip('/')}/txtapi/{command}{query}"
        method = "GET" if command in _ASKING else "POST"  # a GET would be made again if its answer got lost
        return RestRequest(NAME, purpose, method, url, basic(config.api_username, config.api_password))

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """What to fill into the script that connects calls here, and the dialplan's line that runs it.

        The metadata is the script's to write: caller id is the caller's own text, and a quote in it, pasted into JSON
        by the dialplan, could name another call.
        """
        config = self._config
        secret = f"{config.username}:<carriers.freeswitch.password>"
        authorization = "Bearer <carriers.freeswitch.token>" if config.token else f"Basic base64({secret})"
        script = "scripts/bridge.lua of docs/carriers/freeswitch.md"
        return (
            Setting(f"{script} > url", urls.media),
            Setting(f"{script} > authorization", authorization),
            Setting(f"dialplan, extension {number} > lua", "bridge.lua"),
        )

    def check(self) -> Plan[str] | None:
        """Ask the switch how it is."""
        return self._status() if self._config.api_url else None

    def _status(self) -> Plan[str]:
        answer = yield from self._command("ask for its status", "status")
        lines = [line.strip() for line in answer.body.decode("utf-8", "replace").splitlines()]
        return next((plain(line, 100) for line in lines if "FreeSWITCH" in line), "FreeSWITCH")


CARRIER = Freeswitch


def _carried_out(request: RestRequest, *, gone_is_fine: bool) -> Plan[None]:
    answer = yield from ask(request)
    failed = answer.body.lstrip().startswith(b"-")  # -ERR and -USAGE come with a status of 200
    if failed and not (gone_is_fine and _NO_SUCH_CHANNEL in answer.body):
        fail(request, answer)
