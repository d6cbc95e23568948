"""Signatures, against the vendor's own validator."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from bridge.carriers.form_signature import ALGORITHMS, require_signature, sign, spellings
from bridge.config import Secret
from bridge.errors import Refused

SECRET = "0123456789abcdef0123456789abcdef"
VENDOR = RequestValidator(SECRET)

URL = "https://bridge.example/carriers/twilio/answer"
FORM = MultiDict({"CallSid": "CA1", "From": "+15550001111", "To": "+15550002222"})

FORMS = {
    "empty": MultiDict[str](),
    "plain": FORM,
    "other order": MultiDict(reversed(list(FORM.items()))),
    "repeated name": MultiDict([("a", "2"), ("a", "1"), ("b", "3")]),
    "repeated pair": MultiDict([("a", "1"), ("a", "1")]),
    "empty value": MultiDict([("a", ""), ("b", "1")]),
    "empty name": MultiDict([("", "x")]),
    "unicode": MultiDict([("Caller", "Zo\u00eb \U0001f600"), ("\u4f60", "\u597d")]),
    "names that run into values": MultiDict([("ab", "c"), ("a", "bc")]),
    "case": MultiDict([("b", "1"), ("A", "2"), ("a", "3")]),
    "plus and ampersand": MultiDict([("a", "1+2&b=3 4%20")]),
}

URLS = [
    URL,
    "https://bridge.example",
    "https://bridge.example/",
    "https://bridge.example:443/answer",
    "https://bridge.example:8443/answer",
    "https://bridge.example/answer?a=1&b=%20",
    "http://127.0.0.1/answer",
    "http://127.0.0.1:8080/answer",
    "https://bridge.example/caf\u00e9",
]

text = st.text(st.characters(exclude_categories=["Cs"]))
forms = st.lists(st.tuples(text, text)).map(MultiDict)


def accepts(
    signature: str, url: str, form: MultiDict[str], algorithm: str = "HMAC_SHA1", *, any_slash: bool = False
) -> bool:
    try:
        require_signature(Secret(SECRET), [signature], spellings(url, any_slash=any_slash), form, algorithm)
    except Refused as refused:
        assert (refused.reason, refused.status) == ("signature", 403)
        return False
    return True


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_we_sign_what_the_vendor_signs(url: str, form: MultiDict[str], algorithm: str) -> None:
    signature = sign(SECRET, url, form, algorithm)
    assert signature == VENDOR.compute_signature(url, form, algorithm)
    assert accepts(signature, url, form, algorithm)
    assert VENDOR.validate(url, form, signature, algorithm)


@settings(deadline=None)
@given(forms, st.sampled_from(URLS))
def test_we_sign_what_the_vendor_signs_whatever_the_form(form: MultiDict[str], url: str) -> None:
    assert sign(SECRET, url, form) == VENDOR.compute_signature(url, form)


@pytest.mark.parametrize("configured", URLS)
@pytest.mark.parametrize("signed", URLS)
def test_we_take_a_url_for_another_exactly_when_the_vendor_does(configured: str, signed: str) -> None:
    signature = VENDOR.compute_signature(signed, FORM)
    assert accepts(signature, configured, FORM) == VENDOR.validate(configured, FORM, signature)


@pytest.mark.parametrize(
    ("configured", "signed"),
    [
        ("wss://h.example/media", "wss://h.example/media"),
        ("wss://h.example/media", "wss://h.example/media/"),
        ("wss://h.example/media/", "wss://h.example/media"),
        ("wss://h.example", "wss://h.example/"),
        ("wss://h.example/media", "wss://h.example:443/media"),
        ("wss://h.example/media", "wss://h.example:443/media/"),
        ("wss://h.example:443/media", "wss://h.example/media"),
        ("wss://h.example:8443/media", "wss://h.example/media"),
        ("ws://127.0.0.1/media", "ws://127.0.0.1:80/media"),
        ("ws://[::1]:8080/media", "ws://[::1]/media"),
        ("wss://[2001:db8::1]/media", "wss://[2001:db8::1]:443/media"),
    ],
)
def test_an_upgrade_may_be_signed_with_or_without_port_and_slash(configured: str, signed: str) -> None:
    assert accepts(sign(SECRET, signed), configured, MultiDict(), any_slash=True)


@pytest.mark.parametrize(
    "signed",
    [
        "https://h.example/media",
        "ws://h.example/media",
        "wss://h.example/medi",
        "wss://h.example/media//",
        "wss://h.example/",
        "wss://h.example:80/media",
        "wss://h.example:8443/media",
        "wss://evil.example/media",
        "wss://h.example/media?token=1",
    ],
)
def test_an_upgrade_signed_for_anything_else_is_refused(signed: str) -> None:
    assert not accepts(sign(SECRET, signed), "wss://h.example/media", MultiDict(), any_slash=True)


def test_a_webhook_may_not_gain_or_lose_a_slash() -> None:
    assert not accepts(sign(SECRET, URL + "/", FORM), URL, FORM)


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    signature = sign(SECRET, URL, FORM)
    for index, character in enumerate(signature):
        for bit in range(7):
            flipped = signature[:index] + chr(ord(character) ^ (1 << bit)) + signature[index + 1 :]
            assert not accepts(flipped, URL, FORM)


def test_every_flipped_bit_of_a_url_is_refused() -> None:
    signature = sign(SECRET, URL, FORM)
    start = len("https://")
    for index in range(start, len(URL)):
        flipped = URL[:index] + chr(ord(URL[index]) ^ 1) + URL[index + 1 :]
        assert not accepts(signature, flipped, FORM), flipped


@pytest.mark.parametrize(
    "form",
    [
        MultiDict[str](),
        MultiDict({**FORM, "CallSid": "CA2"}),
        MultiDict({**FORM, "Extra": ""}),
        MultiDict({**FORM, "Extra": "1"}),
        MultiDict([*FORM.items(), ("From", "+19990001111")]),
        MultiDict({"CallSid": "CA1", "From": "+15550001111"}),
        MultiDict({**FORM, "from": FORM["From"]}),
    ],
)
def test_another_form_is_refused(form: MultiDict[str]) -> None:
    assert not accepts(sign(SECRET, URL, FORM), URL, form)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        " ",
        "=",
        "x" * 100_000,
        "\u00e9",
        "\udce9",
        "\ud800",
        sign("another", URL, FORM),
        sign("", URL, FORM),
    ],
)
def test_what_is_no_signature_of_ours_is_refused(signature: str) -> None:
    assert not accepts(signature, URL, FORM)


def test_bytes_that_are_not_utf8_can_be_signed_over_without_raising() -> None:
    assert not accepts(sign(SECRET, URL, FORM), URL, MultiDict({**FORM, "Caller": "\udce9"}))


@pytest.mark.parametrize("given", [[], ["both", "of these"], [sign(SECRET, URL, FORM)] * 2])
def test_there_must_be_exactly_one_signature(given: list[str]) -> None:
    with pytest.raises(Refused, match="instead of one"):
        require_signature(Secret(SECRET), given, [URL], FORM, "HMAC_SHA1")


def test_without_a_secret_everything_is_refused() -> None:
    with pytest.raises(Refused, match="no secret"):
        require_signature(Secret(), [sign("", URL, FORM)], [URL], FORM, "HMAC_SHA1")


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(Refused, match="algorithm"):
        require_signature(Secret(SECRET), [sign(SECRET, URL, FORM)], [URL], FORM, "HMAC_MD5")
    with pytest.raises(ValueError, match="HMAC_MD5"):
        sign(SECRET, URL, FORM, "HMAC_MD5")


def test_one_algorithm_does_not_pass_for_the_other() -> None:
    assert not accepts(sign(SECRET, URL, FORM, "HMAC_SHA256"), URL, FORM, "HMAC_SHA1")
    assert not accepts(sign(SECRET, URL, FORM, "HMAC_SHA1"), URL, FORM, "HMAC_SHA256")


def test_a_refusal_does_not_tell_the_secret() -> None:
    with pytest.raises(Refused) as caught:
        require_signature(Secret(SECRET), ["wrong"], [URL], FORM, "HMAC_SHA1")
    assert SECRET not in str(caught.value)
