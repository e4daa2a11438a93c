"""Checks of a request before its body is read: HTTPS in production, a host of ours, no foreign page, not too many."""

import re
from collections.abc import Iterable
from functools import lru_cache

from limits import RateLimitItem
from starlette.types import Scope

from app.core.errors import BadRequest, Forbidden, TooManyRequests
from app.core.events import emit_event
from app.core.limits import Limiter, subscriber
from app.core.settings.rules import host_name
from app.http.request.base import HttpEvent, header_values
from app.http.request.proxies import client_ip_of

PROBES = frozenset({"/livez", "/readyz"})
"""The health routes. An orchestrator calls them without TLS, and by the address of a container."""

_PORT = re.compile(r":[0-9]{1,5}\Z")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def require_https(scope: Scope) -> None:
    """Raise `Forbidden` for plain HTTP, except for probes: its token was sent in the clear (ASVS 4.1.2)."""
    if scope["scheme"] != "https" and scope["path"] not in PROBES:
        raise Forbidden("This service speaks HTTPS only.")


class TrustedHostCheck:
    """Rejects a request whose `Host` is missing, repeated, malformed or not in `ALLOWED_HOSTS` (ASVS 4.1.3)."""

    def __init__(self, *, allowed: Iterable[str]) -> None:
        self.names = frozenset(allowed)
        self.suffixes = tuple(pattern[1:] for pattern in allowed if pattern.startswith("*."))
        self.is_allowed = lru_cache(maxsize=256)(self._is_allowed)

    def __call__(self, scope: Scope) -> None:
        """Raise `BadRequest` for another host, except for probes."""
        hosts = header_values(scope, b"host")
        if len(hosts) != 1 or not (scope["path"] in PROBES or self.is_allowed(hosts[0])):
            emit_event(HttpEvent.HOST_REFUSED, outcome="denied")
            raise BadRequest("The request is for another host.")

    def _is_allowed(self, host: bytes) -> bool:
        try:
            name = host_name(_PORT.sub("", host.decode("latin-1")))
        except ValueError:
            return False
        return "*" in self.names or name in self.names or bool(self.suffixes and name.endswith(self.suffixes))


def require_own_origin(scope: Scope, *, public_url: str) -> None:
    """Raise `Forbidden` for a page of another origin that sends a cookie with an unsafe method (CSRF, ASVS 3.5.1).

    `CORS_ORIGINS` changes nothing here: the pages that it lists send tokens in a header.
    """
    is_unsafe = scope["method"] not in _SAFE_METHODS and header_values(scope, b"cookie")
    if is_unsafe and not is_own_origin(scope, public_url):
        raise cross_origin_refusal()


def is_own_origin(scope: Scope, public_url: str) -> bool:
    """Return whether the request comes from a page of this service, or from the user.

    `Sec-Fetch-Site`, which no page can set, must be `same-origin` (a page of this service) or `none` (the user). For
    browsers without it, `Origin` must be that of `PUBLIC_URL`. With neither, it does not: every browser sends one.
    """
    sites = header_values(scope, b"sec-fetch-site")
    return sites in ([b"same-origin"], [b"none"]) if sites else header_values(scope, b"origin") == [public_url.encode()]


def cross_origin_refusal() -> Forbidden:
    """Emit the event of a refused cross-origin request, and return the problem to answer with."""
    emit_event(HttpEvent.CROSS_ORIGIN_REFUSED, outcome="denied")
    return Forbidden("A page of another origin may not do this.")


async def require_within_limit(scope: Scope, *, limiter: Limiter, limit: RateLimitItem) -> None:
    """Count the request for its client's address (ASVS 2.4.1), but no probe; raise a `Problem` beyond the limit."""
    if scope["path"] in PROBES:
        return
    verdict = await limiter.hit_often(limit, "requests", subscriber(client_ip_of(scope)))
    if not verdict.allowed:
        emit_event(HttpEvent.RATE_LIMITED, outcome="denied")
        problem = TooManyRequests("Too many requests. Try again later.", retry_after=verdict.retry_after)
        problem.headers["RateLimit-Policy"] = f'"default";q={limit.amount};w={limit.get_expiry()}'
        problem.headers["RateLimit"] = f'"default";r=0;t={verdict.retry_after}'
        raise problem
