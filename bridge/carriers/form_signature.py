"""The signature over a URL and its form that Twilio and its lookalikes put on their requests.

Strategy:

- What is signed is the URL followed by name and value of each form field, sorted, a repeated pair once; the
  code is HMAC, in base64. `twilio.request_validator` is the oracle for it, in the tests.
- The URL is sometimes signed with its default port and sometimes without: `spellings` lists what to try.
- Comparison is constant-time, and nothing from the wire can make it raise.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from bridge.errors import Refused
from bridge.secret import Secret

#: The algorithms' names as carriers write them, and as Python does.
ALGORITHMS: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS: Final = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def sign(secret: str, url: str, form: Mapping[str, str] | None = None, algorithm: str = "HMAC_SHA1") -> str:
    """The signature that belongs to a request: base64 of the HMAC.

    Args:
        secret: the account's auth token, or a shared key.
        url: the whole URL as the carrier knows it, query included.
        form: the fields of a POST body; nothing for a GET or an upgrade.
        algorithm: ``HMAC_SHA1`` or ``HMAC_SHA256``.

    Raises:
        ValueError: the algorithm is another one.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"unknown signature algorithm {algorithm!r}")
    fields = sorted(set(form.items())) if form else []
    message = url + "".join(name + value for name, value in fields)
    # Lone surrogates are how a server hands on bytes that are not UTF-8: they must not match, and not raise.
    data = message.encode("utf-8", "surrogatepass")
    return b64encode(hmac.digest(secret.encode("utf-8"), data, ALGORITHMS[algorithm])).decode("ascii")


def require_signature(
    secret: Secret, given: Sequence[str], urls: Iterable[str], form: Mapping[str, str], algorithm: str
) -> None:
    """Refuse a request unless its signature belongs to one of `urls` and `form`.

    Args:
        secret: empty refuses everything.
        given: the values of the signature's header; there must be exactly one.
        urls: the `spellings` of the public address.
        form: as for `sign`.
        algorithm: what the request says it was signed with.

    Raises:
        Refused: always for the reason ``signature``.
    """
    if not secret:
        raise Refused("signature", "no secret is configured to check it with")
    if len(given) != 1:
        raise Refused("signature", f"{len(given)} signatures instead of one")
    if algorithm not in ALGORITHMS:
        raise Refused("signature", "signed with an algorithm that is not known here")
    if not any(_same(sign(secret.reveal(), url, form, algorithm), given[0]) for url in urls):
        raise Refused(
            "signature", "it does not match; is server.public_url the address that the carrier calls?"
        )


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode("ascii"), theirs.encode("utf-8", "surrogatepass"))


def spellings(url: str, *, any_slash: bool = False) -> list[str]:
    """The ways in which a carrier may have written `url` when it signed it.

    Args:
        url: an absolute URL.
        any_slash: also with one slash more, or less, at the end of the path.
    """
    parts = urlsplit(url)
    variants = [parts, _with_port(parts), _without_port(parts)]
    if any_slash:
        variants += [variant._replace(path=_other_slash(variant.path)) for variant in variants]
    return list(dict.fromkeys([url, *(variant.geturl() for variant in variants)]))


def _other_slash(path: str) -> str:
    return path[:-1] if path.endswith("/") else path + "/"


def _with_port(parts: SplitResult) -> SplitResult:
    if parts.port or parts.scheme not in _DEFAULT_PORTS:
        return parts
    return parts._replace(netloc=f"{parts.netloc.removesuffix(':')}:{_DEFAULT_PORTS[parts.scheme]}")


def _without_port(parts: SplitResult) -> SplitResult:
    return parts._replace(netloc=parts.netloc.removesuffix(f":{parts.port}")) if parts.port else parts
