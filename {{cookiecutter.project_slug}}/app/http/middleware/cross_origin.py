"""Requests that a browser sends with a cookie because a page of somebody else told it to (ASVS 3.5.1).

Only unsafe methods with a cookie are asked: without a cookie, nothing is there to be abused. In this order:

1. `Sec-Fetch-Site`, which no page can set: `same-origin` is a page of ours, `none` is the user's own doing, anything
   else is refused.
2. `Origin`, for browsers without Fetch Metadata: it must be the one of `PUBLIC_URL`.
3. Neither of them: refused, for no browser of today sends a cookie without either.

`CORS_ORIGINS` changes nothing here: the pages that it lists send tokens in a header, never our cookie.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Forbidden, send_problem
from app.core.events.flow import emit_event
from app.http.events import HttpEvent

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = ([b"same-origin"], [b"none"])


class CrossOriginMiddleware:
    """Refuses a cross-origin request that carries a cookie and could change something."""

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self.app = app
        self.public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let requests of our own pages, and of the user, through."""
        asked = scope["type"] == "http" and scope["method"] not in _SAFE_METHODS and _values(scope, b"cookie")
        if asked and not is_own_origin(scope, self.public_url):
            await send_problem(cross_origin_refusal(), scope, receive, send)
            return
        await self.app(scope, receive, send)


def is_own_origin(scope: Scope, public_url: str) -> bool:
    """Whether the request comes from a page of this service, or from the user."""
    sites = _values(scope, b"sec-fetch-site")
    return sites in _OWN_SITES if sites else _values(scope, b"origin") == [public_url.encode()]


def cross_origin_refusal() -> Forbidden:
    """The answer to a page of another origin, told as a security event."""
    emit_event(HttpEvent.CROSS_ORIGIN_REFUSED, outcome="denied")
    return Forbidden("A page of another origin may not do this.")


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
