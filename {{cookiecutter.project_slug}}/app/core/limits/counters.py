"""The counters below `limiter.py`: fixed windows that begin with the first hit, in memory or in Redis.

The storages of the limits library are not used: the one in memory reads every live key on every hit, the one in Redis
needs two round trips and cannot take a count back.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import structlog
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError, RedisError, TimeoutError as RedisTimeoutError

from app.core.errors import Unavailable

_RETRY_AFTER_SECONDS = 5
_REDIS_SECONDS = 1
_MILLISECONDS = 1000
_MESSAGE = "The counters of the rate limits do not answer."

# While Redis hangs, each process allows this part of a limit: up to four replicas allow no more than the limit.
_LOCAL_PART = 4

# One round trip: the count before this hit, and the milliseconds left. A hit over the limit is not counted.
# A key that does not hold a count is replaced. A key without an expiry, or with one beyond the window (the clock of the
# server was set back), would refuse for ever: it keeps its count, and the window begins now.
_HIT = """
local kind = redis.call('TYPE', KEYS[1]).ok
local value = kind == 'string' and redis.call('GET', KEYS[1])
local count = value and #value < 16 and value:match('^%d+$') and tonumber(value)
if kind ~= 'none' and not count then redis.call('DEL', KEYS[1]) end
local before, left = count or 0, redis.call('PTTL', KEYS[1])
if before < tonumber(ARGV[1]) then redis.call('INCR', KEYS[1]) end
if left < 0 or left > tonumber(ARGV[2]) then
  left = ARGV[2]
  redis.call('PEXPIRE', KEYS[1], left)
end
return {before, tonumber(left)}
"""
_REFUND = """
local value = redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1])
if not value or (tonumber(value) or 0) < 1 then return 0 end
redis.call('DECR', KEYS[1])
return 1
"""

Result = TypeVar("Result")

_log = structlog.get_logger("app")


class CountersHang(Unavailable):
    """The counters did not answer in time."""


class Window(NamedTuple):
    """What is counted: up to `amount` hits of one key in a number of seconds."""

    key: str
    amount: int
    seconds: int


# A key that no request uses: the probe makes the same write as a hit.
_PROBE = Window("probe", amount=2**31, seconds=60)


class MemoryCounters:
    """Counters of this process: for each length of window a dict, whose first keys are the first to end."""

    def __init__(self) -> None:
        self._windows: dict[int, dict[str, tuple[int, float]]] = {}

    async def hit(self, window: Window) -> tuple[int, float]:
        """Count one if fewer than `amount` are counted; return the count before it, and the seconds left."""
        now = monotonic()
        counts = self._live(window.seconds, now)
        before, ends = counts.get(window.key, (0, now + window.seconds))
        if before < window.amount:
            counts[window.key] = (before + 1, ends)
        return before, ends - now

    async def refund(self, window: Window) -> bool:
        """Take one back, if the window has not ended; return whether there was one."""
        counts = self._live(window.seconds, monotonic())
        count, ends = counts.get(window.key, (0, 0.0))
        if count:
            counts[window.key] = (count - 1, ends)
        return count > 0

    async def clear(self, window: Window) -> None:
        """Forget a count."""
        self._windows.get(window.seconds, {}).pop(window.key, None)

    async def ping(self) -> None:
        """Memory answers."""

    async def close(self) -> None:
        """Forget everything."""
        self._windows.clear()

    def _live(self, seconds: int, now: float) -> dict[str, tuple[int, float]]:
        counts = self._windows.setdefault(seconds, {})
        while counts and counts[first := next(iter(counts))][1] <= now:
            del counts[first]
        return counts


class RedisCounters:
    """Counters that replicas share, in keys with a prefix; a method raises `Unavailable` if Redis cannot be used."""

    def __init__(self, url: SecretStr, prefix: str) -> None:
        self._prefix = prefix
        self._redis = Redis.from_url(
            url.get_secret_value(),
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            # For a connection that a restart of Redis has cut; none after a timeout.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._hit = self._redis.register_script(_HIT)
        self._refund = self._redis.register_script(_REFUND)

    async def hit(self, window: Window) -> tuple[int, float]:
        """Count as `MemoryCounters.hit`."""
        script = self._hit(keys=[self._prefix + window.key], args=[window.amount, window.seconds * _MILLISECONDS])
        before, milliseconds = await _answer(script)
        return int(before), milliseconds / _MILLISECONDS

    async def refund(self, window: Window) -> bool:
        """Take one back, if the window has not ended; return whether there was one."""
        return bool(await _answer(self._refund(keys=[self._prefix + window.key])))

    async def clear(self, window: Window) -> None:
        """Forget a count."""
        await _answer(self._redis.delete(self._prefix + window.key))

    async def ping(self) -> None:
        """Return if Redis takes a hit: one that is read-only or full answers a PING, and no hit."""
        await self.hit(_PROBE)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


class FallbackCounters:
    """The shared counters; while they hang, counters of this process, which allow a part of each limit.

    Every `_RETRY_AFTER_SECONDS` one request tries the shared ones again. If the server refuses, the answer is 503.
    """

    def __init__(self, shared: RedisCounters) -> None:
        self._shared = shared
        self._local = MemoryCounters()
        self._hangs = False
        self._retry_at = 0.0

    async def hit(self, window: Window) -> tuple[int, float]:
        """Count one if fewer than `amount`, or a part of it while this process counts, are counted."""
        if self._may_try():
            with suppress(CountersHang):
                return await self._watched(self._shared.hit(window))
        allowed = max(1, window.amount // _LOCAL_PART)
        before, seconds_left = await self._local.hit(window._replace(amount=allowed))
        # As if the rest of the limit had been used elsewhere.
        return before + window.amount - allowed, seconds_left

    async def refund(self, window: Window) -> bool:
        """Take one back, if the window has not ended; return whether there was one."""
        if self._may_try():
            with suppress(CountersHang):
                return await self._watched(self._shared.refund(window))
        return await self._local.refund(window)

    async def clear(self, window: Window) -> None:
        """Forget a count."""
        await self._local.clear(window)
        if self._may_try():
            with suppress(CountersHang):
                await self._watched(self._shared.clear(window))

    async def ping(self) -> None:
        """Return if the shared counters work; raises `Unavailable` while this process counts, too."""
        await self._watched(self._shared.ping())

    async def close(self) -> None:
        """Close the connections."""
        await self._shared.close()

    def _may_try(self) -> bool:
        if not self._hangs:
            return True
        if monotonic() < self._retry_at:
            return False
        self._retry_at = monotonic() + _RETRY_AFTER_SECONDS
        return True

    async def _watched(self, call: Awaitable[Result]) -> Result:
        """Await a call to the shared counters, and note whether they hang."""
        try:
            result = await call
        except Unavailable as problem:
            self._note(hangs=isinstance(problem, CountersHang))
            raise
        self._note(hangs=False)
        return result

    def _note(self, *, hangs: bool) -> None:
        if hangs != self._hangs:
            _log.warning("rate_limits_local" if hangs else "rate_limits_shared")
        self._hangs = hangs
        self._retry_at = monotonic() + _RETRY_AFTER_SECONDS


async def _answer(command: Awaitable[Any]) -> Any:
    """Await the answer of Redis, within `_REDIS_SECONDS` for everything: connect, greet, ask."""
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            return await command
    except (TimeoutError, RedisTimeoutError):
        raise CountersHang(_MESSAGE, retry_after=_RETRY_AFTER_SECONDS) from None
    except (RedisError, OSError):
        raise Unavailable(_MESSAGE, retry_after=_RETRY_AFTER_SECONDS) from None
