"""The address of the client and the scheme: the peer's, unless a trusted proxy says otherwise.

`X-Forwarded-For` and `X-Forwarded-Proto` count if they come from `TRUSTED_PROXIES`; no other forwarding header ever
does (ASVS 4.1.3, 15.3.4). Each proxy appends to both lists, so they are read from the right, and trusted proxies are
skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from starlette.types import Receive, Scope, Send

from app.core.settings.rules import parse_address
from app.http.request.base import HttpMiddleware, header_values

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(eq=False)
class ProxiesMiddleware(HttpMiddleware):
    """Sets the scheme, and in `scope["state"]` the client's address and `from_proxy`. It rejects nothing itself."""

    trusted: Networks

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        peer = _peer(scope)
        state["client_ip"] = peer
        state["from_proxy"] = bool(self.trusted) and is_trusted(peer, self.trusted)
        if state["from_proxy"]:
            hops, schemes = _members(scope, b"x-forwarded-for"), _members(scope, b"x-forwarded-proto")
            position = 0
            if hops:
                position, address = _client(hops, self.trusted)
                state["client_ip"], state["client_unreadable"] = address or peer, address is None
            # If both lists have the same length, the client has the same position in both; otherwise the first entry is
            # the client's. No link and no permission depends on it: a client that forges it affects itself alone.
            scheme = schemes[position if len(schemes) == len(hops) else 0].lower() if schemes else None
            scope["scheme"] = scheme if scheme in {"http", "https"} else scope["scheme"]
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


def _client(hops: Sequence[str], trusted: Networks) -> tuple[int, str | None]:
    """Find the last hop that is no trusted proxy, else the first: its position, and its address if it can be read."""
    for position in reversed(range(len(hops))):
        parsed = _parse(hops[position])
        if position == 0 or parsed is None or not is_trusted(str(parsed), trusted):
            break
    return position, None if parsed is None else str(parsed)


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
    # A header may be nothing but commas: no loop of Python's sees those.
    members = (member.strip(" \t") for line in lines for member in filter(None, line.split(",")))
    return list(filter(None, members))
