"""The load generator: many simulated calls, paced on one absolute schedule, in one process on one core.

Strategy:

- The 20 ms of a packet are cut into slots of 1 ms; every call has its slot, as real callers are not in step.
  Slot n is due at start + n ms; a late slot is made up for, never skipped, and its lateness is kept: an overload
  of the generator must not be booked to the bridge.
- A call is opened as Twilio opens it: signed webhook, token out of the TwiML, signed upgrade, start. Of another
  carrier it is opened by that carrier's emulator, and `benchmarks.emulated_line` is the line.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
import xml.etree.ElementTree as ElementTree
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from benchmarks.emulated_line import EmulatedLine
from benchmarks.line import ACCOUNT_SID, Line, call_sid
from benchmarks.mock_lightning import MockLightning
from bridge.config_tree import Section
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_webhooks import Addresses, Answer
from bridge.emulators.exchange import Exchange, exchange_type

SLOTS = 20
SLOT_S = 0.001


@dataclass(frozen=True)
class Door:
    """How a server is called.

    Args:
        media_url: where to connect, when there is no webhook to ask (a peer).
        answer_url: the webhook.
        auth_token: what to sign with.
        carrier, section: whose emulator calls, and with which secrets; by default Twilio's, by hand.
    """

    media_url: str = ""
    answer_url: str = ""
    auth_token: str = ""
    carrier: str = ""
    section: Section = field(default_factory=Section)


@dataclass(frozen=True)
class Invitation:
    """What a webhook's answer says: connect here, with these parameters."""

    media_url: str
    parameters: Mapping[str, str] = field(default_factory=dict)


class Load:
    """Opens lines and keeps them talking until they are hung up.

    Args:
        lightning: the mock that the server under test was told to use.
        noise: packets of a quiet line.
        line_type: of the lines, where Twilio's are called by hand.
    """

    def __init__(
        self, lightning: MockLightning, noise: Sequence[bytes], line_type: type[Line] = Line
    ) -> None:
        self._line_type = line_type
        self.lines: list[Line] = []
        self.lateness_s = array("d")
        self._lightning, self._noise = lightning, noise
        self._slots: list[list[Line]] = [[] for _ in range(SLOTS)]
        self._numbers = iter(range(1, 1_000_000))
        self._started_at = time.monotonic()
        self._turn = 0
        self._timer = asyncio.get_running_loop().call_later(0, self._run)

    async def open(self, door: Door, count: int, *, per_second: float) -> list[Line]:
        """Open `count` calls at an even pace, and return them when all are connected.

        Raises:
            ConnectionError, OSError, TimeoutError: one of them was refused.
        """
        begun = time.monotonic()
        opening = []
        for n in range(count):
            await asyncio.sleep(max(0.0, begun + n / per_second - time.monotonic()))
            opening.append(asyncio.create_task(self._open_one(door, next(self._numbers))))
        return await asyncio.gather(*opening)

    async def close(self, lines: Sequence[Line], *, per_second: float = 500) -> None:
        """Hang up, and wait until the server has closed (5 s at most)."""
        begun = time.monotonic()
        for n, line in enumerate(lines):
            await asyncio.sleep(max(0.0, begun + n / per_second - time.monotonic()))
            line.hang_up()
        if lines:
            await asyncio.wait([line.closed for line in lines], timeout=5)
        for line in lines:
            self._slots[line.number % SLOTS].remove(line)
            self.lines.remove(line)

    def stop(self) -> None:
        """Stop pacing."""
        self._timer.cancel()

    def _run(self) -> None:
        now = time.monotonic()
        while (due := self._started_at + self._turn * SLOT_S) <= now:
            for line in self._slots[self._turn % SLOTS]:
                if not line.is_over:
                    line.tick()
            self._turn += 1
            self.lateness_s.append(now - due)
            now = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(due - now, self._run)

    async def _open_one(self, door: Door, number: int) -> Line:
        async with asyncio.timeout(15):
            if door.carrier:
                line = await self._call_by_emulator(door, number)
            else:
                line = await self._call(door, number)
        self._slots[number % SLOTS].append(line)
        self.lines.append(line)
        return line

    async def _call(self, door: Door, number: int) -> Line:
        if door.answer_url:
            invitation = await _answer(door, number)
        else:
            invitation = Invitation(door.media_url, {"number": str(number)})
        return await self._connect(invitation, door.auth_token, number)

    async def _call_by_emulator(self, door: Door, number: int) -> Line:
        plan = CallPlan(
            answer_url=door.answer_url,
            section=door.section,
            carrier=door.carrier,
            from_number=caller_number(number),
        )
        exchange = exchange_type(door.carrier)(plan, Addresses(door.answer_url), door.section)
        order = exchange.understand(await _announce(exchange))
        if order is None:
            raise ConnectionError("no stream in the answer")
        line = EmulatedLine(number, self._noise, self._requested, exchange, order, exchange.handshake(order))
        url = urlsplit(order.url)
        await asyncio.get_running_loop().create_connection(lambda: line, url.hostname, url.port)
        await line.opened
        return line

    async def _connect(self, invitation: Invitation, auth_token: str, number: int) -> Line:
        url = urlsplit(invitation.media_url)
        headers = {"X-Twilio-Signature": signature(auth_token, invitation.media_url, {})}
        line = self._line_type(
            number, self._noise, self._requested, url.netloc, url.path, headers, dict(invitation.parameters)
        )
        host, port = url.hostname or "127.0.0.1", url.port or 80
        await asyncio.get_running_loop().create_connection(lambda: line, host, port)
        await line.opened
        return line

    def _requested(self, number: int) -> list[int]:
        return [synthesis.identity for synthesis in self._lightning.syntheses[number]]


async def _answer(door: Door, number: int) -> Invitation:
    """Post the webhook of an incoming call, and read its TwiML."""
    form = {
        "CallSid": call_sid(number),
        "AccountSid": ACCOUNT_SID,
        "From": caller_number(number),
        "To": "+15550000000",
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }
    headers = {
        "X-Twilio-Signature": signature(door.auth_token, door.answer_url, form),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = await _ask("POST", door.answer_url, headers, urlencode(form).encode())
    stream = ElementTree.fromstring(body).find(".//Stream")
    if stream is None:
        raise ConnectionError(f"no stream in the answer: {body[:200]!r}")
    parameters = {p.attrib["name"]: p.attrib["value"] for p in stream.findall("Parameter")}
    return Invitation(stream.attrib["url"], parameters)


async def _announce(exchange: Exchange) -> Answer | None:
    """Make the emulated carrier's webhook, if it has one."""
    if (ask := exchange.announce()) is None:
        return None
    body = await _ask(ask.method, ask.url, ask.headers, ask.body)
    return Answer(200, body.decode())


async def _ask(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """What a webhook answers.

    Raises:
        ConnectionError: it refuses.
    """
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in {**headers, "Content-Length": str(len(body))}.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    answer = await reader.read()
    writer.close()
    top, _, text = answer.partition(b"\r\n\r\n")
    status = int(top.split(b" ", 2)[1])
    if not 200 <= status < 300:
        raise ConnectionError(f"the webhook answered {status}: {text[:200]!r}")
    return text


def signature(auth_token: str, url: str, form: Mapping[str, str]) -> str:
    """X-Twilio-Signature of a request to `url`."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def caller_number(number: int) -> str:
    """The phone number that call `number` comes from. It ends in the number, which is how the agent knows it."""
    return f"+1555{number:07d}"
