"""Cross-site requests with a session cookie are rejected (CSRF, ASVS 3.5.1).

`Sec-Fetch-Site`, which no page can set, must be `same-origin` (a page of this service) or `none` (the user). For
browsers without it, `Origin` must be that of `PUBLIC_URL`. A request with neither is rejected: every browser sends one.
`CORS_ORIGINS` changes nothing here: the pages that it lists send tokens in a header.
"""

from starlette.types import Scope

from app.core.errors import Forbidden
from app.core.events import emit_event
from app.http.events import HttpEvent
from app.http.request.base import header_values

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = ([b"same-origin"], [b"none"])


def require_own_origin(scope: Scope, *, public_url: str) -> None:
    """Raise `Forbidden` for a page of another origin that sends a cookie with an unsafe method."""
    is_unsafe = scope["method"] not in _SAFE_METHODS and header_values(scope, b"cookie")
    if is_unsafe and not is_own_origin(scope, public_url):
        raise cross_origin_refusal()


def is_own_origin(scope: Scope, public_url: str) -> bool:
    """Return whether the request comes from a page of this service, or from the user."""
    sites = header_values(scope, b"sec-fetch-site")
    return sites in _OWN_SITES if sites else header_values(scope, b"origin") == [public_url.encode()]


def cross_origin_refusal() -> Forbidden:
    """Emit the event of a refused cross-origin request, and return the problem to answer with."""
    emit_event(HttpEvent.CROSS_ORIGIN_REFUSED, outcome="denied")
    return Forbidden("A page of another origin may not do this.")
