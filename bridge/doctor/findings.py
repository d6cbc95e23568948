"""What the doctor makes of facts: a verdict each, and the mend where it is a bad one. No I/O.

Strategy:

- A judgement is a function from what was found to a `Finding`. Who gathers the facts is `bridge.doctor.probes` and
  `bridge.doctor.web`.
- A mend says what to do, in the words of the configuration; a detail says what was seen. Neither holds a secret.
- What could not be looked at is skipped, with the reason: it is neither well nor ill.

Facts, from the carriers' documentation: Telnyx takes signatures of up to 300 s of age, Genesys of 10 s, with 3 s of
clock skew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate, mktime_tz, parsedate_tz
from enum import StrEnum
from typing import Final

from bridge.carriers.carrier import Webhook
from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.names import INSTANCE_HEADER, UPGRADE_HEADER
from bridge.transcribers.pulse_messages import Kind, Refusal

#: The strictest carrier allows 10 s of age and 3 s of skew; at half of the age one should know.
MOST_SKEW_S: Final = 5.0
#: Certificates are renewed a month before they end; one that was not for so long will not be.
RENEW_WITHIN_S: Final = 14 * 86_400.0
#: The media socket, its webhooks, a synthesis of its own, and what a call may open besides.
FILES_PER_CALL: Final = 4
#: What the process has open without any call.
FILES_AT_REST: Final = 64

#: The mend of a configuration that says itself what is wrong with it.
SEE_INIT: Final = "`bridge init` writes every setting with its default and what it does"

_REFUSED: Final = frozenset({401, 403})


class Verdict(StrEnum):
    """How it fares."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    SKIP = "skip"  #: could not be looked at
    INFO = "info"  #: neither good nor bad


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's: what was looked at, how it fares, what was seen, and what mends it."""

    check: str
    verdict: Verdict
    detail: str = ""
    mend: str = ""


def passed(check: str, detail: str = "") -> Finding:
    """It is as it should be."""
    return Finding(check, Verdict.PASS, detail)


def failed(check: str, detail: str, mend: str) -> Finding:
    """It is not, and `mend` is what to do."""
    return Finding(check, Verdict.FAIL, detail, mend)


