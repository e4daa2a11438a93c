"""The stack: every middleware in its place, outermost first."""

from limits import parse as parse_limit
from starlette.middleware import Middleware

from app.core.limits.limiter import Limiter
from app.core.settings.model import Settings
from app.http.middleware.access_log import AccessLogMiddleware
from app.http.middleware.audit import AuditMiddleware
from app.http.middleware.cors import CorsMiddleware
from app.http.middleware.cross_origin import CrossOriginMiddleware
from app.http.middleware.head import HeadMiddleware
from app.http.middleware.https import HttpsMiddleware
from app.http.middleware.last_resort import LastResortMiddleware
from app.http.middleware.rate_limit import RateLimitMiddleware
from app.http.middleware.security_headers import SecurityHeadersMiddleware
from app.http.middleware.trusted_host import TrustedHostMiddleware
from app.http.request.allowed_methods import KnownMethodsMiddleware
from app.http.request.body_limit import BodyLimitMiddleware
from app.http.request.proxies import ProxiesMiddleware
from app.http.request.request_id import RequestIdMiddleware
from app.http.request.well_formed import WellFormedMiddleware


def middleware(settings: Settings, limiter: Limiter) -> list[Middleware]:
    """The middleware of the service, outermost first."""
    https = [Middleware(HttpsMiddleware)] if settings.production else []
    return [
        # Answers nothing itself; all below need to know who the client is.
        Middleware(ProxiesMiddleware, trusted=settings.trusted_proxies),
        # Outside of every log line and every answer.
        Middleware(RequestIdMiddleware, trusted=settings.trusted_proxies),
        # Sees what is sent in the end, the answers of all below too.
        Middleware(AccessLogMiddleware),
        # Outside of whatever can answer or crash.
        Middleware(SecurityHeadersMiddleware, hsts_include_subdomains=settings.hsts_include_subdomains),
        # Inside of the headers, so that a 500 has them; outside of all that can crash.
        Middleware(LastResortMiddleware),
        # Outside of whatever refuses: no answer of all below goes out before its events are on record.
        Middleware(AuditMiddleware),
        # From here on a request has one meaning.
        Middleware(WellFormedMiddleware),
        Middleware(TrustedHostMiddleware, allowed=settings.allowed_hosts),
        *https,
        Middleware(KnownMethodsMiddleware),
        # Outside of the refusals below, so that a page of a listed origin can read them.
        Middleware(CorsMiddleware, origins=settings.cors_origins),
        # Once more, for a crash of a route: so that such a page can read that answer too.
        Middleware(LastResortMiddleware),
        # Before anything reads the body.
        Middleware(BodyLimitMiddleware),
        Middleware(CrossOriginMiddleware, public_url=settings.public_url),
        # Counts what is not refused for free.
        Middleware(RateLimitMiddleware, limiter=limiter, limit=parse_limit(settings.rate_limit_default)),
        # Next to the routes, which know GET alone.
        Middleware(HeadMiddleware),
    ]
