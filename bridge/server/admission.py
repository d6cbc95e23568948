"""The one gate: nothing that costs money exists before a call has passed it.

Strategy, the same for every carrier:

- Three doors, in this order: the webhook (signature, room), the upgrade (signature, room among strangers),
  the stream's start (a one-time token that only the answer to a verified webhook can have carried).
- Addresses that signatures are checked against are built from `server.public_url`, never from the request.
- A token is bound to carrier and call, kept as a hash only, and taken atomically. A retried webhook is
  answered with a token of its own and each of them works, but a call gets one stream at a time: the first to start.
- A carrier without webhooks is let in by its upgrade alone. A carrier that opens a lost socket again shows what it
  showed the first time, and goes on with the call that is on.
- No HTTP here: the handlers ask, and turn `Refused` into a status or a close code.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from bridge.carriers.carrier import Carrier, Endpoint, IncomingCall, Reply, StreamUrls, Upgrade, Webhook
from bridge.carriers.dialect import Started
from bridge.carriers.urls import stream_urls
from bridge.errors import Refused
from bridge.store.base import TokenStore

#: From the answer to the webhook to the stream's start; ringing is over by then, so it takes a second or two.
TOKEN_TTL_S: Final = 120.0
#: How long a call that has started is remembered: no call at Twilio lasts longer.
STARTED_TTL_S: Final = 4 * 3600.0

_TOKEN_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Admitted:
    """A stream that was let in: the call, and whether it goes on with one that is on already."""

    call: IncomingCall
    resumed: bool


class Admission:
    """Judges every request of every carrier.

    Args:
        carriers: the configured ones, by name.
        tokens: where one-time tokens are kept.
        public_url: the address that carriers reach this server by, with its path if it has one.
        has_room: whether one more call can be served now.
        has_voice: whether it could be spoken to. Calls that are on already are not refused for the want of it.
        budget_spent: which limit of today is spent; empty when none is.
        max_strangers: media sockets that may be open at once without having shown their token.
    """

    def __init__(
        self,
        carriers: Mapping[str, Carrier],
        tokens: TokenStore,
        public_url: str,
        *,
        has_room: Callable[[], bool] = lambda: True,
        has_voice: Callable[[], bool] = lambda: True,
        budget_spent: Callable[[], str] = lambda: "",
        max_strangers: int = 500,
    ) -> None:
        self._carriers, self._tokens = carriers, tokens
        self._public_url = public_url.rstrip("/")
        self._has_room, self._has_voice, self._max_strangers = has_room, has_voice, max_strangers
        self._budget_spent = budget_spent
        self._strangers = 0
        #: The calls that are on, by their claim, each with the key of the token that it started with.
        self._on: dict[str, tuple[IncomingCall, str]] = {}
        #: Set it when the process is asked to stop: from then on new calls are refused with 503.
        self.draining = False

    @property
    def strangers(self) -> int:
        """Media sockets that are open and have not shown their token yet."""
        return self._strangers

    def urls(self, carrier_name: str) -> StreamUrls:
        """The public addresses that an answer to `carrier_name` refers to."""
        return stream_urls(self._public_url, carrier_name)

    def url_of(self, carrier_name: str, endpoint: Endpoint, rest: str = "") -> str:
        """The public address of an endpoint, as it is signed.

        Args:
            rest: what the request had behind it, as it was written: a further step of the path, ``?`` and a query.
        """
        address: str = getattr(self.urls(carrier_name), endpoint)
        return address + rest

    def verify(self, carrier_name: str, webhook: Webhook) -> None:
        """Check a request about a call that is admitted already (``status``, ``ended``): the signature only.

        Raises:
            Refused: forged, unsigned, or no such carrier.
        """
        self._carrier(carrier_name).verify_webhook(webhook)

    def announced(self, carrier_name: str, webhook: Webhook) -> IncomingCall | None:
        """Check the request that announces a call (``answer``), and say which call it is.

        Returns:
            None when it is about something else.

        Raises:
            Refused: also ``draining``, ``capacity``, ``voice``, ``budget`` (503), but to nobody without a signature.
            ProtocolError: signed, but not a call.
        """
        self.verify(carrier_name, webhook)
        call = self._carrier(carrier_name).incoming(webhook)
        if call is not None:
            self.refuse_new_calls()
        return call

    def refuse_new_calls(self) -> None:
        """Raise Refused (503) when no call can be taken now: ``draining``, ``capacity``, ``voice`` or ``budget``."""
        self._refuse_when_draining()
        self._refuse_when_full()
        if not self._has_voice():
            raise Refused("voice", "no entry of [lightning] works at the moment", status=503)
        self._refuse_when_spent()

    async def invite(self, carrier_name: str, call: IncomingCall) -> Reply:
        """The answer to `call`'s webhook: a stream to us, with a token of its own.

        Raises:
            Refused: the store is full.
        """
        token = await self.issue_token(carrier_name, call)
        return self._carrier(carrier_name).answer(call, self.urls(carrier_name), token)

    async def issue_token(self, carrier_name: str, call: IncomingCall) -> str:
        """A fresh token that is good for one start of `call` within `TOKEN_TTL_S`.

        Raises:
            Refused: the store is full.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        key = _token_key(carrier_name, call.call_id, token)
        await self._tokens.put(key, msgspec.json.encode(call).decode(), TOKEN_TTL_S)
        return token

    def upgrade(self, carrier_name: str, upgrade: Upgrade) -> AbstractContextManager[None]:
        """Check the request for a media socket, before it is answered.

        Returns:
            A context to hold until `start` has returned or raised: within it the socket counts as a stranger.

        Raises:
            Refused: forged or unsigned, draining, or too many strangers.
        """
        carrier = self._carrier(carrier_name)
        carrier.verify_upgrade(upgrade)
        if not carrier.reconnects:  # else it may be a call that is on: see `start`
            self._refuse_when_draining()
        if self._strangers >= self._max_strangers:
            raise Refused("strangers", "too many media sockets wait for their start", status=503)
        return self._stranger()

    async def start(self, carrier_name: str, started: Started, upgrade: Upgrade) -> Admitted:
        """Let a stream in: by the token that it brings, or, of a carrier without tokens, by its upgrade alone.

        The caller's next duty: `release` when the call is over.

        Raises:
            Refused: the token is missing, wrong, used, expired or another call's; the call has its stream already;
                there is no room any more.
        """
        carrier = self._carrier(carrier_name)
        key = ""
        if carrier.needs_token:
            token = carrier.token_of(started, upgrade)
            key = _token_key(carrier_name, started.call_id, token) if token else ""
        if carrier.reconnects:
            shown = bool(key) or not carrier.needs_token
            if shown and (call := self._resumed(carrier_name, started, key)) is not None:
                return Admitted(call, resumed=True)
            self._refuse_when_draining()
        if not carrier.needs_token:  # then no webhook has been asked before
            self._refuse_when_spent()
        call = await self._redeem(key) if carrier.needs_token else _call_of(started)
        if started.account_id and started.account_id != call.account_id:
            raise Refused("account", "the stream is of another account than its call")
        return await self.admit(carrier_name, call, key)

    async def admit(self, carrier_name: str, call: IncomingCall, key: str = "") -> Admitted:
        """Let in the stream of a call that is known. `key` is what a second socket of it must bring again.

        Raises:
            Refused: the call has its stream already; there is no room any more.
        """
        self._refuse_when_full()
        claim = _started_key(carrier_name, call.call_id)
        if not await self._tokens.claim(claim, STARTED_TTL_S):
            raise Refused("second_stream", "the call has its stream already")
        self._on[claim] = (call, key)
        return Admitted(call, resumed=False)

    async def release(self, carrier_name: str, call_id: str) -> None:
        """The call is over: a stream of it with a fresh token is another call."""
        claim = _started_key(carrier_name, call_id)
        if self._on.pop(claim, None) is not None:
            await self._tokens.release(claim)

    def _resumed(self, carrier_name: str, started: Started, key: str) -> IncomingCall | None:
        """The call that is on and that this stream goes on with; None when it is none."""
        call, known_key = self._on.get(_started_key(carrier_name, started.call_id), (None, ""))
        return call if call is not None and hmac.compare_digest(known_key, key) else None

    async def _redeem(self, key: str) -> IncomingCall:
        remembered = await self._tokens.take(key) if key else None
        if remembered is None:
            raise Refused("token", "missing, wrong, used, expired or another call's")
        return msgspec.json.decode(remembered, type=IncomingCall)

    @contextmanager
    def _stranger(self) -> Iterator[None]:
        self._strangers += 1
        try:
            yield
        finally:
            self._strangers -= 1

    def _refuse_when_draining(self) -> None:
        if self.draining:
            raise Refused("draining", "the process is about to stop", status=503)

    def _refuse_when_full(self) -> None:
        if not self._has_room():
            raise Refused("capacity", "as many calls as fit are being served", status=503, close_code=1013)

    def _refuse_when_spent(self) -> None:
        if limit := self._budget_spent():
            detail = f"budget.{limit} is spent, until midnight UTC"
            raise Refused("budget", detail, status=503, close_code=1013)

    def _carrier(self, name: str) -> Carrier:
        try:
            return self._carriers[name]
        except KeyError:
            raise Refused("carrier", "no such carrier is configured", status=404) from None


def _call_of(started: Started) -> IncomingCall:
    """The call of a stream that no webhook has announced."""
    return IncomingCall(
        started.call_id, started.account_id, started.from_number, started.to_number, "inbound"
    )


def _token_key(carrier_name: str, call_id: str, token: str) -> str:
    bound = f"{carrier_name}\n{call_id}\n{token}".encode("utf-8", "surrogatepass")
    return f"token:{hashlib.sha256(bound).hexdigest()}"


def _started_key(carrier_name: str, call_id: str) -> str:
    return f"started:{carrier_name}:{call_id}"
