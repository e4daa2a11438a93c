"""Limits of sign-ins (ASVS 6.3.1) that do not reveal whether an account exists (ASVS 6.3.8).

An attempt counts for its network (IPv4 address or IPv6 /64), the mailbox in that network, and the mailbox anywhere,
before the password is checked: none slips through. Success is not counted. Over a limit every answer is the same 429
after the same time, but for the right password from a home network (`sessions/devices.py`). After twice the limit of
those, a network gets 429 unchecked, until the window ends; a reset by mail gives its mailbox a few more attempts there.
"""

import hashlib
from uuid import UUID

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute, parse as parse_limit

from app.core.limits import Limiter, Verdict, subscriber
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.events import AccountEvent
from app.features.factors.kinds import APP, FactorKind
from app.features.sessions.devices import Client, device_of

_BEYOND = 2
"""How many times the limit a network may try beyond it. It bounds the hashing that a network can cause."""

_AFTER_RESET = 5
"""How many more attempts a reset gives to its mailbox in its network, if the limit is no lower."""

_ANSWERS, _ANSWERS_A_DAY = RateLimitItemPerMinute(5, 15), RateLimitItemPerDay(20)
"""How many wrong codes of an app a network, or a device that has proved a factor, may give for an account; and all."""


class Attempt:
    """A sign-in that has been counted; `over` is the limit that it was over, if any."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._counted: list[tuple[RateLimitItem, tuple[str, ...]]] = []
        self.over: tuple[Verdict, str] | None = None

    async def count(self, limit: RateLimitItem, *key: str) -> Verdict:
        """Count the attempt if it is within the limit."""
        verdict = await self._limiter.hit(limit, "signin", *key)
        if verdict.allowed:
            self._counted.append((limit, key))
        return verdict

    async def give_back(self) -> None:
        """Take the counts back: the attempt succeeded, or its password was not checked."""
        for limit, key in self._counted:
            await self._limiter.refund(limit, "signin", *key)

    def refuse_over(self, **target: UUID | None) -> None:
        """Raise `TooManyRequests` if it was over a limit; the event names the target."""
        if self.over is not None:
            (verdict, by), over = self.over, "Too many attempts to sign in. Try again later."
            verdict.require(over, AccountEvent.SIGNIN_LIMITED, by=by, **target)


class SignInLimits:
    """Counts the attempts to sign in."""

    def __init__(self, services: Services) -> None:
        self._limiter = services[Limiter]
        self._limit = limit = parse_limit(services[Settings].rate_limit_signin)
        self._beyond = type(limit)(_BEYOND * limit.amount, limit.multiples)

    async def count(self, mailbox: str, ip: str) -> Attempt:
        """Count an attempt; raises `TooManyRequests` if its password is not to be checked."""
        # The mailbox is what was typed into a field: a digest keeps it out of Redis.
        digest, network = hashlib.sha256(mailbox.encode()).hexdigest(), subscriber(ip)
        attempt = Attempt(self._limiter)
        # The network first: one that had its share uses up the attempts of no mailbox.
        for key in (("network", network), ("mailbox", digest, network), ("mailbox", digest)):
            verdict = await attempt.count(self._limit, *key)
            if not verdict.allowed:
                attempt.over = verdict, key[0]
                beyond = not (await attempt.count(self._beyond, "beyond", network)).allowed
                if beyond and not await self._limiter.refund(self._limit, "signin", "reset", digest, network):
                    attempt.refuse_over()
                break
        return attempt

    async def count_answer(self, user_id: UUID | None, kind: FactorKind, client: Client, *, is_known: bool) -> Attempt:
        """Count an answer before it is checked, without a user for its network alone; raises `TooManyRequests`."""
        attempt, user = Attempt(self._limiter), str(user_id)
        # With a device that has proved a factor the owner is still heard: who knows the password, or sets another one
        # by mail, cannot keep them out, also from their network.
        place = device_of(user_id, client).hex() if user_id and is_known else subscriber(client.ip)
        limits: list[tuple[RateLimitItem, tuple[str, ...]]] = [(self._limit, ("passkey", place))]
        if user_id:
            limits = [(_ANSWERS, ("answer", user, place)), (_ANSWERS_A_DAY, ("answer", user))]
        # Nobody guesses a passkey or a recovery code: others can use up no limit of theirs.
        for limit, key in limits if kind == APP or user_id is None else ():
            verdict = await attempt.count(limit, *key)
            if not verdict.allowed and not (is_known and limit is _ANSWERS_A_DAY):
                attempt.over = verdict, "account" if user_id else "network"
                attempt.refuse_over(target_id=user_id)
        return attempt

    async def unlock(self, mailbox: str, ip: str) -> None:
        """Check a few more passwords for the mailbox from that network, however far it is over the limit."""
        digest, network = hashlib.sha256(mailbox.encode()).hexdigest(), subscriber(ip)
        for _ in range(_AFTER_RESET):
            await self._limiter.hit(self._limit, "signin", "reset", digest, network)