def skipped(check: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(check, Verdict.SKIP, why)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from an address.

    Attributes:
        status: of HTTP; 0 when nothing came.
        body: the beginning of it.
        error: why nothing came, in words.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    error: str = ""

    def header(self, name: str) -> str:
        """A header's value, whatever the case of its name; empty when it is missing."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")


# -- this machine ------------------------------------------------------------------------------------------------------


def judge_files(limit: int, calls: int) -> Finding:
    """Whether the limit of open files is enough for so many calls at once. `limit` < 0 is none."""
    if limit < 0:
        return passed("open files", "no limit")
    fit = max(0, (limit - FILES_AT_REST) // FILES_PER_CALL)
    if fit >= calls:
        return passed("open files", f"{limit} allowed, enough for some {fit} calls at once")
    needed = calls * FILES_PER_CALL + FILES_AT_REST
    return failed(
        "open files",
        f"{limit} allowed, enough for some {fit} calls at once, not for {calls}",
        f"raise the limit to {needed} or more: `ulimit -n {needed}`, or LimitNOFILE={needed} in the unit of systemd",
    )


def judge_skew(skews_s: Mapping[str, float]) -> Finding:
    """Whether our clock agrees with those of others. `skews_s`: how far ours is ahead of each; it may be empty."""
    check = "clock"
    if not skews_s:
        return skipped(check, "nobody answered with a date to compare with")
    # The nearest to the middle: one server with a wrong clock must not make ours wrong.
    whose, skew_s = sorted(skews_s.items(), key=lambda item: item[1])[len(skews_s) // 2]
    if abs(skew_s) <= MOST_SKEW_S:
        return passed(check, f"within {max(1.0, abs(skew_s)):.0f} s of {whose}")
    side = "ahead of" if skew_s > 0 else "behind"
    return failed(
        check,
        f"{abs(skew_s):.0f} s {side} {whose}",
        "have the time set by the network (`timedatectl set-ntp true`): signatures carry the time and are refused "
        "when it is off",
    )


def skew_in(date: str, now_s: float) -> float | None:
    """How far `now_s` is ahead of an HTTP ``Date``; None when that is none. It counts whole seconds: half of one is
    added."""
    try:
        theirs = parsedate_tz(date)
        return now_s - (mktime_tz(theirs) + 0.5) if theirs else None
    except (ValueError, OverflowError):
        return None


# -- what it talks to --------------------------------------------------------------------------------------------------


def judge_voice(
    check: str, key: str, entry: str, error: LightningError | None, first_byte_s: float
) -> Finding:
    """Whether an entry of ``[lightning]`` speaks. `key` is where it stands, `entry` which door and voice it is."""
    if error is None:
        return passed(check, f"{entry} spoke, first audio after {first_byte_s * 1000:.0f} ms")
    mend = next((words for kind, words in _VOICE_MENDS if isinstance(error, kind)), "see docs/lightning.md")
    return failed(check, f"{entry}: {error}", mend.format(key=key))


_VOICE_MENDS: Final = (
    (Unauthorized, "give a key that is valid, of an account that may do this: {key}.api_key"),
    (Busy, "all that the account may do at once is being done: wait, or see who else uses its key"),
    (
        InvalidRequest,
        "see that door, model, voice_id and language of [{key}] belong together: `bridge voices list`",
    ),
    (
        Unavailable | TimedOut,
        "is {key}.base_url right, and may this machine reach it? Behind a proxy, set {key}.proxy",
    ),
)


# -- the public address ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was found where a certificate should be.

    Attributes:
        ends_s: until when it is valid, in unix seconds; None when none was accepted.
        refused: why it is not accepted.
        unseen: why nothing can be said of it: nobody was there to show one.
    """

    ends_s: float | None = None
    refused: str = ""
    unseen: str = ""


def judge_certificate(found: Certificate, now_s: float) -> Finding:
    """Whether the certificate holds, and for how long."""
    check = "certificate"
    if found.unseen:
        return skipped(check, found.unseen)
    if found.ends_s is None:
        return failed(
            check,
            found.refused or "there is none",
            "give the proxy a certificate of a public authority for this very name, with the whole chain",
        )
    ends = formatdate(found.ends_s, usegmt=True)[5:16]
    left_s = found.ends_s - now_s
    if left_s < RENEW_WITHIN_S:
        told = f"ended on {ends}" if left_s <= 0 else f"ends on {ends}, in {left_s / 86_400:.0f} days"
        return failed(check, told, "renew it now, and see why that did not happen by itself")
    return passed(check, f"valid until {ends}")


def judge_public(answer: Answer, instance: str, url: str, where: str) -> Finding:
    """Whether `url` leads to this bridge: `answer` is what ``/livez`` said there, `instance` which process should."""
    check = "public address"
    if answer.error:
        return failed(
            check,
            f"{url}: {answer.error}",
            f"is the proxy or the tunnel up, does the name lead to it, and does it lead to {where}? (Some networks "
            "cannot reach their own public address from within: then check from outside)",
        )
    if 300 <= answer.status < 400:
        return failed(
            check,
            f"{url} redirects (HTTP {answer.status})",
            "carriers do not follow it: set server.public_url to the address that it leads to",
        )
    found = answer.header(INSTANCE_HEADER)
    if answer.status != 200 or not found:
        return failed(
            check,
            f"{url}/livez is answered by something else (HTTP {answer.status})",
            f"have the proxy pass everything below the path of server.public_url to {where}",
        )
    if found != instance:
        return failed(
            check,
            f"{url} leads to a bridge, but not to this one",
            f"have it lead to {where}; several bridges behind one address must share their secrets, and each is to "
            "be checked alone",
        )
    return passed(check, f"{url} leads here")


def judge_websockets(answer: Answer) -> Finding:
    """Whether a request to upgrade comes through whole. The answer of ``/livez`` to one says so."""
    check = "websockets"
    if answer.error or answer.status != 200:
        return failed(check, answer.error or f"HTTP {answer.status}", _WEBSOCKET_MEND)
    if not answer.header(UPGRADE_HEADER):
        return failed(check, "the proxy drops the headers of the upgrade", _WEBSOCKET_MEND)
    return passed(check, "upgrades come through")


_WEBSOCKET_MEND: Final = (
    "have the proxy pass WebSockets: HTTP/1.1, with the headers Upgrade and Connection (Twilio's error 31920)"
)


def judge_signed(carrier: str, answer: Answer, url: str) -> Finding:
    """Whether a request that was signed for `url` holds when it has come through the public address."""
    check = f"{carrier} signature"
    if 200 <= answer.status < 300:
        return passed(check, "a signed request comes through")
    if answer.error:
        return failed(check, answer.error, "as for the public address")
    if answer.status in _REFUSED:
        return failed(
            check,
            f"a request that was signed for {url} is refused (HTTP {answer.status})",
            "the proxy must leave path, query and body as they are; and whoever answers there must have the same "
            f"secrets in [carriers.{carrier}]",
        )
    if answer.status == 404:
        return failed(
            check,
            f"nothing is served at {url} (HTTP 404)",
            f"the proxy must pass /carriers/{carrier}/, and whoever answers must have [carriers.{carrier}]",
        )
    return failed(
        check, f"{url} answers with HTTP {answer.status}", "look at the proxy's log, and at the bridge's"
    )


def judge_forged(carrier: str, answer: Answer) -> Finding:
    """Whether the same request, wrongly signed, is refused."""
    check = f"{carrier} forgery"
    if answer.status in _REFUSED:
        return passed(check, "a wrongly signed request is refused")
    if answer.error:
        return failed(check, answer.error, "as for the public address")
    return failed(
        check,
        f"a wrongly signed request is answered with HTTP {answer.status}",
        "something in front of the bridge answers for it, or signs: have it pass requests on as they are",
    )


def forged(webhook: Webhook) -> Webhook | None:
    """`webhook` with another letter in the middle of each header that may hold a signature; None without any."""
    proofs = {
        name: value for name, value in webhook.headers.items() if name.lower() != "content-type" and value
    }
    if not proofs:
        return None
    return replace(
        webhook, headers={**webhook.headers, **{name: _changed(text) for name, text in proofs.items()}}
    )


def _changed(text: str) -> str:
    """`text` with another letter in its middle: at its end, base64 may hold bits that mean nothing."""
    middle = next((i for i in range(len(text) // 2, len(text)) if text[i].isalnum()), len(text) // 2)
    return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]


#: What to do about each kind of refusal of Pulse.
_PULSE_MENDS: Final = {
    Kind.UNAUTHORIZED: "check the key (pulse.api_key, or else that of [lightning]), and what the account may do",
    Kind.REQUEST: "see language, model and keywords in [pulse]",
    Kind.BUSY: "the account has too many sockets open: see its concurrency",
    Kind.UNAVAILABLE: "may this machine reach pulse.base_url, directly or through pulse.proxy?",
}


def judge_pulse(told: str, refusal: Refusal | None) -> Finding:
    """Whether Pulse opens a socket for what [pulse] asks for. `told`: what that is."""
    if refusal is None:
        return passed("pulse", f"{told}: opens a socket")
    return failed("pulse", f"{told}: {refusal.message}", _PULSE_MENDS[refusal.kind])


def all_well(findings: list[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.verdict is not Verdict.FAIL for finding in findings)
