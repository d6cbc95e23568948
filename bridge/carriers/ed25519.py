"""Ed25519 over the time and the body of a webhook: nobody but the carrier could have made it, not even we.

Strategy:

- What is signed is the time as it was sent, a bar, and the bytes of the body. `telnyx.lib.webhook_verification` is the
  oracle for it, in the tests.
- A signature is good for a while, into the past and into the future; then it is a replay, or a clock is wrong.
- Nothing from the wire can raise anything but `Refused`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping

from bridge.carriers.carrier import Webhook, header_values
from bridge.errors import Refused
from bridge.secret import Secret


def require_signed(
    public_key: Secret,
    webhook: Webhook,
    *,
    signature_header: str,
    timestamp_header: str,
    tolerance_s: float,
    setting: str,
) -> None:
    """Refuse a webhook unless its body was signed just now.

    Args:
        public_key: base64 of 32 bytes; empty refuses everything.
        webhook: with the time that it came.
        signature_header: where base64 of the 64 bytes is.
        timestamp_header: where the unix seconds of the signing are.
        tolerance_s: how far they may be from `webhook.now_s`.
        setting: where the key comes from, for whoever reads the refusal.

    Raises:
        Refused: always for the reason ``signature``.
    """
    if not public_key:
        raise Refused("signature", "no public key is configured to check it with")
    signature = _only(webhook.headers, signature_header)
    signed_at = _only(webhook.headers, timestamp_header)
    if not re.fullmatch("[0-9]{1,12}", signed_at):
        raise Refused("signature", f"{timestamp_header} is no time")
    if abs(webhook.now_s - int(signed_at)) > tolerance_s:
        raise Refused(
            "signature", f"signed more than {tolerance_s:g} s from now; is this machine's clock right?"
        )
    _verify(public_key, signature, b"%b|%b" % (signed_at.encode("ascii"), webhook.body), setting)


def _only(headers: Mapping[str, str], name: str) -> str:
    values = header_values(headers, name)
    if len(values) != 1:
        raise Refused("signature", f"{len(values)} headers {name} instead of one")
    return values[0]


def _verify(public_key: Secret, signature: str, message: bytes, setting: str) -> None:
    # Here, because it takes a tenth of a second that only a carrier with such signatures is worth.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(b64decode(public_key.reveal(), validate=True))
    except ValueError:
        raise Refused("signature", f"{setting} is not base64 of 32 bytes") from None
    try:
        key.verify(b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError):
        raise Refused("signature", f"it does not match; is {setting} the one of this account?") from None
