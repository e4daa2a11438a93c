"""CORS: pages of `CORS_ORIGINS` may call with a token in a header (ASVS 3.4.2). No wildcard, `null` or credentials."""

from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.core.errors import Forbidden, send_problem
from app.core.events import emit_event
from app.http.request.base import HttpEvent, HttpMiddleware, at_start

_ANSWER_HEADERS = "X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate"
_PREFLIGHT = Response(
    status_code=204,
    headers={
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": "600",
    },
)


@dataclass(eq=False)
class CorsMiddleware(HttpMiddleware):
    """Answers preflights, and adds the CORS headers to other answers."""

    origins: Collection[str]

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin:
            await self.app(scope, receive, send)
            return
        listed = origin in self.origins

        def share(message: Message) -> None:
            answer = MutableHeaders(scope=message)
            answer["Access-Control-Allow-Origin"] = origin
            answer["Access-Control-Expose-Headers"] = _ANSWER_HEADERS
            answer["Cross-Origin-Resource-Policy"] = "cross-origin"

        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            if listed:
                await _PREFLIGHT(scope, receive, at_start(send, share))
            else:
                emit_event(HttpEvent.CROSS_ORIGIN_REFUSED, outcome="denied")
                await send_problem(Forbidden("This origin may not call the service."), scope, receive, send)
            return
        await self.app(scope, receive, at_start(send, share) if listed else send)
