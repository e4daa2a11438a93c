"""Which client and scheme to believe: the peer's, unless a trusted proxy says otherwise.

Only from `TRUSTED_PROXIES` are `X-Forwarded-For` (read from the right, trusted hops skipped) and `X-Forwarded-Proto`
believed; no other forwarding header ever is (ASVS 4.1.3, 15.3.4).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

Networks = Sequence[IPv4Network | IPv6Network]


class ProxiesMiddleware:
    """Sets the address of the client in `scope["state"]`, and the scheme of the request."""

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
                state["client_ip"] = _last_untrusted(_values(scope, b"x-forwarded-for"), self.trusted) or peer
                protocols = _values(scope, b"x-forwarded-proto")
                if protocols and protocols[-1] in {"http", "https"}:
                    scope["scheme"] = protocols[-1]
        await self.app(scope, receive, send)


def client_ip_of(scope: Scope) -> str:
    """The address of the client that is believed."""
    address: str = scope.get("state", {}).get("client_ip") or _peer(scope)
    return address


@lru_cache(maxsize=1024)
def is_trusted(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether the address is one of a trusted proxy."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def _last_untrusted(hops: Iterable[str], trusted: tuple[IPv4Network | IPv6Network, ...]) -> str | None:
    """The client as the nearest trusted proxy saw it; None where a hop is no address, or all are trusted."""
    for hop in reversed(list(hops)):
        parsed = _parse(hop)
        if parsed is None:
            return None
        if not is_trusted(str(parsed), trusted):
            return str(parsed)
    return None


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if "%" in text:
        # A zone is free text, and means nothing on another machine.
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _values(scope: Scope, name: bytes) -> list[str]:
    """The members of a list header, those of a repeated header too, in order."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [member.strip() for line in lines for member in line.split(",")]
