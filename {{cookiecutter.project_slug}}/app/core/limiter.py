"""Counting against a limit, in this process or, where `REDIS_URL` is set, in Redis for all replicas.

Fixed windows of the limits library. When Redis does not answer, nothing is allowed: the answer is 503.
"""

from collections.abc import Awaitable
from ipaddress import IPv6Address, ip_address
from time import time
from typing import NamedTuple, TypeVar

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from pydantic import SecretStr
from redis.exceptions import RedisError

from app.core.errors import Unavailable

_RETRY_AFTER_SECONDS = 5
_CONNECT_SECONDS = 2
_IPV6_NETWORK_BITS = 64

_Result = TypeVar("_Result")


class Verdict(NamedTuple):
    """Whether one more is allowed; `retry_after` is the number of seconds until the window ends."""

    allowed: bool
    limit: int
    remaining: int
    retry_after: int


class Limiter:
    """Counts in windows; every method raises `Unavailable` when the counters cannot be reached."""

    def __init__(self, redis_url: SecretStr | None) -> None:
        self._storage: MemoryStorage | RedisStorage
        if redis_url is None:
            self._storage = MemoryStorage()
        else:
            self._storage = RedisStorage(
                f"async+{redis_url.get_secret_value()}",
                implementation="redispy",
                wrap_exceptions=False,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_CONNECT_SECONDS,
            )

    async def hit(self, limit: RateLimitItem, *key: str) -> Verdict:
        """Count one, and say whether it is within the limit."""
        name = limit.key_for(*key)
        count = await _answered(self._storage.incr(name, limit.get_expiry()))
        resets_at = await _answered(self._storage.get_expiry(name))
        return Verdict(
            allowed=count <= limit.amount,
            limit=limit.amount,
            remaining=max(0, limit.amount - count),
            retry_after=max(1, round(resets_at - time())),
        )

    async def refund(self, limit: RateLimitItem, *key: str) -> None:
        """Take one count back."""
        await _answered(self._storage.incr(limit.key_for(*key), limit.get_expiry(), amount=-1))

    async def ping(self) -> None:
        """Ask whether the counters can be reached."""
        if not await _answered(self._storage.check()):
            raise _unavailable()

    async def close(self) -> None:
        """Close the connections."""
        if isinstance(self._storage, RedisStorage):
            await self._storage.bridge.storage.aclose()


def subscriber(ip: str) -> str:
    """What one subscriber has: an IPv4 address, or the /64 of an IPv6 address. To be counted together."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{int(address) >> _IPV6_NETWORK_BITS:x}/64"
    return ip


async def _answered(operation: Awaitable[_Result]) -> _Result:
    try:
        return await operation
    except (RedisError, OSError):
        raise _unavailable() from None


def _unavailable() -> Unavailable:
    return Unavailable("The counters of the rate limits do not answer.", retry_after=_RETRY_AFTER_SECONDS)
