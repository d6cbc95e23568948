"""HTTP Message Signatures with a shared secret: made, read and checked. Pure.

Strategy:

- What is signed is a text of one line per covered part of the request (its target, its authority, some headers), and
  a last line with the signature's own parameters. RFC 9421's own example is the oracle, in the tests.
- Both header fields are read strictly, by their grammar (RFC 8941), in whatever order things stand in them. The last
  line is written anew from what was read, never copied: padding and odd spellings do not get into it.
- Everything must be right at once: the parts that must be covered, the key's name, its age, a nonce, the code. There is
  no such thing as an unsigned request that is let in.
- A nonce is good once: `Nonces` remembers those that were used, for as long as their signatures are good.

Facts: RFC 9421 (sections 2, 3.2 and appendix B.2.5) and its draft 11, which AudioHook names; RFC 8941.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from bridge.carriers.carrier import header_values
from bridge.errors import Refused
from bridge.secret import Secret

ALGORITHM: Final = "hmac-sha256"

Parameter: TypeAlias = str | int

# Each alternative begins with another character and is possessive, so no text takes longer than its length to refuse.
_KEY: Final = r"[a-z*][a-z0-9_.*-]*+"
_STRING: Final = r'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_INTEGER: Final = r"-?[0-9]{1,15}+"
_PARAMETER: Final = re.compile(rf"; *+({_KEY})=(?:({_STRING})|({_INTEGER}))")
_COMPONENT: Final = re.compile(rf" *+({_STRING})(?=[ )])")
_LABEL: Final = re.compile(rf"({_KEY})=")
_CODE: Final = re.compile(r":([A-Za-z0-9+/]*+={0,2}):")
_MEMBER_END: Final = re.compile(r"[ \t]*+(?:,[ \t]*+(?=[^ \t])|\Z)")

#: Only whoever has the secret can get one remembered, so this is never reached but by a broken client of our own.
_MAX_NONCES: Final = 10_000
_DEFAULT_PORTS: Final = {"https": 443, "wss": 443, "http": 80, "ws": 80}


@dataclass(frozen=True, slots=True)
class Request:
    """The part of a request that can be signed. `url` is the public address, as the signer knows it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a signature must have.

    Attributes:
        components: parts of the request that it must cover.
        max_age_s: how old it may be, with `skew_s` of difference between two clocks on top, either way.
    """

    components: frozenset[str]
    max_age_s: float = 10.0
    skew_s: float = 3.0
    min_nonce_chars: int = 22


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature, as it was read: not believed yet."""

    components: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    code: bytes = b""


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that is right, and after `until_s` (unix seconds) too old to be. Give it to `Nonces.use`."""

    nonce: str
    until_s: float


class Nonces:
    """The nonces that were used, of one process."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    def use(self, verified: Verified, now_s: float) -> None:
        """Take the nonce of a signature; raises Refused when it was used before."""
        for old in [nonce for nonce, until_s in self._until_s.items() if until_s < now_s]:
            del self._until_s[old]
        if verified.nonce in self._until_s:
            raise _refused("its nonce was used before")
        if len(self._until_s) >= _MAX_NONCES:
            raise Refused("signature", "more requests in a few seconds than can be remembered", status=503)
        self._until_s[verified.nonce] = verified.until_s


def sign(
    request: Request, key: bytes, components: Sequence[str], parameters: Mapping[str, Parameter]
) -> dict[str, str]:
    """The two header fields that sign `request`.

    Args:
        key: the shared secret.
        components: what to cover: names of headers, or derived parts such as ``@authority``.
        parameters: ``keyid``, ``created`` and so on, in this order.
    """
    signature = Signature(tuple(components), parameters)
    code = b64encode(_code(key, _base(request, signature))).decode("ascii")
    return {"Signature-Input": f"sig1={_params(signature)}", "Signature": f"sig1=:{code}:"}


def verify(request: Request, key_id: str, keys: Iterable[bytes], rules: Rules, now_s: float) -> Verified:
    """Make sure that whoever holds one of `keys` signed `request`, a moment ago.

    Args:
        key_id: what the signature must call its key.
        keys: candidates; none of them may be empty.
        now_s: unix seconds.

    Raises:
        Refused: always for the reason ``signature``.
    """
    signature = _ours(_read(request.headers), key_id)
    if missing := rules.components - set(signature.components):
        raise _refused(f"it does not cover {', '.join(sorted(missing))}")
    if signature.parameters.get("alg", ALGORITHM) != ALGORITHM:
        raise _refused("signed with an algorithm that is not known here")
    verified = _fresh(signature, rules, now_s)
    base = _base(request, signature)
    if not any(hmac.compare_digest(_code(key, base), signature.code) for key in keys if key):
        raise _refused("it does not match; is server.public_url the address that the carrier calls?")
    return verified


def _ours(signatures: Mapping[str, Signature], key_id: str) -> Signature:
    expected = key_id.encode()
    for signature in signatures.values():
        if hmac.compare_digest(str(signature.parameters.get("keyid", "")).encode(), expected):
            return signature
    raise _refused("signed with another key" if signatures else "it is not signed")


