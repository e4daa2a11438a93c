"""The address of the client and the scheme: the peer's, unless a trusted proxy says otherwise.

`X-Forwarded-For` and `X-Forwarded-Proto` count if they come from `TRUSTED_PROXIES`; no other forwarding header ever
does (ASVS 4.1.3, 15.3.4). Each proxy appends to both lists, so they are read from the right, and trusted proxies are
skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from app.core.settings.rules import parse_address
from app.http.request.base import HttpMiddleware, header_values

Networks = tuple[IPv4Network | IPv6Network, ...]

_SCHEMES = frozenset({"http", "https"})


class _Hop(NamedTuple):
    """The client in a list of addresses; `address` is None if the entry cannot be read."""

    position: int
    address: str | None


@dataclass(eq=False)
class ProxiesMiddleware(HttpMiddleware):
    """Sets the address of the client in `scope["state"]`, and the scheme of the request. It rejects nothing itself."""

    trusted: Networks

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the client and the scheme, and call the application."""
        state = scope.setdefault("state", {})
        peer = _peer(scope)
        state["client_ip"] = peer
        if self.trusted and is_trusted(peer, self.trusted):
            hops = _members(scope, b"x-forwarded-for")
            client = _client(hops, self.trusted)
            if client is not None:
                state["client_ip"] = client.address or peer
                state["client_unreadable"] = client.address is None
            scheme = _scheme(_members(scope, b"x-forwarded-proto"), len(hops), client)
            scope["scheme"] = scheme if scheme in _SCHEMES else scope["scheme"]
        await self.app(scope, receive, send)


def client_ip_of(scope: Scope) -> str:
    """Return the address of the client."""
    address: str = scope.get("state", {}).get("client_ip") or _peer(scope)
    return address


@lru_cache(maxsize=1024)
def is_trusted(address: str, networks: Networks) -> bool:
    """Return whether the address is one of a trusted proxy."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def _client(hops: Sequence[str], trusted: Networks) -> _Hop | None:
    """Find the last hop that is no trusted proxy; if all are, the first; `None` if the list is empty."""
    for position in reversed(range(len(hops))):
        parsed = _parse(hops[position])
        if parsed is None:
            return _Hop(position, None)
        if position == 0 or not is_trusted(str(parsed), trusted):
            return _Hop(position, str(parsed))
    return None


def _scheme(schemes: Sequence[str], hops: int, client: _Hop | None) -> str | None:
    """Return the scheme that the client used, in lower case.

    If both lists have the same length, the client has the same position in both; otherwise the first entry is the
    client's. No link and no permission depends on the scheme: a client that forges it affects itself alone.
    """
    if not schemes:
        return None
    position = client.position if client is not None and len(schemes) == hops else 0
    return schemes[position].lower()


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return parse_address(text)
    except ValueError:
        return None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _members(scope: Scope, name: bytes) -> list[str]:
    """Return the members of a list header in order, without empty ones (RFC 9110 section 5.6.1)."""
    lines = [value.decode("latin-1") for value in header_values(scope, name)]
    members = (member.strip(" \t") for line in lines for member in line.split(","))
    return [member for member in members if member]
