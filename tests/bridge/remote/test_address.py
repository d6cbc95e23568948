"""Where agents are."""

from __future__ import annotations

import pytest

from bridge.remote.address import Address, fault_of
from bridge.secret import Secret

#: URL, signed, insecure: part of the fault.
CASES = [
    ("wss://agent.example/", True, False, ""),
    ("https://agent.example:8443/a/b?c=d", True, False, ""),
    ("ws://127.0.0.1:8080", False, False, ""),
    ("http://[::1]/", False, False, ""),
    ("http://localhost/", False, False, ""),
    ("http://10.0.0.7/", True, True, ""),
    ("http://10.0.0.7/", True, False, "https://"),
    ("ws://localhost.example/", True, False, "wss://"),
    ("wss://agent.example/", False, False, "secret"),
    ("wss://agent.example/", False, True, ""),
    ("agent.example", True, False, "wss://"),
    ("file:///etc/passwd", True, True, "wss://"),
    ("https://", True, False, "wss://"),
    ("https://me:pw@agent.example/", True, False, "no user"),
    ("https://agent.example/#x", True, False, "fragment"),
    ("https://agent.example/ä", True, False, "ASCII"),
    ("https://agent.example/a b", True, False, "ASCII"),
    ("https://agent.example:99999/", True, False, "no address"),
    ("https://[::1/", True, False, "no address"),
]


@pytest.mark.parametrize("url, signed, insecure, fault", CASES)
def test_what_is_wrong_with_an_address(url: str, signed: bool, insecure: bool, fault: str) -> None:
    found = fault_of(url, signed=signed, insecure=insecure)
    assert (fault in found) if fault else (found == "")


@pytest.mark.parametrize(
    "url, path",
    [("wss://a.example", "/"), ("wss://a.example/b/c?d=e%20f", "/b/c?d=e%20f"), ("wss://a.example?x", "/?x")],
)
def test_what_is_signed_is_the_path_as_it_is_requested(url: str, path: str) -> None:
    assert Address(url, Secret(), lambda: 0.0).path == path


def test_a_call_whose_id_fits_no_header_is_not_named_in_one() -> None:
    address = Address("wss://a.example", Secret("s"), lambda: 12.5)
    assert address.headers("CA1", b"/")["X-Bridge-Call"] == "CA1"
    assert "X-Bridge-Call" not in address.headers("a\r\nb: c", b"/")
    assert address.headers("CA1", b"/")["X-Bridge-Signature"].startswith("t=12,v1=")
    assert "X-Bridge-Signature" not in Address("wss://a.example", Secret(), lambda: 0.0).headers("CA1", b"/")
    assert "a.example" not in repr(address)
