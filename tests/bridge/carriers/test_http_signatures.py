"""HTTP Message Signatures: the published examples, and everything that must not pass."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.http_signatures import Nonces, Request, Rules, Verified, keys_of, sign, verify
from bridge.errors import Refused
from bridge.secret import Secret
from tests.bridge.carriers.cases.genesys import API_KEY, CLIENT_SECRET, HEADERS, KEY, PARAMETERS
from tests.support.carrier_cases import NOW_S

URL = "wss://bridge.example/carriers/genesys/media?line=1"
COVERED = ("@request-target", "@authority", "x-api-key")
RULES = Rules(frozenset(COVERED))
REQUEST = Request(URL, HEADERS)


def signed(
    request: Request = REQUEST, key: bytes = KEY, covered: tuple[str, ...] = COVERED, **parameters: Any
) -> Request:
    said = {name: value for name, value in {**PARAMETERS, **parameters}.items() if value is not None}
    return replace(request, headers={**request.headers, **sign(request, key, covered, said)})


def judge(request: Request, now_s: float = NOW_S, rules: Rules = RULES) -> Verified:
    return verify(request, API_KEY, [KEY], rules, now_s)


# -- published examples --------------------------------------------------------------------------------


def test_the_example_of_the_rfc() -> None:
    """RFC 9421, appendix B.2.5: key, request and signature as printed there."""
    key = b64decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    )
    request = Request(
        "https://example.com/foo?param=Value&Pet=dog",
        {"Date": "Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type": "application/json"},
        "POST",
    )
    made = sign(
        request,
        key,
        ("date", "@authority", "content-type"),
        {"created": 1618884473, "keyid": "test-shared-secret"},
    )
    assert made["Signature"] == "sig1=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"
    assert made["Signature-Input"] == (
        'sig1=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    )


def test_the_example_of_audiohook() -> None:
    covered = "audiohook-organization-id", "audiohook-session-id", "audiohook-correlation-id", "x-api-key"
    request = Request(
        "wss://audiohook.example.com/api/v1/voicebiometrics/ws",
        {
            **HEADERS,
            "Signature": "sig1=:NZBwyBHRRyRoeLqy1IzOa9VYBuI8TgMFt2GRDkDuJh4=:",
            "Signature-Input": 'sig1=("@request-target" "@authority" "audiohook-organization-id"'
            ' "audiohook-session-id" "audiohook-correlation-id" "x-api-key");keyid="SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh"'
            ';nonce="VGhpc0lzQVVuaXF1ZU5vbmNl";alg="hmac-sha256";created=1641013200;expires=3282026430',
        },
    )
    rules = Rules(frozenset({"@request-target", "@authority", *covered}))
    found = verify(request, API_KEY, keys_of(Secret(CLIENT_SECRET)), rules, 1641013201)
    assert found == Verified("VGhpc0lzQVVuaXF1ZU5vbmNl", 1641013213)


# -- what passes ---------------------------------------------------------------------------------------

PASS: dict[str, Request] = {
    "as it is": signed(),
    "parts in another order": signed(covered=("x-api-key", "@authority", "@request-target")),
    "more parts than needed": signed(covered=(*COVERED, "audiohook-session-id", "@method", "@path")),
    "without expires": signed(expires=None),
    "without alg": signed(alg=None),
    "no path": signed(Request("wss://bridge.example", HEADERS)),
    "default port": replace(signed(), url=URL.replace("bridge.example", "BRIDGE.example:443")),
    "a parameter that means nothing to us": signed(tag='a "quoted\\ tag'),
}


@pytest.mark.parametrize("request_", PASS.values(), ids=PASS.keys())
def test_what_is_signed_well_passes(request_: Request) -> None:
    assert judge(request_).nonce == PARAMETERS["nonce"]


def test_fields_may_be_written_with_spaces_and_in_any_order() -> None:
    headers = signed().headers
    spread = headers["Signature-Input"].replace('" "', '"   "').replace(";", ";  ")
    swapped = {"signature": headers["Signature"], "SIGNATURE-INPUT": f"  {spread} ", **HEADERS}
    assert judge(Request(URL, swapped))


def test_ours_is_found_among_others() -> None:
    headers = signed().headers
    both = {
        **HEADERS,
        "Signature-Input": 'proxy=("@method");keyid="p";created=1, ' + headers["Signature-Input"],
        "Signature": "proxy=:AAAA:, " + headers["Signature"],
    }
    assert judge(Request(URL, both))


@pytest.mark.parametrize("age_s", [-3, 0, 10, 13])
def test_clocks_may_differ_a_little(age_s: float) -> None:
    assert judge(signed(expires=None), NOW_S + age_s)


# -- what does not -------------------------------------------------------------------------------------

GOOD = signed().headers


def with_field(name: str, old: str, new: str) -> Request:
    assert old in GOOD[name]
    return Request(URL, {**GOOD, name: GOOD[name].replace(old, new)})


FAIL: dict[str, tuple[Request, str]] = {
    "unsigned": (REQUEST, "not signed"),
    "another key": (signed(key=b"another"), "does not match"),
    "the key as text": (signed(key=CLIENT_SECRET.encode()), "does not match"),
    "another path": (replace(signed(), url=URL.replace("media", "answer")), "does not match"),
    "another query": (replace(signed(), url=URL + "2"), "does not match"),
    "another host": (
        replace(signed(), url=URL.replace("bridge.example", "elsewhere.example")),
        "does not match",
    ),
    "another value": (Request(URL, {**GOOD, "X-API-KEY": "x"}), "does not match"),
    "a value that is not UTF-8": (Request(URL, {**GOOD, "X-API-KEY": "\udcff"}), "does not match"),
    "a header that is gone": (
        Request(URL, {k: v for k, v in GOOD.items() if k != "X-API-KEY"}),
        "x-api-key, which is missing",
    ),
    "the target is not covered": (
        signed(covered=("@authority", "x-api-key")),
        "does not cover @request-target",
    ),
    "nothing is covered": (signed(covered=()), "does not cover"),
    "another algorithm": (signed(alg="rsa-pss-sha512"), "algorithm"),
    "another key's name": (signed(keyid="else"), "another key"),
    "no key's name": (signed(keyid=None), "another key"),
    "no created": (signed(created=None), "created"),
    "created as text": (signed(created="now"), "created"),
    "expires as text": (signed(expires="never"), "expires"),
    "no nonce": (signed(nonce=None), "nonce"),
    "a short nonce": (signed(nonce="x" * 21), "nonce"),
    "a nonce that is a number": (signed(nonce=10**14), "nonce"),
    "expired": (signed(expires=int(NOW_S) - 4), "expired"),
    "too old": (signed(created=int(NOW_S) - 14, expires=int(NOW_S) + 60), "expired"),
    "created long ago": (signed(created=-(10**14)), "expired"),
    "not yet created": (signed(created=int(NOW_S) + 4), "future"),
    "no code": (Request(URL, {k: v for k, v in GOOD.items() if k != "Signature"}), "do not name the same"),
    "no input": (
        Request(URL, {k: v for k, v in GOOD.items() if k != "Signature-Input"}),
        "do not name the same",
    ),
    "labels differ": (with_field("Signature", "sig1", "sig2"), "do not name the same"),
    "a label twice": (
        Request(URL, {**GOOD, "Signature": f"{GOOD['Signature']}, {GOOD['Signature']}"}),
        "there twice",
    ),
    "an empty code": (Request(URL, {**GOOD, "Signature": "sig1=::"}), "does not match"),
    "a code cut off": (with_field("Signature", "=:", "="), "base64"),
    "a code that is no base64": (with_field("Signature", "sig1=:", "sig1=:*"), "base64"),
    "a part twice": (with_field("Signature-Input", '"@authority"', '"@authority" "@authority"'), "twice"),
    "a part in capitals": (with_field("Signature-Input", "x-api-key", "X-Api-Key"), "twice, or that cannot"),
    "parts run together": (with_field("Signature-Input", '" "', '""'), "cannot be read"),
    "a parameter twice": (with_field("Signature-Input", ";alg", ";alg=1;alg"), "twice"),
    "a part with a parameter": (
        with_field("Signature-Input", '"x-api-key"', '"x-api-key";sf'),
        "cannot be read",
    ),
    "a part that is made up": (
        with_field("Signature-Input", '"@authority"', '"@authority" "@status"'),
        "@status, which is not known",
    ),
    "junk at the end": (
        Request(URL, {**GOOD, "Signature-Input": GOOD["Signature-Input"] + " x"}),
        "to its end",
    ),
    "a comma at the end": (Request(URL, {**GOOD, "Signature": GOOD["Signature"] + ","}), "to its end"),
}


@pytest.mark.parametrize("request_, why", FAIL.values(), ids=FAIL.keys())
def test_what_is_not_is_refused(request_: Request, why: str) -> None:
    with pytest.raises(Refused) as caught:
        judge(request_)
    assert caught.value.reason == "signature"
    assert why in caught.value.detail


def test_no_key_and_an_empty_key_open_nothing() -> None:
    for keys in ([], [b""]):
        with pytest.raises(Refused):
            verify(signed(key=b""), API_KEY, keys, RULES, NOW_S)
    assert keys_of(Secret()) == []


@pytest.mark.parametrize(
    "secret, keys",
    [("TXk=", [b"My", b"TXk="]), ("not base64!", [b"not base64!"]), ("caf\u00e9", ["caf\u00e9".encode()])],
)
def test_a_secret_may_be_base64_or_itself(secret: str, keys: list[bytes]) -> None:
    assert keys_of(Secret(secret)) == keys


def test_a_nonce_is_good_once_and_forgotten_when_it_is_too_old_to_matter() -> None:
    nonces, verified = Nonces(), judge(signed())
    nonces.use(verified, NOW_S)
    with pytest.raises(Refused, match="nonce was used"):
        nonces.use(verified, NOW_S)
    nonces.use(Verified("another", verified.until_s), NOW_S)
    nonces.use(verified, verified.until_s + 1)


def test_more_nonces_than_can_be_remembered_are_refused_not_forgotten() -> None:
    nonces = Nonces()
    for number in range(10_000):
        nonces.use(Verified(str(number), NOW_S), NOW_S)
    with pytest.raises(Refused) as caught:
        nonces.use(Verified("one more", NOW_S), NOW_S)
    assert caught.value.status == 503


FIELD = st.text("sig1=();\"@auth-,: \\a'0\t\x00\udcff", max_size=60) | st.text(max_size=60)


@given(FIELD, FIELD)
def test_nothing_in_the_fields_makes_it_raise_anything_else(said: str, code: str) -> None:
    for headers in ({"Signature-Input": said, "Signature": code}, {**GOOD, "Signature-Input": said}):
        with pytest.raises(Refused):
            judge(Request(URL, {**HEADERS, **headers}))


@given(st.data())
def test_any_patch_of_the_fields_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["Signature-Input", "Signature"]))
    at = data.draw(st.integers(0, len(GOOD[name])))
    patched = GOOD[name][:at] + data.draw(FIELD) + GOOD[name][at + data.draw(st.integers(0, 5)) :]
    try:
        found = judge(Request(URL, {**GOOD, name: patched}))
    except Refused:
        return
    assert found == judge(signed())


@pytest.mark.parametrize(
    "field", ["(" + " " * 8000, '("' + "\\" * 8000, 'sig1=("a"' + ' "a"' * 2000, "sig1=:" + "A" * 8000]
)
def test_long_fields_are_told_at_once(field: str) -> None:
    """Were one of the patterns to look back, this would take minutes."""
    with pytest.raises(Refused):
        judge(Request(URL, {**HEADERS, "Signature-Input": "sig1=" + field, "Signature": field}))


@given(
    nonce=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=22),
    extra=st.dictionaries(
        st.from_regex(r"x[a-z0-9_.*-]{0,8}", fullmatch=True), st.integers(-(10**14), 10**14)
    ),
)
def test_whatever_is_signed_is_read_back(nonce: str, extra: dict[str, Any]) -> None:
    assert judge(signed(nonce=nonce, **extra)).nonce == nonce
