"""Counting against a limit: in this process, or in Redis for all replicas if `REDIS_URL` is set.

If Redis cannot be used, nothing is allowed (ASVS 16.5.2). While it hangs, each process allows a quarter of each limit.
Windows are fixed, and begin with the first hit. The storages of the limits library are not used: the one in memory
reads every live key on every hit, the one in Redis needs two round trips and cannot take a count back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from time import monotonic
from typing import Any, NamedTuple

import structlog
from limits import RateLimitItem
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError, RedisError, TimeoutError as RedisTimeoutError

from app.core.errors import TooManyRequests, Unavailable
from app.core.events import SecurityEvent, emit_event

_RETRY_AFTER_SECONDS = 5
_REDIS_SECONDS = 1
_MESSAGE = "The counters of the rate limits do not answer."
# While Redis hangs, each process allows this part of a limit: up to four replicas allow no more than the limit.
_LOCAL_PART = 4
_MOST_ADVANCES = 10_000

# One round trip: the count before this hit, the milliseconds left, and how many were counted: none over the limit, and
# in advance a sixteenth of what is left at most.
# A key that does not hold a count is replaced. A key without an expiry, or with one beyond the window (the clock of the
# server was set back), would refuse for ever: it keeps its count, and the window begins now.
_HIT = """
local kind = redis.call('TYPE', KEYS[1]).ok
local value = kind == 'string' and redis.call('GET', KEYS[1])
local count = value and #value < 16 and value:match('^%d+$') and tonumber(value)
if kind ~= 'none' and not count then redis.call('DEL', KEYS[1]) end
local before, left = count or 0, redis.call('PTTL', KEYS[1])
local room = tonumber(ARGV[1]) - before
local taken = room > 0 and math.max(1, math.min(tonumber(ARGV[3]), math.floor(room / 16))) or 0
if taken > 0 then redis.call('INCRBY', KEYS[1], taken) end
if left < 0 or left > tonumber(ARGV[2]) then
  left = ARGV[2]
  redis.call('PEXPIRE', KEYS[1], left)
