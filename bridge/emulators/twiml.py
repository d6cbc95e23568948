"""TwiML as Twilio reads it: the stream a bridge asks for, and the verbs that come after. No I/O.

Only what a call into the bridge can meet is understood: ``<Connect>`` and ``<Start>`` with a ``<Stream>``.
Every other verb is handed back as it stands, because what matters of it is that the bridge wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from xml.etree import ElementTree

from bridge.errors import ProtocolError
from telephony_codecs.formats import MULAW_8K, AudioFormat

#: Name and value of one <Parameter> together, by Twilio's page on <Stream>.
MAX_PARAMETER_CHARS: Final = 500

_TRACKS: Final = {
    "inbound_track": ("inbound",),
    "outbound_track": ("outbound",),
    "both_tracks": ("inbound", "outbound"),
}


@dataclass(frozen=True, slots=True)
class Verb:
    """One TwiML verb: ``<Say voice="x">text</Say>``."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def __str__(self) -> str:
        return f"<{self.name}>{self.text}" if self.text else f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """The media stream that a document asks for."""

    #: Where to connect, without the query string, which Twilio drops.
    url: str
    bidirectional: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    #: Whose voice is streamed: ``inbound`` is the caller's.
    tracks: tuple[str, ...] = ("inbound",)
    status_callback: str = ""
    #: Whom to ask for new TwiML when the stream has ended; empty: the verbs after it are run.
    action: str = ""
    #: What the upgrade brings along, of carriers that can be told.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    subprotocols: tuple[str, ...] = ()
    #: What is on the wire.
    audio: AudioFormat = MULAW_8K


@dataclass(frozen=True, slots=True)
class Twiml:
    """A whole document: the first stream in it, if any, and the verbs that follow that stream."""

    stream: StreamOrder | None
    verbs: tuple[Verb, ...]


def parse_twiml(body: str) -> Twiml:
    """Read a TwiML document.

    Raises:
        ProtocolError: Twilio would refuse it: not XML, no ``<Response>``, or a stream it cannot open. The
            message begins with Twilio's number for that.
    """
    try:
        root = ElementTree.fromstring(body.strip())  # noqa: S314 - expat bounds entity expansion itself
    except ElementTree.ParseError as error:
        raise _refused(12100, f"the TwiML is not XML: {error}") from error
    if root.tag != "Response":
        raise _refused(12102, f"the TwiML begins with <{root.tag}>, not <Response>")
    for position, element in enumerate(root):
        stream = element.find("Stream") if element.tag in ("Connect", "Start") else None
        if stream is not None:
            return Twiml(_order(element, stream), _verbs(list(root)[position + 1 :]))
    return Twiml(None, _verbs(list(root)))


def _verbs(elements: list[ElementTree.Element]) -> tuple[Verb, ...]:
    return tuple(Verb(e.tag, dict(e.attrib), "".join(e.itertext()).strip()) for e in elements)


def _order(parent: ElementTree.Element, stream: ElementTree.Element) -> StreamOrder:
    bidirectional, track = parent.tag == "Connect", stream.get("track", "inbound_track")
    if track not in _TRACKS or (bidirectional and track != "inbound_track"):
        raise _refused(31941, f"track {track!r} cannot be had under <{parent.tag}>")
    return StreamOrder(
        url=_stream_url(stream.get("url", "")),
        bidirectional=bidirectional,
        parameters=_parameters(stream),
        name=stream.get("name", ""),
        tracks=_TRACKS[track],
        status_callback=stream.get("statusCallback", ""),
        action=parent.get("action", "") if bidirectional else "",
    )


def _stream_url(url: str) -> str:
    parts = urlsplit(url)
    # Twilio itself takes wss alone; ws is for a bridge on this machine, with no TLS proxy before it.
    if parts.scheme not in ("wss", "ws"):
        raise _refused(31922, f"a stream goes to wss://, not to {url!r}")
    if not parts.hostname:
        raise _refused(31923, f"{url!r} names no host")
    return urlunsplit(parts._replace(query="", fragment=""))


def _parameters(stream: ElementTree.Element) -> dict[str, str]:
    parameters = {p.get("name", ""): p.get("value", "") for p in stream.findall("Parameter")}
    for name, value in parameters.items():
        if not name or len(name) + len(value) > MAX_PARAMETER_CHARS:
            raise _refused(
                12200, f"<Parameter> {name!r} needs a name, and {MAX_PARAMETER_CHARS} characters at most"
            )
    return parameters


def _refused(code: int, reason: str) -> ProtocolError:
    return ProtocolError(f"{code}: {reason}", peer="bridge", kind="bad_twiml")
