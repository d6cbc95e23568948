"""SignalWire's own validator, unchanged, as an oracle of our signatures: theirs believed by us, ours by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
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

KEY = "PSK_signing-key"
VENDOR = RequestValidator(KEY)
CARRIER = SignalWire(SignalWireConfig(signing_key=Secret(KEY)))

PORTS = [
    "https://bridge.example/carriers/signalwire/answer",
    "https://bridge.example:443/carriers/signalwire/answer",
    "https://bridge.example:8443/carriers/signalwire/answer",
]
URLS = [
    *PORTS,
    "https://bridge.example/carriers/signalwire/status?a=1&b=%20",
    "http://127.0.0.1:8080/carriers/signalwire/status",
]

urls = st.sampled_from(URLS)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
#: Without repeated names: this version of their library leaves those out, which their documentation does not.
forms = st.dictionaries(text, text, max_size=6)


def believed(url: str, signature: str, form: dict[str, str] | None = None, body: str = "") -> bool:
    asked = Webhook(url=url, form=form or {}, body=body.encode(), headers={SIGNATURE_HEADER: signature})
    try:
        CARRIER.verify_webhook(asked)
    except Refused:
        return False
    return True


@given(url=urls, form=forms, changed=forms)
def test_forms(url: str, form: dict[str, str], changed: dict[str, str]) -> None:
    theirs = VENDOR.build_signature_with_compatibility(url, form)
    assert believed(url, theirs, form)
    assert VENDOR.validate(url, MultiDict(form), sign_form(KEY, url, form.items()))
    assert believed(url, theirs, changed) == VENDOR.validate(url, MultiDict(changed), theirs)


@given(url=urls, body=text.filter(bool), more=text.filter(bool))
def test_bodies(url: str, body: str, more: str) -> None:
    theirs = VENDOR.build_signature(url, body)
    assert theirs == sign_body(KEY, url, body.encode())
    assert believed(url, theirs, body=body)
    assert not believed(url, theirs, body=body + more)


@pytest.mark.parametrize("configured", PORTS)
@pytest.mark.parametrize("signed", PORTS)
def test_a_port_makes_no_difference_to_us_where_it_makes_none_to_them(configured: str, signed: str) -> None:
    for_a_body = VENDOR.build_signature(signed, "{}")
    assert believed(configured, for_a_body, body="{}") == VENDOR.validate(configured, "{}", for_a_body)
    for_a_form = VENDOR.build_signature_with_compatibility(signed, {"a": "1"})
    ours = believed(configured, for_a_form, {"a": "1"})
    assert ours == VENDOR.validate(configured, MultiDict(a="1"), for_a_form)
