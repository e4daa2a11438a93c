"""How often a sign-in may be tried: per address and per account (ASVS 6.3.1).

An attempt is counted before the password is looked at, so that parallel ones cannot slip through, and given back when
it succeeds. An address that the account knows, because its owner has signed in or set a password by mail from there,
has a count of its own for that account, and no other: whoever tries passwords from elsewhere locks out only those who
come from elsewhere, and whoever tries other accounts from the same address locks out nobody who is at home there.

The count belongs to the password that is tried: when the owner sets a new one, it begins anew.
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

    async def reserve(self, mailbox: str, password_hash: str | None, ip: str, *, known_address: bool) -> Attempt:
        """Count an attempt; raises `TooManyRequests` when the address or the account has had its share."""
        # The mailbox is what somebody typed into a field: a digest keeps it out of Redis.
        account = hashlib.sha256(f"{mailbox}\0{password_hash}".encode()).hexdigest()
        keys: list[tuple[str, ...]] = [("signin", "account", account, subscriber(ip))]
        if not known_address:
            keys = [("signin", "address", subscriber(ip)), ("signin", "account", account, "elsewhere")]
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
