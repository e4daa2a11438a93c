"""Requests that a browser sends with a cookie because a page of somebody else told it to (ASVS 3.5.1).

Only unsafe methods with a cookie are asked: without a cookie, nothing is there to be abused. In this order:

1. `Sec-Fetch-Site`, which no page can set: `same-origin` is a page of ours, `none` is the user's own doing.
2. `Origin`, for anything else and for browsers without Fetch Metadata: ours, or one that `CORS_ORIGINS` lists.
3. Neither of them: refused, for no browser of today sends a cookie without either.
"""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Forbidden, send_problem
from app.core.security_events import SecurityEvent, security_event

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = ([b"same-origin"], [b"none"])


class OriginRule:
    """Tells which requests come from our own pages, from the user, or from a listed origin."""

    def __init__(self, *, public_url: str, origins: Iterable[str]) -> None:
        self._own = public_url.encode()
        self._listed = frozenset(origin.encode() for origin in origins)

    def is_ours(self, scope: Scope) -> bool:
        """Whether the request may change something."""
        sites, origins = _values(scope, b"sec-fetch-site"), _values(scope, b"origin")
        if sites in _OWN_SITES:
            return True
        if len(origins) != 1:
            return False
        if sites:
            return origins[0] in self._listed
        return origins[0] == self._own or origins[0] in self._listed


class CrossOriginMiddleware:
    """Refuses a cross-origin request that carries a cookie and could change something."""

    def __init__(self, app: ASGIApp, *, rule: OriginRule) -> None:
        self.app = app
        self.rule = rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let requests of our own pages, and of listed origins, through."""
        asked = scope["type"] == "http" and scope["method"] not in _SAFE_METHODS and _values(scope, b"cookie")
        if asked and not self.rule.is_ours(scope):
            await send_problem(cross_origin_refusal(), scope, receive, send)
            return
        await self.app(scope, receive, send)


def cross_origin_refusal() -> Forbidden:
    """The answer to a page of another origin, told as a security event."""
    security_event(SecurityEvent.CROSS_ORIGIN_REFUSED, outcome="denied")
    return Forbidden("A page of another origin may not do this.")


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