end
return {before, tonumber(left), taken}
"""
_REFUND = """
local value = redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1])
if not value or (tonumber(value) or 0) < 1 then return 0 end
redis.call('DECR', KEYS[1])
return 1
"""

_log = structlog.get_logger("app")


class Verdict(NamedTuple):
    """Whether one more is allowed; `retry_after` is the number of seconds until the window ends."""

    allowed: bool
    retry_after: int

    def require(self, detail: str, event: SecurityEvent | None = None, **about: object) -> None:
        """Emit the event and raise `TooManyRequests` unless one more is allowed."""
        if not self.allowed:
            if event is not None:
                emit_event(event, outcome="denied", **about)
            raise TooManyRequests(detail, retry_after=self.retry_after)


class _Window(NamedTuple):
    key: str
    amount: int
    seconds: int


# A key that no request uses: the probe makes the same write as a hit.
_PROBE = _Window("probe", amount=2**31, seconds=60)


@dataclass(slots=True)
class _Advance:
    """Hits of one key that this process has counted before they come: `before` those were counted elsewhere."""

    ends: float
    taken: int
    left: int
    before: int


class Limiter:
    """Counts in windows, for all replicas of `service`; it raises `Unavailable` if the counters cannot be used."""

    def __init__(self, redis_url: SecretStr | None, service: str) -> None:
        self._shared = _RedisCounters(redis_url, f"{service}/") if redis_url else None
        self._counters = _MemoryCounters()
        self._advances: dict[str, _Advance] = {}

    async def hit(self, limit: RateLimitItem, *key: str) -> Verdict:
        """Count one if it is within the limit, and say whether it is."""
        before, seconds_left, _ = await self._count(_window(limit, key), 1)
        return _verdict(limit, before, seconds_left)

    async def hit_often(self, limit: RateLimitItem, *key: str) -> Verdict:
        """Count as `hit`, for what every request hits: twice as many in advance each time, and Redis is asked rarely.

        What does not come is lost, up to a sixteenth of the limit for each process: together they allow no more.
        """
        window, now = _window(limit, key), monotonic()
        known = self._advances.get(window.key)
        known = known if known and known.ends > now else None
        if known and (known.left or known.before >= limit.amount):
            step = min(1, known.left)
            known.left, known.before = known.left - step, known.before + step
            return _verdict(limit, known.before - step, known.ends - now)
        wanted = 2 * known.taken if known else 1
        if known:
            known.taken = 0  # others that ask meanwhile ask for one
        before, seconds_left, taken = await self._count(window, wanted)
        if self._shared is not None and not self._shared.hangs:
            self._advance(window, _Advance(now + seconds_left, taken, max(0, taken - 1), before + min(1, taken)))
        return _verdict(limit, before, seconds_left)

    def _advance(self, window: _Window, new: _Advance) -> None:
        """Keep what was counted in advance, with what others have counted in the same window meanwhile."""
        other = self._advances.pop(window.key, None)
        if other is not None and new.ends - other.ends < window.seconds / 2:
            new.left, new.taken = new.left + other.left, max(new.taken, other.taken)
        if len(self._advances) >= _MOST_ADVANCES:
            self._advances.clear()
        self._advances[window.key] = new

    async def _count(self, window: _Window, wanted: int) -> tuple[int, float, int]:
        """Return the count before this hit, the seconds left, and how many were counted."""
        if self._shared is not None and (counted := await self._shared.hit(window, wanted)):
            return counted
        self._advances.clear()
        allowed = max(1, window.amount // _LOCAL_PART) if self._shared else window.amount
        before, seconds_left = self._counters.hit(window._replace(amount=allowed))
        # As if the rest of the limit had been used elsewhere.
        return before + window.amount - allowed, seconds_left, 1

    async def refund(self, limit: RateLimitItem, *key: str) -> bool:
        """Take one count back, if the window has not ended; return whether there was one."""
        window = _window(limit, key)
        refunded = await self._shared.refund(window) if self._shared else None
        return self._counters.refund(window) if refunded is None else refunded

    async def ping(self) -> None:
        """Return if the counters that replicas share count; raises `Unavailable` otherwise.

        It makes a hit: a server that is read-only or full answers a PING, and no hit.
        """
        if self._shared is not None and await self._shared.hit(_PROBE, anyway=True) is None:
            raise Unavailable(_MESSAGE, retry_after=_RETRY_AFTER_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        if self._shared is not None:
            await self._shared.redis.aclose()


class _MemoryCounters:
    """Counters of this process: for each length of window a dict, whose first keys are the first to end."""

    def __init__(self) -> None:
        self._windows: dict[int, dict[str, tuple[int, float]]] = {}

    def hit(self, window: _Window) -> tuple[int, float]:
        """Count one if fewer than `amount` are counted; return the count before it, and the seconds left."""
        now = monotonic()
        counts = self._live(window.seconds, now)
        before, ends = counts.get(window.key, (0, now + window.seconds))
        if before < window.amount:
            counts[window.key] = (before + 1, ends)
        return before, ends - now

    def refund(self, window: _Window) -> bool:
        counts = self._live(window.seconds, monotonic())
        count, ends = counts.get(window.key, (0, 0.0))
        if count:
            counts[window.key] = (count - 1, ends)
        return count > 0

    def _live(self, seconds: int, now: float) -> dict[str, tuple[int, float]]:
        counts = self._windows.setdefault(seconds, {})
        while counts and counts[first := next(iter(counts))][1] <= now:
            del counts[first]
        return counts


class _RedisCounters:
    """Counters that replicas share, in keys with a prefix; a method raises `Unavailable` if Redis cannot be used.

    While Redis hangs, a method returns None, and one request tries it again every `_RETRY_AFTER_SECONDS`.
    """

    def __init__(self, url: SecretStr, prefix: str) -> None:
        self._prefix = prefix
        self.redis = Redis.from_url(
            url.get_secret_value(),
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            # For a connection that a restart of Redis has cut; none after a timeout.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._hit = self.redis.register_script(_HIT)
        self._refund = self.redis.register_script(_REFUND)
        self.hangs = False
        self._retry_at = 0.0

    async def hit(self, window: _Window, wanted: int = 1, *, anyway: bool = False) -> tuple[int, float, int] | None:
        """Count as `_MemoryCounters.hit`, up to `wanted` at once; return how many, too. `anyway`: though it hangs."""
        keys, arguments = [self._prefix + window.key], [window.amount, window.seconds * 1000, wanted]
        answer = await self._ask(lambda: self._hit(keys=keys, args=arguments), anyway=anyway)
        return answer and (int(answer[0]), answer[1] / 1000, int(answer[2]))

    async def refund(self, window: _Window) -> bool | None:
        answer = await self._ask(lambda: self._refund(keys=[self._prefix + window.key]))
        return None if answer is None else bool(answer)

    async def _ask(self, command: Callable[[], Awaitable[Any]], *, anyway: bool = False) -> Any:
        """Await the answer of Redis, within `_REDIS_SECONDS` for everything: connect, greet, ask."""
        if self.hangs and monotonic() < self._retry_at and not anyway:
            return None
        self._retry_at = monotonic() + _RETRY_AFTER_SECONDS
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                answer = await command()
        except (TimeoutError, RedisTimeoutError):
            self._note(hangs=True)
            return None
        except (RedisError, OSError):
            self._note(hangs=False)
            raise Unavailable(_MESSAGE, retry_after=_RETRY_AFTER_SECONDS) from None
        self._note(hangs=False)
        return answer

    def _note(self, *, hangs: bool) -> None:
        if hangs != self.hangs:
            _log.warning("rate_limits_local" if hangs else "rate_limits_shared")
        self.hangs = hangs
        self._retry_at = monotonic() + _RETRY_AFTER_SECONDS


def _verdict(limit: RateLimitItem, before: int, seconds_left: float) -> Verdict:
    return Verdict(before < limit.amount, retry_after=max(1, ceil(seconds_left)))


def _window(limit: RateLimitItem, key: tuple[str, ...]) -> _Window:
    return _Window(limit.key_for(*key), limit.amount, limit.get_expiry())


@lru_cache(maxsize=4096)
def subscriber(ip: str) -> str:
    """Return what one subscriber has, to be counted together: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return ip
    return str(address.ipv4_mapped or f"{int(address) >> 64:x}/64")
