"""Addresses and networks as operators write them, and where a request that came through their proxies began.

Strategy:

- What a request says of its own way is believed as far as one's own proxies said it, read from this end: each adds
  whom it was asked by, so the first that is none of them is who asked. What stands before that, anybody may have
  written.
- An IPv4 address is the same when it is written as an IPv6 one, as a socket for both families does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Networks: TypeAlias = Sequence[IPv4Network | IPv6Network]


def networks(entries: Iterable[str]) -> Networks:
    """Each entry an address, or a network such as ``203.0.113.0/24``.

    Raises:
        ValueError: one is neither.
    """
    return [_network(entry) for entry in entries]


def is_loopback(host: str) -> bool:
    """Whether a host, name or address, is this machine and nobody else's."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_within(address: str, among: Networks) -> bool:
    """Whether `address` is one of those; never, when it is no address."""
    found = _address(address)
    return found is not None and any(found in network for network in among)


def origin(peer: str, forwarded: Sequence[str], proxies: Networks) -> str:
    """Where a request began.

    Args:
        peer: who made the connection.
        forwarded: the values of its ``X-Forwarded-For`` headers, in order.
        proxies: whose word is taken for it.

    Returns:
        The last address in `forwarded` that is not among `proxies`. `peer`, when that is not among them itself, or
        where what should be an address is none.
    """
    if not is_within(peer, proxies):
        return peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    for hop in reversed(hops):
        if (address := _address(hop)) is None:
            return peer
        if not any(address in network for network in proxies):
            return str(address)
    return peer


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(entry)
    except ValueError as error:
        raise ValueError(f"{error}; write an address, or a network such as 203.0.113.0/24") from None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
