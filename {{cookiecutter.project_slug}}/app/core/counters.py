"""The counters below `limiter.py`: fixed windows, which begin with the first hit, in memory or in Redis.

The storages of the limits library are not used: the one in memory looks at every live key on every hit (1.3 ms with
10 000 clients, against 1 µs here), the one in Redis needs two round trips and cannot take a count back.
"""

from time import time
from typing import Protocol

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.core.errors import Unavailable

_RETRY_AFTER_SECONDS = 5
_REDIS_SECONDS = 2
_MILLISECONDS = 1000

# One round trip: the count before this hit, and the milliseconds left. What is over the limit is not counted.
_HIT = """
local count = tonumber(redis.call('GET', KEYS[1]) or '0')
if count < tonumber(ARGV[1]) and redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {count, redis.call('PTTL', KEYS[1])}
"""
_REFUND = "if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end"


class Counters(Protocol):
    """Counts by key; a method raises `Unavailable` where the counters cannot be reached."""

    async def hit(self, key: str, amount: int, seconds: int) -> tuple[int, float]:
        """Count one where fewer than `amount` are; give the count before it, and the seconds left."""

    async def refund(self, key: str, seconds: int) -> None:
        """Take one back, where one is."""

    async def ping(self) -> None:
        """Return if the counters can be reached."""

    async def close(self) -> None:
        """Close the connections."""


class MemoryCounters:
    """Counters of this process: for each length of window a dict, whose first keys are the first to end."""

    def __init__(self) -> None:
        self._windows: dict[int, dict[str, tuple[int, float]]] = {}

    async def hit(self, key: str, amount: int, seconds: int) -> tuple[int, float]:
        """Count one where fewer than `amount` are; give the count before it, and the seconds left."""
        now = time()
        windows = self._live(seconds, now)
        before, ends = windows.get(key, (0, now + seconds))
        if before < amount:
            windows[key] = (before + 1, ends)
        return before, ends - now

    async def refund(self, key: str, seconds: int) -> None:
        """Take one back, where one is."""
        windows = self._live(seconds, time())
        count, ends = windows.get(key, (0, 0.0))
        if count:
            windows[key] = (count - 1, ends)

    async def ping(self) -> None:
        """Memory answers."""

    async def close(self) -> None:
        """Forget everything."""
        self._windows.clear()

    def _live(self, seconds: int, now: float) -> dict[str, tuple[int, float]]:
        windows = self._windows.setdefault(seconds, {})
        while windows and windows[first := next(iter(windows))][1] <= now:
            del windows[first]
        return windows


class RedisCounters:
    """Counters that replicas share. One retry, for a connection that a restart of Redis has cut."""

    def __init__(self, url: SecretStr) -> None:
        self._redis = Redis.from_url(
            url.get_secret_value(),
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._hit = self._redis.register_script(_HIT)
        self._refund = self._redis.register_script(_REFUND)

    async def hit(self, key: str, amount: int, seconds: int) -> tuple[int, float]:
        """Count one where fewer than `amount` are; give the count before it, and the seconds left."""
        try:
            before, milliseconds = await self._hit(keys=[key], args=[amount, seconds * _MILLISECONDS])
        except (RedisError, OSError):
            raise _unavailable() from None
        return int(before), milliseconds / _MILLISECONDS

    async def refund(self, key: str, seconds: int) -> None:  # noqa: ARG002  # the key knows its end
        """Take one back, where one is."""
        try:
            await self._refund(keys=[key])
        except (RedisError, OSError):
            raise _unavailable() from None

    async def ping(self) -> None:
        """Return if Redis answers."""
        try:
            await self._redis.ping()
        except (RedisError, OSError):
            raise _unavailable() from None

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _unavailable() -> Unavailable:
    return Unavailable("The counters of the rate limits do not answer.", retry_after=_RETRY_AFTER_SECONDS)
