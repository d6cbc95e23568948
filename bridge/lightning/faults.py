"""What Lightning says went wrong, in any of its shapes, as one of our errors. No I/O.

Strategy:

- The shapes (lightning.md 8): ``message`` at the top, ``error`` as an object with ``message`` and ``code``,
  ``error`` as text, ``error`` as a list of issues with ``path``. All of them are read, over HTTP and on the
  socket.
- The number decides where there is one; else the code and the words do, by the table below, first match
  first.
- What Lightning wrote is text from outside: it is cut short, and the key is taken out of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import msgspec

from bridge.errors import Busy, InvalidRequest, LightningError, Unauthorized, Unavailable

MAX_MESSAGE_CHARS: Final = 300

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


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in Lightning's words."""

    message: str
    code: str = ""
    #: HTTP status, or a code that is a number of that kind; 0 when there is none.
    status: int = 0
    retry_after_s: float | None = None

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


def fault_of(message: object, error: object, code: object, *, status: int = 0) -> Fault:
    """The fault that the fields `message`, `error` and `error_code` of a decoded answer tell."""
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, dict):
        code = code or error.get("code")
        message = message or _with_path(error.get("message"), error.get("path"))
    message = message or error
    text = message if isinstance(message, str) else ""
    message = _short(text) or "an error without a message"
    return Fault(message, _short(_text(code)), status or _status_in(code))


def fault_of_http(status: int, body: bytes, retry_after: str | None = None) -> Fault:
    """The fault that an HTTP answer tells. `retry_after`: its header, when it is there."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        fields = None
    if not isinstance(fields, dict):
        fields = {}
    message = fields.get("message") or ("" if fields.get("error") else f"HTTP {status}")
    code = fields.get("error_code") or fields.get("code")
    fault = fault_of(message, fields.get("error"), code, status=status)
    return replace(fault, retry_after_s=_seconds(retry_after))


def _with_path(message: object, path: object) -> str:
    where = ".".join(str(part) for part in path) if isinstance(path, list) else ""
    return ": ".join(part for part in (where, _text(message)) if part)


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def _status_in(code: object) -> int:
    text = _text(code)
    return int(text) if re.fullmatch(r"[45]\d\d", text) else 0


def _seconds(retry_after: str | None) -> float | None:
    # Its other form, a date, is not worth a clock here.
    return float(retry_after) if retry_after and re.fullmatch(r"\d{1,6}(\.\d+)?", retry_after) else None
