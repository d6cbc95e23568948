"""Where webhooks may go: the allow-list of origins, and which addresses are anybody's. Pure.

Strategy:

- Nothing may be asked that is not on the list: scheme, host and port, compared after the parser that makes the
  connection (yarl) has read both. What it would mend (white space, backslashes, a user) is refused instead.
- A bare host is somewhere in the Internet: https, port 443, and an address that is routed there. An origin written out
  may be in one's own network, too; the address that was named is where it goes, and nobody else's.
- Addresses are judged as the socket would use them: an IPv4 address within an IPv6 one is that IPv4 address. IPv6 is
  public where it is known to be, not where it is not known to be something else.
- Those that answer for the machine or its cloud (link-local, metadata) are never asked, whoever named them.

Facts, from IANA's special-purpose address registries (RFC 6890), RFC 4291 (IPv6), RFC 6052 (NAT64), and the clouds'
own pages on their metadata services.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.networks import Networks, networks

if TYPE_CHECKING:
    from yarl import URL

#: Nobody's webhook: this host, link-local, multicast; and what answers for a cloud's machines elsewhere.
_NEVER: Final[Networks] = networks(
    (
        "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255",
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle Cloud
        "::", "fe80::/10", "fec0::/10", "ff00::/8",
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    )
)  # fmt: skip
#: Of IPv4, what is not routed in the Internet.
_NOT_PUBLIC: Final[Networks] = networks(
    (
        "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
    )
)  # fmt: skip
_PUBLIC_V6: Final = IPv6Network("2000::/3")
#: Of that, protocols (Teredo among them), documentation, and 6to4.
_NOT_PUBLIC_V6: Final[Networks] = networks(("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64: Final = IPv6Network("64:ff9b::/96")
#: Forms of IPv6 that hold an IPv4 address in their last 32 bits: mapped, and NAT64.
_HOLD_V4: Final[Networks] = networks(("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))

_PORTS: Final = {"http": 80, "https": 443}
_ODD: Final = re.compile(r"[\s\\\x00-\x1f\x7f]")
_NAME: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
#: As the last label of a name: the name is an address in an old spelling (127.1, 0x7f.1, 2130706433).
_NUMERIC: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")


class Rule(NamedTuple):
    """An entry of the list, read. `anywhere`: its addresses need not be public."""

    scheme: str
    host: str
    port: int
    anywhere: bool = False


def rules_of(allowed: Sequence[str]) -> list[Rule]:
    """The entries that are good; the others let nothing through."""
    return [rule_of(entry) for entry in allowed if not problem_of_entry(entry)]


def rule_of(entry: str) -> Rule:
    """What ``api.example.com`` or ``http://crm.example:8080`` allows.

    Raises:
        ValueError: why it is neither.
    """
    anywhere = "://" in entry
    url = _parsed(entry if anywhere else f"https://{entry}")
    scheme, host, port = _origin_of(url)
    if url.raw_path_qs not in ("", "/") or url.raw_fragment:
        raise ValueError("has a path: leave it out, a host is allowed as a whole")
    if not anywhere and (port != 443 or not _is_name(host) or "." not in host):
        raise ValueError("is not a public host alone: write a name such as api.example.com, or an origin in full,"
                         " such as http://crm.example:8080")  # fmt: skip
    if not _is_name(host):
        _require_address(host)
    return Rule(scheme, host, port, anywhere)


def problem_of_entry(entry: str) -> str:
    """Why `entry` is no good in `flows.webhook_hosts`; empty when it is."""
    try:
        rule_of(entry)
    except ValueError as error:
        return str(error)
    return ""


def allowed_host(url: str, allowed: Sequence[str]) -> str:
    """Why `url` may not be asked; empty when it may. ``{variables}`` after the host do not matter."""
    try:
        judge(url, rules_of(allowed))
    except ValueError as error:
        return str(error)
    return ""


def judge(text: str, rules: Sequence[Rule]) -> tuple[URL, Rule]:
    """The URL that is to be asked, and what allows it.

    Raises:
        ValueError: why it may not be asked.
    """
    url = _parsed(text)
    origin = _origin_of(url)
    for rule in rules:
        if rule[:3] == origin:
            return url, rule
    scheme, host, port = origin
    public = scheme == "https" and port == _PORTS["https"] and _is_name(host) and "." in host
    entry = host if public else f"{scheme}://{url.raw_authority}"
    raise ValueError(f"is not allowed: add {entry!r} to flows.webhook_hosts if it is your own API")


def fault_of_address(address: str, *, anywhere: bool) -> str:
    """Why a webhook may not be sent to an IP address; empty when it may.

    Args:
        anywhere: whether it need not be public.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "is no address"
    forms = [found, *_within(found)]
    if any(form in network for form in forms for network in _NEVER):
        return "answers for a machine or a cloud, and is never asked"
    if anywhere or _is_public(found):
        return ""
    return "is not public: to allow it, write the origin in full, such as http://crm.example:8080"


# -- addresses ---------------------------------------------------------------------------------------------------------


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in (*_NEVER, *_NOT_PUBLIC))
    if address in _NAT64:  # how a network without IPv4 reaches it
        return all(_is_public(form) for form in _within(address))
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def _within(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 address that packets to an IPv6 address would go to."""
    if isinstance(address, IPv4Address):
        return []
    if address.sixtofour:
        return [address.sixtofour]
    if address.teredo:
        return list(address.teredo)
    if any(address in network for network in _HOLD_V4):
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return []


# -- URLs --------------------------------------------------------------------------------------------------------------


def _parsed(text: str) -> URL:
    from yarl import URL

    if _ODD.search(text):
        raise ValueError("holds white space, a backslash or a control character")
    try:
        return URL(text)
    except ValueError:
        raise ValueError("is no URL") from None


def _origin_of(url: URL) -> tuple[str, str, int]:
    host, port = url.raw_host, url.port
    if url.scheme not in _PORTS:
        raise ValueError("must begin with https:// (or http://, for an origin that is allowed as such)")
    if not host or not port:
        raise ValueError("has no host, or no port that is one")
    if "@" in url.raw_authority:
        raise ValueError("holds a user or a password: name the variable with a token as bearer_env")
    if host.endswith("."):
        raise ValueError("has a dot at the end of its host: leave it out")
    if "{" in host:
        raise ValueError("has a {variable} in its host: only what comes after the host may vary")
    return url.scheme, host, port


def _is_name(host: str) -> bool:
    return bool(_NAME.fullmatch(host)) and not _NUMERIC.fullmatch(host.rpartition(".")[2])


def _require_address(host: str) -> None:
    """Refuse what is neither a name nor an address as it is usually spelled."""
    try:
        address = ip_address(host)
    except ValueError:
        raise ValueError(
            "is neither a name nor an address: write api.example.com, without * or a dot at its end"
        ) from None
    if reason := fault_of_address(str(address), anywhere=True):
        raise ValueError(reason)
