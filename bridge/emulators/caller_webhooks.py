"""The HTTP half of a simulated carrier: signed webhooks, sent to where the bridge can be reached from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp

from bridge.carriers.form_signature import sign
from bridge.carriers.twilio import SIGNATURE_HEADER
from bridge.secret import Secret

#: Twilio waits this long for the answer to a webhook, and others about as long.
WEBHOOK_TIMEOUT_S: Final = 15.0


class Signature(StrEnum):
    """What to sign a request with."""

    VALID = "valid"
    FORGED = "forged"  #: well-formed, made with another key
    ABSENT = "absent"


def signed_headers(
    token: Secret,
    url: str,
    form: Mapping[str, str] | None = None,
    signature: Signature = Signature.VALID,
    *,
    header: str = SIGNATURE_HEADER,
) -> dict[str, str]:
    """The header that proves to the bridge who is asking, or does not: of Twilio, and of those who sign like it."""
    if signature is Signature.ABSENT:
        return {}
    key = token.reveal() if signature is Signature.VALID else f"not {token.reveal()}"
    return {header: sign(key, url, form)}


class Addresses:
    """Where the bridge says it is, and where it can be reached from here.

    A bridge signs and hands out addresses under its public URL. When that leads through a proxy which is not
    there, as on a laptop, the same path is asked for at the place of `answer_url` instead.

    Args:
        answer_url: where to post the call's webhook; the media socket of a carrier without webhooks is next to it.
        public_url: the bridge's `server.public_url`; empty when it is the beginning of `answer_url`.
    """

    def __init__(self, answer_url: str, public_url: str = "") -> None:
        parts = urlsplit(answer_url)
        self._here = f"{parts.scheme}://{parts.netloc}"
        self._public = public_url.rstrip("/") or self._here
        #: The webhook's URL as it is signed.
        self.answer_url = self._public + answer_url.removeprefix(self._here)

    @property
    def media_url(self) -> str:
        """The public ws(s):// address of the media socket next to the webhook."""
        return _socket(urljoin(self.answer_url, "media"))

    def absolute(self, url: str) -> str:
        """A URL out of an answer, which may be relative to the webhook's."""
        return urljoin(self.answer_url, url)

    def reach(self, url: str) -> str:
        """Where to connect to for `url`; ws:// and wss:// stay WebSocket addresses."""
        for public, here in ((self._public, self._here), (_socket(self._public), _socket(self._here))):
            if url == public or url.startswith((f"{public}/", f"{public}?")):
                return here + url.removeprefix(public)
        return url


def _socket(url: str) -> str:
    return "ws" + url.removeprefix("http")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook was answered with. Status 0: with nothing, and `body` says why."""

    status: int
    body: str

    @property
    def ok(self) -> bool:
        """Whether a carrier would go on with it."""
        return 200 <= self.status < 300


async def ask_webhook(
    session: aiohttp.ClientSession,
    url: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str],
    body: bytes = b"",
) -> Answer:
    """Make one request. Never raises for what the other side does: see `Answer`."""
    timeout = aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_S)
    try:
        async with session.request(
            method, url, data=body or None, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            return Answer(response.status, await response.text(errors="replace"))
    except TimeoutError:
        return Answer(0, f"no answer within {WEBHOOK_TIMEOUT_S:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Answer(0, str(error) or type(error).__name__)
