"""Counting against a limit: in this process, or in Redis for all replicas if `REDIS_URL` is set.

If Redis cannot be used, nothing is allowed (ASVS 16.5.2). While it hangs, each process allows a quarter of each limit.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import NamedTuple

from limits import RateLimitItem
from pydantic import SecretStr

from app.core.limits.counters import FallbackCounters, MemoryCounters, RedisCounters, Window

_IPV6_NETWORK_BITS = 64


class Verdict(NamedTuple):
    """Whether one more is allowed; `retry_after` is the number of seconds until the window ends."""

    allowed: bool
    limit: int
    remaining: int
    retry_after: int


class Limiter:
    """Counts in windows, for all replicas of `service`; it raises `Unavailable` if the counters cannot be used."""

    def __init__(self, redis_url: SecretStr | None, service: str) -> None:
        shared = FallbackCounters(RedisCounters(redis_url, f"{service}/")) if redis_url else None
        self._counters = shared or MemoryCounters()

    async def hit(self, limit: RateLimitItem, *key: str) -> Verdict:
        """Count one if it is within the limit, and say whether it is."""
        before, seconds_left = await self._counters.hit(_window(limit, key))
        return Verdict(
            allowed=before < limit.amount,
            limit=limit.amount,
            remaining=max(0, limit.amount - before - 1),
            retry_after=max(1, ceil(seconds_left)),
        )

    async def refund(self, limit: RateLimitItem, *key: str) -> bool:
        """Take one count back, if the window has not ended; return whether there was one."""
        return await self._counters.refund(_window(limit, key))

    async def clear(self, limit: RateLimitItem, *key: str) -> None:
        """Begin a count anew."""
        await self._counters.clear(_window(limit, key))

    async def ping(self) -> None:
        """Return if the counters that replicas share count; raises `Unavailable` otherwise."""
        await self._counters.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._counters.close()


def _window(limit: RateLimitItem, key: tuple[str, ...]) -> Window:
    return Window(limit.key_for(*key), limit.amount, limit.get_expiry())


@lru_cache(maxsize=4096)
def subscriber(ip: str) -> str:
    """Return what one subscriber has, to be counted together: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return ip
    return str(address.ipv4_mapped or f"{int(address) >> _IPV6_NETWORK_BITS:x}/64")
