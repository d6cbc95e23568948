"""The one gate: nothing that costs money exists before a call has passed it.

Strategy, the same for every carrier:

- Three doors, in this order: the webhook (signature, room), the upgrade (signature, room among strangers),
  the stream's start (a one-time token that only the answer to a verified webhook can have carried).
- Addresses that signatures are checked against are built from `server.public_url`, never from the request.
- A token is bound to carrier and call, kept as a hash only, and taken atomically. A retried webhook is
  answered with a token of its own and each of them works, but a call gets one stream: the first to start.
- No HTTP here: the handlers ask, and turn `Refused` into a status or a close code.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import msgspec

from bridge.carriers.carrier import Carrier, Endpoint, IncomingCall, Reply, StreamUrls
from bridge.carriers.dialect import Started
from bridge.errors import Refused
from bridge.store.base import TokenStore

#: From the answer to the webhook to the stream's start; ringing is over by then, so it takes a second or two.
TOKEN_TTL_S: Final = 120.0
#: How long a call that has started is remembered: no call at Twilio lasts longer.
STARTED_TTL_S: Final = 4 * 3600.0

_TOKEN_BYTES: Final = 24


class Admission:
    """Judges every request of every carrier.

    Args:
        carriers: the configured ones, by name.
        tokens: where one-time tokens are kept.
        public_url: the address that carriers reach this server by, with its path if it has one.
        has_room: whether one more call can be served now.
        has_voice: whether it could be spoken to. Calls that are on already are not refused for the want of it.
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
        max_strangers: int = 500,
    ) -> None:
        self._carriers, self._tokens = carriers, tokens
        self._public_url = public_url.rstrip("/")
        self._has_room, self._has_voice, self._max_strangers = has_room, has_voice, max_strangers
        self._strangers = 0
        #: Set it when the process is asked to stop: from then on new calls are refused with 503.
        self.draining = False

    @property
    def strangers(self) -> int:
        """Media sockets that are open and have not shown their token yet."""
        return self._strangers

    def urls(self, carrier_name: str) -> StreamUrls:
        """The public addresses that an answer to `carrier_name` refers to."""
        return StreamUrls(
            media=self._media_url(carrier_name),
            status=self._url(carrier_name, "status"),
            ended=self._url(carrier_name, "ended"),
        )

    def verify(
        self,
        carrier_name: str,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        form: Mapping[str, str],
        *,
        query: str = "",
    ) -> None:
        """Check a request about a call that is admitted already (`status`, `ended`): the signature only.

        Args:
            carrier_name: as in the path.
            endpoint: likewise.
            headers: all of them; repeated ones must be repeated in `items()`.
            form: the decoded body; likewise, and with empty values kept.
            query: the request's query as it was written, without ``?``: it is part of what is signed.

        Raises:
            Refused: forged, unsigned, or no such carrier.
        """
        url = self._url(carrier_name, endpoint) + (f"?{query}" if query else "")
        self._carrier(carrier_name).verify_webhook(url, headers, form)

    def webhook(
        self,
        carrier_name: str,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        form: Mapping[str, str],
        *,
        query: str = "",
    ) -> IncomingCall:
        """Check the request that announces a call (`answer`), and say which call it is. Arguments as above.

        Raises:
            Refused: also ``draining``, ``capacity`` and ``voice`` (503), but those to nobody without a signature.
            ProtocolError: signed, but not a call.
        """
        self.verify(carrier_name, endpoint, headers, form, query=query)
        self._refuse_when_draining()
        self._refuse_when_full()
        if not self._has_voice():
            raise Refused("voice", "no entry of [lightning] works at the moment", status=503)
        return self._carrier(carrier_name).incoming(form)

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

    def upgrade(self, carrier_name: str, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        """Check the request for a media socket, before it is answered.

        Returns:
            A context to hold until `start` has returned or raised: within it the socket counts as a stranger.

        Raises:
            Refused: forged or unsigned, draining, or too many strangers.
        """
        self._carrier(carrier_name).verify_upgrade(self._media_url(carrier_name), headers)
        self._refuse_when_draining()
        if self._strangers >= self._max_strangers:
            raise Refused("strangers", "too many media sockets wait for their start", status=503)
        return self._stranger()

    async def start(self, carrier_name: str, started: Started) -> IncomingCall:
        """Redeem the token of a stream's start: the call that it was issued for, as its webhook told it.

        Raises:
            Refused: the token is missing, wrong, used, expired or another call's; the call had its stream
                already; there is no room any more.
        """
        token = self._carrier(carrier_name).token_of(started)
        remembered = (
            await self._tokens.take(_token_key(carrier_name, started.call_id, token)) if token else None
        )
        if remembered is None:
            raise Refused("token", "missing, wrong, used, expired or another call's")
        call = msgspec.json.decode(remembered, type=IncomingCall)
        if started.account_id and started.account_id != call.account_id:
            raise Refused("account", "the stream is of another account than its call")
        self._refuse_when_full()
        if not await self._tokens.claim(_started_key(carrier_name, call.call_id), STARTED_TTL_S):
            raise Refused("second_stream", "the call already had its stream")
        return call

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

    def _carrier(self, name: str) -> Carrier:
        try:
            return self._carriers[name]
        except KeyError:
            raise Refused("carrier", "no such carrier is configured", status=404) from None

    def _url(self, carrier_name: str, endpoint: Endpoint) -> str:
        return f"{self._public_url}/carriers/{carrier_name}/{endpoint}"

    def _media_url(self, carrier_name: str) -> str:
        return "ws" + self._url(carrier_name, "media").removeprefix("http")


def _token_key(carrier_name: str, call_id: str, token: str) -> str:
    bound = f"{carrier_name}\n{call_id}\n{token}".encode("utf-8", "surrogatepass")
    return f"token:{hashlib.sha256(bound).hexdigest()}"


def _started_key(carrier_name: str, call_id: str) -> str:
    return f"started:{carrier_name}:{call_id}"
