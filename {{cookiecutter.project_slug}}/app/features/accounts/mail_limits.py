"""How much mail can be asked for: by one client, and for one mailbox (ASVS 2.4.1).

A client that asks too often is told so. A mailbox that had its share gets no more, and whoever asked gets the same
answer as ever: nobody is flooded, and nobody learns whose mailbox it is. The window is as long as a token lives, and
each kind of request is counted apart: who fills somebody's mailbox has filled it with tokens that work.
"""

import hashlib

from limits import RateLimitItem, RateLimitItemPerHour

from app.core.errors import TooManyRequests
from app.core.limiter import Limiter, Verdict, subscriber
from app.core.security_events import SecurityEvent, security_event

MAILS_PER_MAILBOX = RateLimitItemPerHour(5)


class MailLimits:
    """Counts the requests for mail."""

    def __init__(self, limiter: Limiter, per_client: RateLimitItem) -> None:
        self._limiter = limiter
        self._per_client = per_client

    async def admit_client(self, ip: str) -> None:
        """Count a request of a client; raises `TooManyRequests`."""
        verdict = await self._limiter.hit(self._per_client, "mail", "client", subscriber(ip))
        if not verdict.allowed:
            security_event(SecurityEvent.MAIL_LIMITED, outcome="denied", by="client")
            raise too_many(verdict)

    async def admit_mailbox(self, purpose: str, mailbox: str) -> Verdict:
        """Count a request for mail to a mailbox; the caller sends none where it is not allowed."""
        digest = hashlib.sha256(mailbox.encode()).hexdigest()
        verdict = await self._limiter.hit(MAILS_PER_MAILBOX, "mail", purpose, digest)
        if not verdict.allowed:
            security_event(SecurityEvent.MAIL_LIMITED, outcome="denied", by="mailbox")
        return verdict


def too_many(verdict: Verdict) -> TooManyRequests:
    """The answer that says when to come back."""
    return TooManyRequests("Too many requests for mail. Try again later.", retry_after=verdict.retry_after)
