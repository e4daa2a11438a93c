"""Limits of requests for mail: by one client, for one mailbox, and by one account (ASVS 2.4.1).

A client over its limit gets 429. A mailbox over its limit gets no more mail, and the answer is the same as ever: it
does not reveal whether the mailbox has an account. The window is as long as a token lives, and each kind of request is
counted apart: an attacker who uses up a limit has filled the mailbox with tokens that work.

The tokens of a change of address work only for the account that asked. So the account is counted, not the mailbox: a
stranger cannot use up the limit of its owner.
"""

import hashlib
from uuid import UUID

from limits import RateLimitItem, RateLimitItemPerHour

from app.core.errors import TooManyRequests
from app.core.events.flow import emit_event
from app.core.limits.limiter import Limiter, Verdict, subscriber
from app.features.accounts.events import AccountEvent

MAILS_PER_HOUR = RateLimitItemPerHour(5)


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

    async def admit_mailbox(self, purpose: str, mailbox: str) -> Verdict:
        """Count a request for mail to a mailbox; the caller sends none if it is not allowed."""
        return await self._admit(purpose, hashlib.sha256(mailbox.encode()).hexdigest(), by="mailbox")

    async def admit_account(self, purpose: str, user_id: UUID) -> bool:
        """Count a request of an account for mail to any address; the caller sends none if it is not allowed."""
        return (await self._admit(purpose, str(user_id), by="account")).allowed

    async def _admit(self, purpose: str, whose: str, *, by: str) -> Verdict:
        verdict = await self._limiter.hit(MAILS_PER_HOUR, "mail", purpose, whose)
        if not verdict.allowed:
            emit_event(AccountEvent.MAIL_LIMITED, outcome="denied", by=by)
        return verdict


def too_many(verdict: Verdict) -> TooManyRequests:
    """Return the error that says when to try again."""
    return TooManyRequests("Too many requests for mail. Try again later.", retry_after=verdict.retry_after)
