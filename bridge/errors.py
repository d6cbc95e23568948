"""Every exception the bridge raises on purpose.

    BridgeError
    ├── ConfigError            the configuration is wrong: file, key, reason
    ├── ProtocolError          a peer broke its wire protocol (their fault)
    ├── Refused                admission said no: forged, unsigned, expired, over capacity, draining
    ├── CallEnded              the agent asked something of a call that is over (our side's misuse)
    ├── ListenOnly             the carrier only listens in: nothing can be played to it
    ├── BudgetSpent            the call, or the day, has cost what it may
    ├── ThinkerError           what thinks for an agent (a language model, a remote agent) failed; `kind` says how
    ├── PromptError            a prompt cannot be loaded or played
    ├── CarrierError           a carrier's REST API said no, or nothing
    │   └── Unsupported        the carrier cannot do this at all, or is not configured to
    └── LightningError         text-to-speech failed
        ├── InvalidRequest     refused because of what was asked; asking again cannot help
        ├── Unauthorized       the key is wrong, or the account may not do this
        ├── Busy               over the account's concurrency; `retry_after_s` when it said so
        ├── Unavailable        cannot connect, refused by a server fault, or dropped half way
        └── TimedOut           connected, but silent past its deadline

Two roots matter to callers: `ProtocolError` is never our bug, everything else names the mend in its message.
No message ever contains a secret.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

#: The code of what is refused here, before anything is sent. Nobody else could speak it either.
REFUSED_HERE: Final = "local_check"
#: The code of what fails because we close the door ourselves.
CLOSED: Final = "closed"


class BridgeError(Exception):
    """Base of all of them."""


class ConfigError(BridgeError):
    """The configuration is wrong.

    Args:
        reason: what is wrong and how to mend it.
        key: dotted name of the setting, such as ``server.port``.
        source: the file, or the environment variable, that the value came from.
    """

    def __init__(self, reason: str, *, key: str = "", source: str = "") -> None:
        self.reason, self.key, self.source = reason, key, source
        super().__init__(": ".join(part for part in (source, key, reason) if part))


class ProtocolError(BridgeError):
    """A peer sent what its protocol does not allow.

    Args:
        reason: what was wrong with the message.
        peer: carrier name, or ``lightning``.
        kind: short name that the counters use, such as ``bad_json``.
        call_id: the carrier's id of the call, when it is known.
        close_code: the WebSocket close code to answer with if the connection cannot go on;
            ``None`` when the message may be counted and skipped.
    """

    def __init__(
        self, reason: str, *, peer: str, kind: str, call_id: str = "", close_code: int | None = None
    ) -> None:
        self.reason, self.peer, self.kind = reason, peer, kind
        self.call_id, self.close_code = call_id, close_code
        super().__init__(f"{peer}{f' call {call_id}' if call_id else ''}: {reason}")


class Refused(BridgeError):
    """Admission said no; nothing was started.

    Args:
        reason: short name that the counters use: ``signature``, ``token``, ``draining``, ``capacity``, ...
        detail: one sentence for the log.
        status: HTTP status for a webhook or an upgrade.
        close_code: WebSocket close code, once the socket is open.
    """

    def __init__(self, reason: str, detail: str, *, status: int = 403, close_code: int = 1008) -> None:
        self.reason, self.detail, self.status, self.close_code = reason, detail, status, close_code
        super().__init__(f"{reason}: {detail}")


class CallEnded(BridgeError):
    """The call is over, so it cannot speak, play or listen any more."""


class ListenOnly(BridgeError):
    """The carrier only listens in (a unidirectional stream): nothing can be played to it."""


class BudgetSpent(BridgeError):
    """The call, or the day, has cost what it may.

    Args:
        limit: the setting that says so, such as ``characters_per_call``.
    """

    def __init__(self, limit: str) -> None:
        self.limit = limit
        super().__init__(f"budget.{limit} is spent")


#: How an answer failed: what thinks refuses, is not there, answers badly; or (the last three) had no words to answer
#: to, has a bug, or its answer could not be spoken.
ThinkerFailure: TypeAlias = Literal[
    "unauthorized", "busy", "unreachable", "server", "request", "hung", "garbage", "flood", "cut", "empty",
    "not_heard", "error", "voice",
]  # fmt: skip


class ThinkerError(BridgeError):
    """What thinks for an agent failed: a language model, or an agent elsewhere.

    Args:
        kind: how, by the short names that the counters use.
        detail: one sentence for the log, without secrets and without the caller's words.
    """

    def __init__(self, kind: ThinkerFailure, detail: str = "") -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind}: {detail}" if detail else kind)


class PromptError(BridgeError):
    """A prompt cannot be loaded or played."""


class CarrierError(BridgeError):
    """A carrier's REST API did not do what it was asked.

    Args:
        reason: what was wanted and what the carrier said, without secrets.
        carrier: whose API it is.
        status: the HTTP status; 0 when there was no answer.
    """

    def __init__(self, reason: str, *, carrier: str, status: int = 0) -> None:
        self.reason, self.carrier, self.status = reason, carrier, status
        super().__init__(f"{carrier}: {reason}{f' (HTTP {status})' if status else ''}")


class Unsupported(CarrierError):
    """The carrier cannot do this at all, or lacks the settings that it needs for it. The message names them."""


class LightningError(BridgeError):
    """Text-to-speech failed.

    Args:
        message: what Lightning or the network said, without secrets.
        code: Lightning's own error code, the HTTP status, or a short local name.
        request_id: our id of the synthesis, for the vendor's support.
    """

    #: Whether the same request may succeed on a fresh connection.
    retryable = False
    #: What the caller has heard of the utterance that failed; known to who has said it.
    heard_text = ""

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        self.message, self.code, self.request_id = message, code, request_id
        tail = ", ".join(p for p in (code and f"code {code}", request_id and f"request {request_id}") if p)
        super().__init__(f"{message} ({tail})" if tail else message)


class InvalidRequest(LightningError):
    """Refused because of what was asked; asking again cannot help."""


def refused_here(reason: str, request_id: str = "") -> InvalidRequest:
    """The refusal of what no door could make good. `reason` begins with the field's name and a colon."""
    return InvalidRequest(reason, code=REFUSED_HERE, request_id=request_id)


class Unauthorized(LightningError):
    """The key is wrong, or the account may not do this."""


class Busy(LightningError):
    """Over the account's concurrency. Wait `retry_after_s` (when known) and ask again."""

    retryable = True

    def __init__(
        self, message: str, *, code: str = "", request_id: str = "", retry_after_s: float | None = None
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, code=code, request_id=request_id)


class Unavailable(LightningError):
    """Cannot connect, refused by a server fault, or dropped half way."""

    retryable = True


def client_closed() -> Unavailable:
    """Why nothing more comes through a door that we have closed."""
    return Unavailable("the client is closed", code=CLOSED)


class TimedOut(LightningError):
    """Connected, but silent past its deadline."""

    retryable = True
