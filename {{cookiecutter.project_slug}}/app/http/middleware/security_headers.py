"""Security headers on every answer (ASVS 3.4, 14.3.2). An answer that sets one of them itself keeps its value."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.request.base import HttpMiddleware, at_start

# All but `Strict-Transport-Security`, which is a setting.
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not no-referrer: browsers then send `Origin: null` with their own forms.
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-permitted-cross-domain-policies", b"none"),
    # Answers depend on the caller, so no cache may keep them.
    (b"cache-control", b"no-store"),
)


def security_headers(*, hsts_include_subdomains: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Return every header; `Strict-Transport-Security` (RFC 6797 §6.1) is for two years."""
    hsts = b"max-age=63072000" + (b"; includeSubDomains" if hsts_include_subdomains else b"")
    return ((b"strict-transport-security", hsts), *HEADERS)


class SecurityHeadersMiddleware(HttpMiddleware):
    """Adds the headers that an answer does not have."""

    def __init__(self, app: ASGIApp, *, hsts_include_subdomains: bool) -> None:
        super().__init__(app)
        self.headers = security_headers(hsts_include_subdomains=hsts_include_subdomains)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:

        def add(message: Message) -> None:
            own = list(message.get("headers", ()))
            present = {name.lower() for name, _ in own}
            missing = [header for header in self.headers if header[0] not in present]
            message["headers"] = [*own, *missing, (b"vary", b"Authorization, Cookie, Origin")]

        await self.app(scope, receive, at_start(send, add))
