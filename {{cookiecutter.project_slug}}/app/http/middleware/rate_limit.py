"""`RATE_LIMIT_DEFAULT` for every address (ASVS 2.4.1). The probes of an orchestrator are not counted."""

from limits import RateLimitItem
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import TooManyRequests, send_problem
from app.core.events.flow import emit_event
from app.core.limits.limiter import Limiter, subscriber
from app.http.events import HttpEvent
from app.http.middleware.https import PROBES
from app.http.request.proxies import client_ip_of


class RateLimitMiddleware:
    """Refuses what is beyond the limit, and says when to come back."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter, limit: RateLimitItem) -> None:
        self.app = app
        self.limiter = limiter
        self.limit = limit
        self.policy = f'"default";q={limit.amount};w={limit.get_expiry()}'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            verdict = await self.limiter.hit(self.limit, "requests", subscriber(client_ip_of(scope)))
            if not verdict.allowed:
                emit_event(HttpEvent.RATE_LIMITED, outcome="denied")
                problem = TooManyRequests("Too many requests. Try again later.", retry_after=verdict.retry_after)
                problem.headers["RateLimit-Policy"] = self.policy
                problem.headers["RateLimit"] = f'"default";r=0;t={verdict.retry_after}'
                await send_problem(problem, scope, receive, send)
                return
        await self.app(scope, receive, send)
