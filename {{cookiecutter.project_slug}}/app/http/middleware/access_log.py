"""One log line for each request: method, route, principal and status. The path as sent and the query are left out."""

from time import perf_counter

import structlog
from starlette.types import Message, Receive, Scope, Send

from app.http.request.base import HttpMiddleware

_log = structlog.get_logger("access")


class AccessLogMiddleware(HttpMiddleware):
    """Writes the line when the answer is complete, or the request failed."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then log."""
        started = perf_counter()
        status: int | None = None

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        finally:
            _log.info(
                "request",
                method=scope["method"],
                route=route_template(scope),
                status=status,
                duration_ms=round((perf_counter() - started) * 1000, 1),
                principal_id=scope.get("state", {}).get("principal_id"),
            )


def route_template(scope: Scope) -> str | None:
    """Return the path of the matched route, with its parameters unfilled and the prefixes of its routers, or `None`."""
    included = scope.get("fastapi", {}).get("effective_route_context")
    path: str | None = getattr(included or scope.get("route"), "path", None)
    return path
