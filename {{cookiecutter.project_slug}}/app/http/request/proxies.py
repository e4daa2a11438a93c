"""Which client and scheme to believe: the peer's, unless a trusted proxy says otherwise.

Only from `TRUSTED_PROXIES` are `X-Forwarded-For` and `X-Forwarded-Proto` believed; no other forwarding header ever is
(ASVS 4.1.3, 15.3.4). Both are lists to which each proxy appends what it saw, so both are read from the right, and what
trusted proxies say of each other is skipped.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.ip_address import parse_address

Networks = Sequence[IPv4Network | IPv6Network]

_SCHEMES = frozenset({"http", "https"})


class _Hop(NamedTuple):
    """The client in a list of addresses; `address` is None if the entry cannot be read."""

    position: int
    address: str | None


class ProxiesMiddleware:
    """Sets the address of the client in `scope["state"]`, and the scheme of the request.

    It answers nothing itself: if the entry of the client cannot be read, `is_client_unreadable` tells so.
    """

    def __init__(self, app: ASGIApp, *, trusted: Networks) -> None:
        self.app = app
        self.trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look through the proxies."""
        if scope["type"] == "http":
            state = scope.setdefault("state", {})
            peer = _peer(scope)
            state["client_ip"] = peer
            if self.trusted and is_trusted(peer, self.trusted):
                hops = _values(scope, b"x-forwarded-for")
                client = _client(hops, self.trusted)
                if client is not None:
                    state["client_ip"] = client.address or peer
                    state["client_unreadable"] = client.address is None
                scheme = _scheme(_values(scope, b"x-forwarded-proto"), len(hops), client)
                scope["scheme"] = scheme if scheme in _SCHEMES else scope["scheme"]
        await self.app(scope, receive, send)


def client_ip_of(scope: Scope) -> str:
    """The address of the client that is believed."""
    address: str = scope.get("state", {}).get("client_ip") or _peer(scope)
    return address


def is_client_unreadable(scope: Scope) -> bool:
    """Whether a trusted proxy names the client by something that is not an address.

    Such a request must be refused: counted under the address of the proxy, or under one name, clients would share their
    limits, and one of them could lock the others out.
    """
    return bool(scope.get("state", {}).get("client_unreadable"))


@lru_cache(maxsize=1024)
def is_trusted(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether the address is one of a trusted proxy."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def _client(hops: Sequence[str], trusted: tuple[IPv4Network | IPv6Network, ...]) -> _Hop | None:
    """The last hop that is no trusted proxy, or the first of all if every one is; None without a list."""
    for position in reversed(range(len(hops))):
        parsed = _parse(hops[position])
        if parsed is None:
            return _Hop(position, None)
        if position == 0 or not is_trusted(str(parsed), trusted):
            return _Hop(position, str(parsed))
    return None


def _scheme(schemes: Sequence[str], hops: int, client: _Hop | None) -> str | None:
    """The scheme that the client used, in lower case.

    Two lists of one length are about the same connections, so that the client's place in one is its place in the
    other. Otherwise proxies did not append to both, and the first entry is the one that is about the client. A client
    that puts `https` there over plain HTTP deceives itself alone: no link and no permission depends on the scheme.
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


def _values(scope: Scope, name: bytes) -> list[str]:
    """The members of a list header, those of a repeated header too, in order; empty ones are none (RFC 9110 5.6.1)."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    members = (member.strip(" \t") for line in lines for member in line.split(","))
    return [member for member in members if member]
