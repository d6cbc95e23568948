"""What Lightning says went wrong, in any of its shapes, as one of our errors. No I/O.

Strategy:

- The shapes (lightning.md 8): ``message`` at the top, ``error`` as an object with ``message`` and ``code``,
  ``error`` as text, ``error`` as a list of issues with ``path``. All of them are read, over HTTP and on the
  socket.
- The number decides where there is one; else the code and the words do, by the table below, first match
  first; and for a socket that was closed without a word, its close code.
- A field that is at fault is named, also where the message leaves it out. Something that is retired is told with
  what has taken its place (`with_mend`).
- What Lightning wrote is text from outside: it is cut short, and the key is taken out of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from bridge.errors import Busy, InvalidRequest, LightningError, Unauthorized, Unavailable
from bridge.plain_text import short

_Kind: TypeAlias = type[InvalidRequest] | type[Unauthorized] | type[Busy] | type[Unavailable]

_BY_STATUS: Final[dict[int, _Kind]] = {
    400: InvalidRequest,
    401: Unauthorized,
    402: Unauthorized,  # credits used up; the sources disagree whether this is 402 or 403
    403: Unauthorized,  # also "trial or usage limit reached"
    404: InvalidRequest,
    409: InvalidRequest,
    410: InvalidRequest,  # the model is retired
    413: InvalidRequest,
    422: InvalidRequest,
    429: Busy,
}

#: Searched in "<code> <message>". The order matters: "usage limit" is not a limit that waiting mends.
_BY_WORDS: Final[tuple[tuple[re.Pattern[str], _Kind], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"inactivity|\bidle\b", Unavailable),
        (r"unauthori[sz]ed|forbidden|api.?key|permission|access.?denied", Unauthorized),
        (r"credit|usage.?limit|trial|quota", Unauthorized),
        (r"concurren|rate.?limit|too.?many|limit.?(reached|exceeded)", Busy),
        (r"invalid|validation|required|must |expected|too_(big|small)|custom|at most", InvalidRequest),
        (r"not.?supported|unsupported|deprecated|retired", InvalidRequest),
    )
)


#: Close codes that ask to come back: over the account's sockets (the speech-to-text socket does so), and a server
#: that is full. Lightning advises to begin with half a second.
_BUSY_CLOSES: Final = frozenset({1008, 1013})
_BUSY_CLOSE_RETRY_S: Final = 0.5
#: A date further away than this is a clock that is wrong.
_MOST_RETRY_S: Final = 24 * 3600.0
#: Paths that name their model: Lightning takes them out of service one after the other.
_MODEL_PATH: Final = re.compile(r"/lightning-v(2|3\.1)/")


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in Lightning's words."""

    message: str
    code: str = ""
    #: HTTP status, or a code that is a number of that kind; 0 when there is none.
    status: int = 0
    retry_after_s: float | None = None
    #: The path that has taken the place of a retired one.
    instead: str = ""

    @property
    def is_retired(self) -> bool:
        """Whether it is no longer there, and will not come back."""
        return self.status == 410 or self.code == "MODEL_DEPRECATED"

    @property
    def is_idle_timeout(self) -> bool:
        """Whether Lightning closed the session only because nothing was asked of it."""
        return "inactivity" in self.message

    def as_error(self, request_id: str = "", *, secret: str = "") -> LightningError:
        """The exception that tells it, without `secret`."""
        message, code = self.message, self.code or str(self.status or "")
        if secret:
            message, code = message.replace(secret, "***"), code.replace(secret, "***")
        kind = self._kind()
        if kind is Busy:
            return Busy(message, code=code, request_id=request_id, retry_after_s=self.retry_after_s)
        return kind(message, code=code, request_id=request_id)

    def _kind(self) -> _Kind:
        if self.status:
            return _BY_STATUS.get(self.status, Unavailable)
        told = f"{self.code} {self.message}"
        return next((kind for pattern, kind in _BY_WORDS if pattern.search(told)), Unavailable)


def plain(raw: bytes | Raw) -> object:
    """What the JSON `raw` says; None where there is none, or it is broken."""
    try:
        return msgspec.json.decode(raw) if len(bytes(raw)) else None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def fault_of(
    message: object, error: object, code: object, *, status: int = 0, instead: object = None
) -> Fault:
    """The fault that the fields `message`, `error`, `error_code` and `recommended_endpoint` of an answer tell."""
    if isinstance(error, list):
        error = error[0] if error else None
    path: object = None
    if isinstance(error, dict):
        code = code or error.get("code")
        message, path = message or error.get("message"), error.get("path")
    message = message or error
    text = message if isinstance(message, str) else ""
    message = short(_with_path(text, path)) or "an error without a message"
    return Fault(message, short(_text(code)), status or _status_in(code), instead=short(_text(instead)))


def fault_of_http(
    status: int, body: bytes, retry_after: str | None = None, *, now_s: float | None = None
) -> Fault:
    """The fault that an HTTP answer tells.

    Args:
        retry_after: its header, when it is there.
        now_s: the time in seconds since 1970; without it, a `retry_after` that is a date says nothing.
    """
    answered = plain(body)
    fields = answered if isinstance(answered, dict) else {}
    message = fields.get("message") or ("" if fields.get("error") else f"HTTP {status}")
    code = fields.get("error_code") or fields.get("code")
    instead = fields.get("recommended_endpoint")
    fault = fault_of(message, fields.get("error"), code, status=status, instead=instead)
    return replace(fault, retry_after_s=_seconds(retry_after, now_s))


def fault_of_close(code: int, reason: str) -> Fault:
    """The fault that closing a socket with `code` and `reason` tells: the words first, then the number."""
    fault = fault_of(reason or f"closed with {code}", None, str(code))
    if code in _BUSY_CLOSES and fault._kind() in (Busy, Unavailable) and not fault.is_idle_timeout:
        return replace(fault, status=429, retry_after_s=_BUSY_CLOSE_RETRY_S)
    return fault


def with_mend(fault: Fault, path: str) -> Fault:
    """`fault`, which the request to `path` met; when that is retired, with what to do about it."""
    own_path = _MODEL_PATH.search(path)
    told = fault.message
    if told == f"HTTP {fault.status}" and own_path and fault.status in (404, 410):
        told += f": most likely the endpoint of Lightning v{own_path[1]} has been retired"
    elif not fault.is_retired:
        return fault
    if fault.instead:
        told += f"; Lightning recommends {fault.instead}"
    if own_path:
        told += '; set lightning.door = "live" and a voice of lightning_v3.1'
    elif fault.instead:
        told += "; set another lightning.model and a voice of it"
    return replace(fault, message=told)


def _with_path(message: str, path: object) -> str:
    """`message` with the name of the field at fault, unless it names it itself."""
    where = ".".join(str(part) for part in path) if isinstance(path, list) else ""
    if where and re.search(rf"\b{re.escape(where)}\b", message):
        return message
    return ": ".join(part for part in (where, message) if part)


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _status_in(code: object) -> int:
    text = _text(code)
    return int(text) if re.fullmatch(r"[45]\d\d", text) else 0


def _seconds(retry_after: str | None, now_s: float | None) -> float | None:
    if not retry_after:
        return None
    if re.fullmatch(r"\d{1,6}(\.\d+)?", retry_after):
        return float(retry_after)
    try:
        until_s = parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):
        return None
    wait_s = until_s - now_s if now_s is not None else _MOST_RETRY_S
    return max(0.0, wait_s) if wait_s < _MOST_RETRY_S else None
