"""Vonage's JWTs: those that prove its webhooks, and those that its REST API wants of us.

Strategy:

- A webhook's JWT is read by PyJWT with one algorithm, HS256; ``none`` and the rest are refused. Its times are judged
  here, against the time that came with the request: PyJWT would look at its own clock.
- What is signed is a digest of the content, so a JWT that is played again can only bring the same message again, and
  that only within `TOKEN_WINDOW_S`.
- PyJWT is loaded by `preload`, when the carrier is made: it takes as long as ten frames of a call that is on.

Facts, from developer.vonage.com: getting-started/concepts/webhooks (signed), concepts/guides/authentication.
"""

from __future__ import annotations

import hmac
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bridge.errors import CarrierError, Refused
from bridge.secret import Secret

ISSUER: Final = "Vonage"
#: How far the time in a webhook's JWT may be from ours.
TOKEN_WINDOW_S: Final = 300.0
#: How long a JWT of ours holds: long enough for one request.
OUR_TOKEN_S: Final = 60


def preload() -> bool:
    """Load PyJWT, with what it loads itself. Returns whether it is installed."""
    try:
        import jwt  # noqa: F401
    except ImportError:
        return False
    return True


# -- of webhooks -------------------------------------------------------------------------------------------------------


def webhook_header(secret: Secret, content: bytes, now_s: float, **claims: str) -> dict[str, str]:
    """The header by which Vonage proves who is asking. `claims` are those besides the required ones."""
    import jwt

    digest = sha256(content).hexdigest()
    required = {
        "iat": int(now_s),
        "jti": _unique(now_s, digest.encode()),
        "iss": ISSUER,
        "payload_hash": digest,
    }
    with _of_any_length():
        token = jwt.encode({**required, **claims}, secret.reveal(), algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


def require_signed(
    secret: Secret, given: Sequence[str], content: bytes, now_s: float, wanted: Mapping[str, str]
) -> None:
    """Refuse a webhook unless its JWT was signed with `secret`, just now, for `content`.

    Args:
        secret: empty refuses everything.
        given: the values of the Authorization header; there must be exactly one.
        content: what is signed: the body, or what stands for the query of a GET.
        wanted: further claims that must be there with these values.

    Raises:
        Refused: always for the reason ``signature``.
    """
    claims = _claims(secret, given)
    _require_recent(claims, now_s)
    if not _same(str(claims["payload_hash"]).lower(), sha256(content).hexdigest()):
        raise Refused("signature", "the JWT is of another message")
    for name, value in wanted.items():
        if not _same(str(claims.get(name)), value):
            raise Refused("signature", f"the JWT is not of carriers.vonage.{name}")


def _claims(secret: Secret, given: Sequence[str]) -> Mapping[str, Any]:
    """What the JWT says, once its signature and issuer are right; its times are not judged."""
    if not secret:
        raise Refused("signature", "no secret is configured to check it with")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.isascii():
        raise Refused("signature", "no JWT came with it; are signed webhooks on in the application?")
    import jwt

    by_hand = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    # Whom it is for, the secret says, and what is signed.
    options: Any = {**by_hand, "verify_aud": False, "require": ["iat", "jti", "payload_hash"]}
    try:
        with _of_any_length():
            claims: Mapping[str, Any] = jwt.decode(
                token.strip(), secret.reveal(), algorithms=["HS256"], issuer=ISSUER, options=options
            )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Refused("signature", "the JWT is not one that carriers.vonage.signature_secret signs") from None
    return claims


@contextmanager
def _of_any_length() -> Iterator[None]:
    """PyJWT warns of secrets under 32 bytes: Vonage makes them, some of 16, and nobody here can mend that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _require_recent(claims: Mapping[str, Any], now_s: float) -> None:
    issued, expires = claims["iat"], claims.get("exp", now_s)
    if not (_is_time(issued) and _is_time(expires)):
        raise Refused("signature", "the JWT has no readable time")
    if abs(now_s - issued) > TOKEN_WINDOW_S or now_s - expires > TOKEN_WINDOW_S:
        raise Refused("signature", "the JWT is not of this time; is the clock here right?")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode("utf-8", "surrogatepass"), theirs.encode("utf-8", "surrogatepass"))


# -- of ours -----------------------------------------------------------------------------------------------------------


def application_header(
    application_id: str, private_key: Secret, request: bytes, now_s: float
) -> dict[str, str]:
    """The header by which we prove to the REST API who is asking.

    Args:
        application_id: whose key it is.
        private_key: RSA, as PEM or the path of a file with it.
        request: what is asked for; it makes the JWT unlike that of any other request.
        now_s: unix seconds.

    Raises:
        CarrierError: the key cannot be read, or there is nothing to sign with.
    """
    if not preload():
        raise CarrierError("PyJWT is not installed: install the extra `vonage`", carrier="vonage")
    import jwt

    claims = {
        "application_id": application_id,
        "iat": int(now_s),
        "exp": int(now_s) + OUR_TOKEN_S,
        "jti": _unique(now_s, request),
    }
    try:
        token = jwt.encode(claims, pem_of(private_key), algorithm="RS256")
    except (
        OSError,
        ValueError,
        TypeError,
        jwt.PyJWTError,
    ):  # its words may hold what stands in the key's place
        raise CarrierError(
            "carriers.vonage.private_key is neither an RSA key (PEM) nor a file with one", carrier="vonage"
        ) from None
    return {"Authorization": f"Bearer {token}"}


def _unique(now_s: float, content: bytes) -> str:
    # No source of chance is needed: no two requests of one content are made at one time.
    return sha256(repr(now_s).encode() + b" " + content).hexdigest()[:32]


def pem_of(key: Secret) -> str:
    """A private key's PEM, whether it was configured itself, or as the path of a file.

    Raises:
        OSError, ValueError: the file cannot be read.
    """
    text = key.reveal()
    # A variable of the environment cannot well hold line ends.
    return text.replace("\\n", "\n") if "-----BEGIN" in text else Path(text).read_text("ascii")
