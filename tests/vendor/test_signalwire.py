"""SignalWire's own validator, unchanged, as an oracle of our signatures: theirs believed by us, ours by them."""

from __future__ import annotations

import pytest
from multidict import MultiDict
from signalwire.request_validator import RequestValidator

from bridge.carriers.carrier import Webhook
from bridge.carriers.signalwire import (
    SIGNATURE_HEADER,
    SignalWire,
    SignalWireConfig,
    sign_body,
    sign_form,
)
from bridge.errors import Refused
from bridge.secret import Secret
from tests.support.vendor import MARKS

pytestmark = MARKS

KEY = "PSK_signing-key"
VENDOR = RequestValidator(KEY)
CARRIER = SignalWire(SignalWireConfig(signing_key=Secret(KEY)))

URLS = [
    "https://bridge.example/carriers/signalwire/answer",
    "https://bridge.example:443/carriers/signalwire/answer",
    "https://bridge.example:8443/carriers/signalwire/answer",
    "https://bridge.example/carriers/signalwire/status?a=1&b=%20",
    "http://127.0.0.1:8080/carriers/signalwire/status",
]
#: Without repeated names: this version of their library leaves those out, which their documentation does not.
FORMS = {
    "plain": {
        "CallSid": "0703574f-b151-465d-aedb-28972eb513c7",
        "From": "+15550001111",
        "To": "+15550002222",
    },
    "unicode": {"Caller": "Zo\u00eb \U0001f600", "\u4f60": "\u597d"},
    "empty value": {"a": "", "b": "1"},
    "case": {"b": "1", "A": "2", "a": "3"},
    "nothing": {},
}
BODIES = ['{"call":{"call_id":"b5d63b2e"}}', "{}", '{"name":"Zo\u00eb"}', "not json"]


def believed(webhook: Webhook) -> bool:
    try:
        CARRIER.verify_webhook(webhook)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_forms(url: str, form: dict[str, str]) -> None:
    theirs = VENDOR.build_signature_with_compatibility(url, form)
    assert theirs == sign_form(KEY, url, form.items())
    assert VENDOR.validate(url, MultiDict(form), sign_form(KEY, url, form.items()))
    assert believed(Webhook(url=url, form=form, headers={SIGNATURE_HEADER: theirs}))
    changed = {**form, "Extra": "1"}
    assert not VENDOR.validate(url, MultiDict(changed), theirs)
    assert not believed(Webhook(url=url, form=changed, headers={SIGNATURE_HEADER: theirs}))


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("body", BODIES)
def test_bodies(url: str, body: str) -> None:
    theirs = VENDOR.build_signature(url, body)
    assert theirs == sign_body(KEY, url, body.encode())
    assert believed(Webhook(url=url, body=body.encode(), headers={SIGNATURE_HEADER: theirs}))
    assert not believed(Webhook(url=url, body=body.encode() + b" ", headers={SIGNATURE_HEADER: theirs}))


@pytest.mark.parametrize("configured", URLS[:3])
@pytest.mark.parametrize("signed", URLS[:3])
def test_a_port_makes_no_difference_to_us_where_it_makes_none_to_them(configured: str, signed: str) -> None:
    signature = VENDOR.build_signature(signed, "{}")
    ours = believed(Webhook(url=configured, body=b"{}", headers={SIGNATURE_HEADER: signature}))
    assert ours == VENDOR.validate(configured, "{}", signature)
