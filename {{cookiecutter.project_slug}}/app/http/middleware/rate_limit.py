"""`RATE_LIMIT_DEFAULT` for each client address (ASVS 2.4.1). Probes are not counted."""

from dataclasses import dataclass

from limits import RateLimitItem
from starlette.types import Receive, Scope, Send

from app.core.errors import TooManyRequests
from app.core.events import emit_event
from app.core.limits import Limiter, subscriber
from app.http.middleware.checks import PROBES
from app.http.request.base import HttpEvent, HttpMiddleware
from app.http.request.proxies import client_ip_of


@dataclass(eq=False)
class RateLimitMiddleware(HttpMiddleware):
    """Rejects requests over the limit, and says when to retry."""

    limiter: Limiter
    limit: RateLimitItem

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in PROBES:
            verdict = await self.limiter.hit_often(self.limit, "requests", subscriber(client_ip_of(scope)))
            if not verdict.allowed:
                emit_event(HttpEvent.RATE_LIMITED, outcome="denied")
                problem = TooManyRequests("Too many requests. Try again later.", retry_after=verdict.retry_after)
                problem.headers["RateLimit-Policy"] = f'"default";q={self.limit.amount};w={self.limit.get_expiry()}'
                problem.headers["RateLimit"] = f'"default";r=0;t={verdict.retry_after}'
                raise problem
        await self.app(scope, receive, send)
