"""IP addresses as proxies and people write them: with a port, in brackets, or as IPv4 inside IPv6."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

_WITH_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Parse an address, with a port or without; raises `ValueError`, for a zone too. IPv4 inside IPv6 is IPv4."""
    if "%" in text:
        raise ValueError("an address with a zone")
    match = _WITH_PORT.fullmatch(text)
    address = ip_address(match["v6"] or match["v4"] if match else text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
