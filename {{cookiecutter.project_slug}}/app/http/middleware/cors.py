"""Pages of other origins: those of `CORS_ORIGINS` may call the service, and read its answers (ASVS 3.4.2).

No wildcard, no `null`, no credentials: a token travels in a header that the page sets itself.
"""

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import Forbidden, send_problem
from app.core.events.flow import emit_event
from app.http.events import HttpEvent

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = "Authorization, Content-Type"
_ANSWER_HEADERS = "X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate"
_PREFLIGHT_SECONDS = "600"


class CorsMiddleware:
    """Answers preflights, and tells browsers who may read an answer."""

    def __init__(self, app: ASGIApp, *, origins: Iterable[str]) -> None:
        self.app = app
        self.origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers for an origin that is listed."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin:
            await self.app(scope, receive, send)
            return
        listed = origin in self.origins

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["Access-Control-Allow-Origin"] = origin
                answer["Access-Control-Expose-Headers"] = _ANSWER_HEADERS
                answer["Cross-Origin-Resource-Policy"] = "cross-origin"
            await send(message)

        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            if listed:
                await _PREFLIGHT(scope, receive, send_shared)
            else:
                emit_event(HttpEvent.CROSS_ORIGIN_REFUSED, outcome="denied")
                await send_problem(Forbidden("This origin may not call the service."), scope, receive, send)
            return
        await self.app(scope, receive, send_shared if listed else send)


_PREFLIGHT = Response(
    status_code=204,
    headers={
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
    },
)
