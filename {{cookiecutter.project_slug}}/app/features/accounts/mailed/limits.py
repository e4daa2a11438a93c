"""Limits of requests for mail: by one client, for one mailbox, and by one account (ASVS 2.4.1).

A client over its limit gets 429. A mailbox over its limit gets no more mail, and the same answer as ever. Each kind is
counted apart for as long as a token lives: who uses up a limit has filled the mailbox with tokens that work. Revoking
them begins the count of resets anew. A change of address counts for the account that asks: no stranger uses it up.
"""

from uuid import UUID

from limits import RateLimitItem, RateLimitItemPerHour
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import digest
from app.core.errors import TooManyRequests
from app.core.events import emit_event
from app.core.limits import Limiter, Verdict, subscriber
from app.features.accounts.events import AccountEvent
from app.features.accounts.models import User

MAILS_PER_HOUR = RateLimitItemPerHour(5)
RECOVERY = "recovery"


class MailLimits:
    """Counts requests for mail."""

    def __init__(self, limiter: Limiter, per_client: RateLimitItem) -> None:
        self._limiter = limiter
        self._per_client = per_client

    async def admit_client(self, ip: str) -> None:
        """Count a request of a client; raises `TooManyRequests`."""
        verdict = await self._limiter.hit(self._per_client, "mail", "client", subscriber(ip))
        if not verdict.allowed:
            emit_event(AccountEvent.MAIL_LIMITED, outcome="denied", by="client")
            raise too_many(verdict)

    async def admit_guess(self, user_id: UUID) -> None:
        """Count a password that is given with a token for an unconfirmed account; raises `TooManyRequests`."""
        verdict = await self._limiter.hit(self._per_client, "password", "registered", str(user_id))
        if not verdict.allowed:
            emit_event(AccountEvent.SIGNIN_LIMITED, outcome="denied", by="token", user_id=user_id)
            raise TooManyRequests("Too many attempts with a wrong password.", retry_after=verdict.retry_after)

    async def admit(self, purpose: str, whose: str, *, by: str = "mailbox") -> Verdict:
        """Count a request for mail to a mailbox, or of an account; the caller sends none if it is not allowed."""
        verdict = await self._limiter.hit(MAILS_PER_HOUR, "mail", purpose, digest(whose).hex())
        if not verdict.allowed:
            emit_event(AccountEvent.MAIL_LIMITED, outcome="denied", by=by)
        return verdict

    async def allow_recovery(self, db: AsyncSession, user_id: UUID) -> None:
        """Begin the count of an account's resets anew: the tokens that used it up are revoked."""
        mailbox = await db.scalar(select(User.mailbox).where(User.id == user_id))
        if mailbox is not None:
            await self._limiter.clear(MAILS_PER_HOUR, "mail", RECOVERY, digest(mailbox).hex())


def too_many(verdict: Verdict) -> TooManyRequests:
    """Return the error that says when to try again."""
    return TooManyRequests("Too many requests for mail. Try again later.", retry_after=verdict.retry_after)