def _fresh(signature: Signature, rules: Rules, now_s: float) -> Verified:
    created, expires = signature.parameters.get("created"), signature.parameters.get("expires", 2**53)
    nonce = signature.parameters.get("nonce")
    if not isinstance(created, int) or not isinstance(expires, int):
        raise _refused("it does not say when it was created or when it expires")
    if not isinstance(nonce, str) or len(nonce) < rules.min_nonce_chars:
        raise _refused("its nonce is missing or too short")
    if created - rules.skew_s > now_s:
        raise _refused("it was created in the future; is this machine's clock right?")
    until_s = min(created + rules.max_age_s, expires) + rules.skew_s
    if until_s < now_s:
        raise _refused("it has expired; is this machine's clock right?")
    return Verified(nonce, until_s)


def keys_of(secret: Secret) -> list[bytes]:
    """The keys that a secret may stand for: what it says as base64, and itself. Not everybody decodes it."""
    text = secret.reveal()
    try:
        decoded = b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    return [key for key in (decoded, text.encode()) if key]


# -- what is signed --------------------------------------------------------------------------------------------------


def _code(key: bytes, base: bytes) -> bytes:
    return hmac.digest(key, base, "sha256")


def _base(request: Request, signature: Signature) -> bytes:
    lines = [f"{_quoted(name)}: {_value(request, name)}" for name in signature.components]
    lines.append(f'"@signature-params": {_params(signature)}')
    # Lone surrogates are how a server hands on bytes that are not UTF-8: they must not match, and not raise.
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _value(request: Request, name: str) -> str:
    if name.startswith("@"):
        return _derived(request, name)
    values = header_values(request.headers, name)
    if not values:
        raise _refused(f"it covers {name[:40]}, which is missing")
    return ", ".join(value.strip() for value in values)


def _derived(request: Request, name: str) -> str:
    parts = urlsplit(request.url)
    path = parts.path or "/"
    if name == "@request-target":
        return f"{path}?{parts.query}" if parts.query else path
    if name == "@authority":
        host = parts.netloc.rpartition("@")[2].lower()
        return host.removesuffix(f":{_DEFAULT_PORTS.get(parts.scheme, '')}")
    if name == "@path":
        return path
    if name == "@method":
        return request.method
    raise _refused(f"it covers {name[:40]}, which is not known here")


def _params(signature: Signature) -> str:
    components = " ".join(map(_quoted, signature.components))
    written = [
        f";{name}={_quoted(value) if isinstance(value, str) else value}"
        for name, value in signature.parameters.items()
    ]
    return f"({components}){''.join(written)}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# -- reading ---------------------------------------------------------------------------------------------------------


def _read(headers: Mapping[str, str]) -> dict[str, Signature]:
    """Every signature of a request, by label. Raises Refused when the fields cannot be read or do not agree."""
    inputs = _inputs(",".join(header_values(headers, "Signature-Input")).strip())
    codes = _codes(",".join(header_values(headers, "Signature")).strip())
    if inputs.keys() != codes.keys():
        raise _refused("Signature-Input and Signature do not name the same signatures")
    return {label: Signature(s.components, s.parameters, codes[label]) for label, s in inputs.items()}


def _inputs(text: str) -> dict[str, Signature]:
    found: dict[str, Signature] = {}
    at = 0
    while at < len(text):
        label, at = _label(text, at, found)
        components, at = _components(text, at)
        parameters, at = _parameters(text, at)
        found[label] = Signature(components, parameters)
        at = _member_end(text, at)
    return found


def _codes(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = 0
    while at < len(text):
        label, at = _label(text, at, found)
        match = _CODE.match(text, at)
        if match is None or len(match[1]) % 4:
            raise _refused("Signature is not base64 between colons")
        found[label] = b64decode(match[1])
        at = _member_end(text, match.end())
    return found


def _label(text: str, at: int, found: Mapping[str, object]) -> tuple[str, int]:
    match = _LABEL.match(text, at)
    if match is None or match[1] in found:
        raise _refused("a signature's label cannot be read, or is there twice")
    return match[1], match.end()


def _components(text: str, at: int) -> tuple[tuple[str, ...], int]:
    if not text.startswith("(", at):
        raise _refused("Signature-Input does not list what is covered")
    names: list[str] = []
    at += 1
    while match := _COMPONENT.match(text, at):
        names.append(_unquoted(match[1]))
        at = match.end()
    while text.startswith(" ", at):
        at += 1
    if not text.startswith(")", at) or len(set(names)) < len(names) or names != [n.lower() for n in names]:
        raise _refused("Signature-Input lists something twice, or that cannot be read")
    return tuple(names), at + 1


def _parameters(text: str, at: int) -> tuple[dict[str, Parameter], int]:
    found: dict[str, Parameter] = {}
    while match := _PARAMETER.match(text, at):
        if match[1] in found:
            raise _refused("Signature-Input has a parameter twice")
        found[match[1]] = _unquoted(match[2]) if match[2] is not None else int(match[3])
        at = match.end()
    return found, at


def _member_end(text: str, at: int) -> int:
    match = _MEMBER_END.match(text, at)
    if match is None:
        raise _refused("Signature-Input or Signature cannot be read to its end")
    return match.end()


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _refused(detail: str) -> Refused:
    return Refused("signature", detail)
