"""How often a sign-in may be tried: per address and per account (ASVS 6.3.1).

An attempt is counted before the password is looked at, so that parallel ones cannot slip through, and given back when
it succeeds. An address from which the account has signed in before has a count of its own: whoever tries passwords
from elsewhere locks out only those who come from elsewhere, not the owner.
"""

import hashlib

from limits import RateLimitItem

from app.core.errors import TooManyRequests
from app.core.limiter import Limiter, subscriber
from app.core.security_events import SecurityEvent, security_event


class Attempt:
    """A sign-in that has been counted."""

    def __init__(self, limiter: Limiter, limit: RateLimitItem, keys: list[tuple[str, ...]]) -> None:
        self._limiter = limiter
        self._limit = limit
        self._keys = keys

    async def give_back(self) -> None:
        """Count it no longer: it succeeded, or was never looked at."""
        for key in self._keys:
            await self._limiter.refund(self._limit, *key)


class SignInLimits:
    """Counts the attempts to sign in."""

    def __init__(self, limiter: Limiter, limit: RateLimitItem) -> None:
        self._limiter = limiter
        self._limit = limit

    async def reserve(self, mailbox: str, ip: str, *, known_address: bool) -> Attempt:
        """Count an attempt; raises `TooManyRequests` when the address or the account has had its share."""
        # The mailbox is what somebody typed into a field: a digest keeps it out of Redis.
        account = hashlib.sha256(mailbox.encode()).hexdigest()
        keys = [
            ("signin", "address", subscriber(ip)),
            ("signin", "account", account, subscriber(ip) if known_address else "elsewhere"),
        ]
        reserved: list[tuple[str, ...]] = []
        for key in keys:
            verdict = await self._limiter.hit(self._limit, *key)
            if not verdict.allowed:
                await Attempt(self._limiter, self._limit, reserved).give_back()
                security_event(SecurityEvent.SIGNIN_LIMITED, outcome="denied", by=key[1])
                message = "Too many attempts to sign in. Try again later."
                raise TooManyRequests(message, retry_after=verdict.retry_after)
            reserved.append(key)
        return Attempt(self._limiter, self._limit, keys)
