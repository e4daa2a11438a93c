"""The middleware stack: one literal list, outermost first."""

from functools import partial

from limits import parse as parse_limit
from starlette.middleware import Middleware

from app.core.limits import Limiter
from app.core.settings.model import Settings
from app.http.middleware.access_log import AccessLogMiddleware
from app.http.middleware.audit import AuditMiddleware
from app.http.middleware.checks import TrustedHostCheck, require_https, require_own_origin, require_within_limit
from app.http.middleware.cors import CorsMiddleware
from app.http.middleware.last_resort import LastResortMiddleware
from app.http.middleware.security_headers import SecurityHeadersMiddleware
from app.http.request.allowed_methods import HeadMiddleware, require_known_method
from app.http.request.base import ChecksMiddleware
from app.http.request.body_limit import BodyLimitMiddleware
from app.http.request.proxies import ProxiesMiddleware
from app.http.request.request_id import RequestIdMiddleware
from app.http.request.well_formed import require_well_formed


def middleware(settings: Settings, limiter: Limiter) -> list[Middleware]:
    """Return the middleware of the service, outermost first."""
    https = [require_https] if settings.production else []
    own_hosts = TrustedHostCheck(allowed=settings.allowed_hosts)
    own_origin = partial(require_own_origin, public_url=settings.public_url)
    within_limit = partial(require_within_limit, limiter=limiter, limit=parse_limit(settings.rate_limit_default))
    return [
        # Answers nothing itself; everything below needs the address of the client.
        Middleware(ProxiesMiddleware, trusted=settings.trusted_proxies),
        # Every log line and every answer below has the id.
        Middleware(RequestIdMiddleware),
        # Logs what is sent in the end.
        Middleware(AccessLogMiddleware),
        # Outside of everything that answers or fails.
        Middleware(SecurityHeadersMiddleware, hsts_include_subdomains=settings.hsts_include_subdomains),
        # Inside of the headers, so that a 500 has them; outside of everything that fails.
        Middleware(LastResortMiddleware),
        # Outside of everything that emits events: no answer is sent before they are committed.
        Middleware(AuditMiddleware),
        # From here on a request has one meaning.
        Middleware(ChecksMiddleware, checks=[require_well_formed, own_hosts, *https, require_known_method]),
        # Outside of the checks below, so that a page of a listed origin can read their errors.
        Middleware(CorsMiddleware, origins=settings.cors_origins),
        # A second time, so that such a page can read a 500 too.
        Middleware(LastResortMiddleware),
        # Before anything reads the body.
        Middleware(BodyLimitMiddleware),
        # The limit after the checks that cost nothing.
        Middleware(ChecksMiddleware, checks=[own_origin, within_limit]),
        # Next to the routes, which have GET alone.
        Middleware(HeadMiddleware),
    ]
