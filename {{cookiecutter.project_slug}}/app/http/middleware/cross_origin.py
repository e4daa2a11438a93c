"""Cross-site requests with a session cookie are rejected (CSRF, ASVS 3.5.1).

This concerns unsafe methods with a cookie alone; a request without one has no authority to abuse. In this order:

1. `Sec-Fetch-Site`, which no page can set, must be `same-origin` (a page of this service) or `none` (the user).
2. `Origin`, for browsers without Fetch Metadata, must be that of `PUBLIC_URL`.
3. A request with neither is rejected, because every current browser sends one of them.

`CORS_ORIGINS` changes nothing here: the pages that it lists send tokens in a header.
"""

from starlette.types import Scope

from app.core.errors import Forbidden
from app.core.events.flow import emit_event
from app.http.events import HttpEvent
from app.http.request.base import RequestCheck, header_values

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = ([b"same-origin"], [b"none"])


class CrossOriginCheck(RequestCheck):
    """Rejects a cross-origin request that has a cookie and an unsafe method."""

    def __init__(self, *, public_url: str) -> None:
        self.public_url = public_url

    def check(self, scope: Scope) -> None:
        """Raise `Forbidden` for a page of another origin."""
        is_unsafe = scope["method"] not in _SAFE_METHODS and header_values(scope, b"cookie")
        if is_unsafe and not is_own_origin(scope, self.public_url):
            raise cross_origin_refusal()


def is_own_origin(scope: Scope, public_url: str) -> bool:
    """Return whether the request comes from a page of this service, or from the user."""
    sites = header_values(scope, b"sec-fetch-site")
    return sites in _OWN_SITES if sites else header_values(scope, b"origin") == [public_url.encode()]


def cross_origin_refusal() -> Forbidden:
    """Emit the event of a refused cross-origin request, and return the problem to answer with."""
    emit_event(HttpEvent.CROSS_ORIGIN_REFUSED, outcome="denied")
    return Forbidden("A page of another origin may not do this.")
