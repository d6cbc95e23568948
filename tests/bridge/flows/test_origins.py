"""Where webhooks may go: URLs in every spelling against the list, and addresses against what is public."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.flows.origins import (
    Rule,
    allowed_host,
    fault_of_address,
    judge,
    problem_of_entry,
    rule_of,
    rules_of,
)

#: Apart from what follows: the project names no host but those that are made up.
HTTP, HTTPS = "http://", "https://"
ALLOWED = [
    "api.example.com",
    "bücher.example",
    "http://crm.example:8080",
    "http://127.0.0.1:9",
    "http://[::1]:9",
]


@pytest.mark.parametrize(
    "entry, rule",
    [
        ("api.example.com", Rule("https", "api.example.com", 443)),
        ("API.Example.COM", Rule("https", "api.example.com", 443)),
        ("bücher.example", Rule("https", "xn--bcher-kva.example", 443)),
        ("https://api.example.com", Rule("https", "api.example.com", 443, anywhere=True)),
        ("http://crm.example:8080/", Rule("http", "crm.example", 8080, anywhere=True)),
        ("http://crm", Rule("http", "crm", 80, anywhere=True)),
        ("http://10.0.0.5:8080", Rule("http", "10.0.0.5", 8080, anywhere=True)),
        ("http://[::1]:9", Rule("http", "::1", 9, anywhere=True)),
        ("http://localhost:9", Rule("http", "localhost", 9, anywhere=True)),
    ],
)
def test_what_an_entry_allows(entry: str, rule: Rule) -> None:
    assert rule_of(entry) == rule
    assert problem_of_entry(entry) == ""


@pytest.mark.parametrize(
    "entry, reason",
    [
        ("", "no host"),
        ("localhost", "is not a public host"),
        ("8.8.8.8", "is not a public host"),
        ("10.0.0.5", "is not a public host"),
        ("2130706433", "is not a public host"),
        ("0x7f.1", "is not a public host"),
        ("*.example.com", "is not a public host"),
        ("api.example.com:8443", "is not a public host"),
        ("api.example.com.", "a dot at the end"),
        ("api.example.com/v1", "has a path"),
        ("https://api.example.com/v1", "has a path"),
        ("https://api.example.com?x", "has a path"),
        ("https://*.example.com", "is neither a name nor an address"),
        (HTTP + "0x7f.1", "is neither a name nor an address"),
        ("http://2130706433", "is neither a name nor an address"),
        (HTTP + "0177.0.0.1", "is neither a name nor an address"),
        ("http://169.254.169.254", "is never asked"),
        ("http://[::ffff:169.254.169.254]", "is never asked"),
        ("http://[fd00:ec2::254]", "is never asked"),
        ("http://0.0.0.0:80", "is never asked"),
        ("http://me:pw@crm.example", "a user or a password"),
        ("ftp://crm.example", "must begin with https://"),
        ("http://crm.example:0", "no port"),
        ("http://crm.example:99999", "is no URL"),
        ("api.example.com ", "white space"),
        ("https://a.example\\b", "a backslash"),
    ],
)
def test_an_entry_that_is_none_lets_nothing_through(entry: str, reason: str) -> None:
    assert reason in problem_of_entry(entry)
    assert rules_of([entry, "api.example.com"]) == [rule_of("api.example.com")]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/x",
        "https://api.example.com:8443/{x}",
        "https://crm/x",
        "https://10.0.0.1/",
        "http://crm.example/",
        "http://[::1]:9/x",
        "https://[2606:4700::1]/",
    ],
)
def test_the_mend_that_is_told_mends_it(url: str) -> None:
    entry = allowed_host(url, []).split("'")[1]
    assert (problem_of_entry(entry), allowed_host(url, [entry])) == ("", "")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com:443/{account}?q={q}",
        "HTTPS://API.example.COM/x",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://api\u3002example\u3002com/",  # what IDNA takes for a dot is one for who connects, too
        "http://crm.example:8080/x",
        "http://127.0.0.1:9/x",
        "http://[::1]:9/",
        "http://[0:0:0:0:0:0:0:1]:9/",
    ],
)
def test_what_may_be_asked(url: str) -> None:
    assert allowed_host(url, ALLOWED) == ""


@pytest.mark.parametrize(
    "url, reason",
    [
        ("https://evil.example", "add 'evil.example' to flows.webhook_hosts"),
        ("http://api.example.com/", "add 'http://api.example.com'"),
        ("https://api.example.com:8443/", "add 'https://api.example.com:8443'"),
        ("https://crm.example:8080/", "is not allowed"),
        ("http://crm.example/", "is not allowed"),
        ("https://sub.api.example.com/", "is not allowed"),
        ("https://api.example.com.evil.example/", "is not allowed"),
        ("https://api.example.com%2f.evil.example/", "is not allowed"),
        ("https://evil.example#@api.example.com/", "is not allowed"),
        ("https://evil.example?@api.example.com/", "is not allowed"),
        ("https://api.example.com@evil.example/", "a user or a password"),
        ("https://me:pw@api.example.com/", "a user or a password"),
        ("https://api.example.com./", "a dot at the end"),
        ("https://api.example.com\\@evil.example/", "a backslash"),
        (HTTPS + "api.exam\tple.com/", "white space"),
        ("https://api.example.com/ x", "white space"),
        ("\x00https://api.example.com/", "control character"),
        ("//api.example.com/", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("gopher://api.example.com:443/", "must begin with https://"),
        ("https:///x", "has no host"),
        ("https://{host}.example.com/", "a {variable} in its host"),
        ("https://api.example.com{path}", "a {variable} in its host"),
        ("{url}", "must begin with https://"),
        (HTTP + "127.1:9/", "is not allowed"),
        (HTTP + "0x7f.1:9/", "is not allowed"),
        ("http://2130706433:9/", "is not allowed"),
        (HTTP + "0177.0.0.1:9/", "is not allowed"),
        ("http://[::ffff:127.0.0.1]:9/", "is not allowed"),
        ("http://localhost:9/", "is not allowed"),
    ],
)
def test_what_may_not_be_asked(url: str, reason: str) -> None:
    assert reason in allowed_host(url, ALLOWED)


@given(st.text(max_size=40) | st.text("htps:/@.#?[]{}\\%0127x", max_size=40))
def test_whatever_is_allowed_is_on_the_list(text: str) -> None:
    rules = rules_of(ALLOWED)
    for url in (text, f"https://{text}", f"https://api.example.com{text}", f"http://127.0.0.1:9{text}"):
        try:
            parsed, rule = judge(url, rules)
        except ValueError:
            continue
        assert (parsed.scheme, parsed.raw_host, parsed.port) == rule[:3]
        assert parsed.user is None


PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "192.0.1.1", "223.255.255.255",
          "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::8.8.8.8"]  # fmt: skip
#: For those who name them in full only.
PRIVATE = ["127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1",
           "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "240.0.0.1",
           "::1", "fd12::1", "fc00::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "2001:10::1", "4000::1",
           "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::8.8.8.8",
           "2002:808:808::1", "2002:7f00:1::1"]  # fmt: skip
NEVER = ["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255",
         "100.100.100.200", "168.63.129.16", "192.0.0.192", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
         "fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::169.254.169.254",
         "64:ff9b:1::169.254.169.254", "2002:a9fe:a9fe::1", "example.com", "127.1", "0x7f.1",
         "2130706433", ""]  # fmt: skip


@pytest.mark.parametrize(
    "address, for_all, for_named",
    [
        *((a, True, True) for a in PUBLIC),
        *((a, False, True) for a in PRIVATE),
        *((a, False, False) for a in NEVER),
    ],
)
def test_addresses(address: str, for_all: bool, for_named: bool) -> None:
    assert (fault_of_address(address, anywhere=False) == "") is for_all
    assert (fault_of_address(address, anywhere=True) == "") is for_named


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_something_else(address: object) -> None:
    if not fault_of_address(str(address), anywhere=False):
        assert not getattr(address, "is_private", True) or str(address).startswith("64:ff9b::")
        assert not getattr(address, "is_multicast", True)
        assert not getattr(address, "is_reserved", True) or str(address).startswith("64:ff9b::")
