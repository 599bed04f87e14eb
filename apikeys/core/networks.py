"""IP addresses and networks, with IPv4 addresses mapped into IPv6 read as what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .errors import NetworkSyntaxError
from .memory import BoundedMemory

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED_BITS = 96
_IPV4_BITS = 24
_MOST_NAMES = 8192
#: Networks in their usual writing, by number and length; /24 is of IPv4.
_names: BoundedMemory[tuple[int, int], str] = BoundedMemory()


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """
    Return the address in *text*, or None.

    Takes what proxies write: surrounding space, ``[v6]:port`` and ``v4:port``. A zone id is dropped.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def parse_network(text: str) -> Network | None:
    """Return the network in *text*, where a single address is a network of one, or None."""
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def normalise_networks(lines: Sequence[str]) -> list[str]:
    """
    Return *lines* as networks in their usual writing, without empty lines and repetition.

    Raises:
        NetworkSyntaxError: If a line is no address and no network; it carries the number of the line.
    """
    networks: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        network = parse_network(text)
        if network is None:
            message = f"Line {number}: {text!r} is not an IP address or network."
            raise NetworkSyntaxError(message, line=number, text=text)
        networks[str(network)] = None
    return list(networks)


def allows(networks: Iterable[str] | None, address: Address | None) -> bool:
    """
    Whether *address* is in one of *networks*.

    None as networks means not restricted, an empty list refuses all; an unknown address and an unreadable network
    are in nothing.
    """
    if networks is None:
        return True
    if address is None:
        return False
    parsed = (parse_network(text) for text in networks)
    return any(network is not None and address in network for network in parsed)


def network_around(address: Address | None, *, ipv6_bits: int) -> str:
    """Return the network that *address* counts for: /24 of IPv4, the first *ipv6_bits* of IPv6; empty for None."""
    if address is None:
        return ""
    # By number: an address is hashed by a function in Python, and each request asks.
    bits = _IPV4_BITS if isinstance(address, IPv4Address) else ipv6_bits
    number = int(address) >> (address.max_prefixlen - bits)
    name = _names.get((number, bits))
    if name is None:
        name = str(ip_network((address.packed, bits), strict=False))
        _names.put((number, bits), name, most=_MOST_NAMES)
    return name
