"""One log line for each request: method, route, principal and status. The path as sent and the query are left out."""

from time import perf_counter
from typing import Any

from starlette.types import Receive, Scope, Send

from app.core.logging.redaction import redact_text
from app.core.logging.setup import log_plain
from app.http.request.base import HttpMiddleware, at_start
from app.http.request.proxies import client_ip_of


class AccessLogMiddleware(HttpMiddleware):
    """Writes the line when the answer is complete, or the request failed."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, answer = perf_counter(), dict[str, Any]()
        try:
            await self.app(scope, receive, at_start(send, answer.update))
        finally:
            state = scope.get("state", {})
            fields = {
                "method": redact_text(scope["method"]),
                "route": route_template(scope),
                "status": answer.get("status"),
                "duration_ms": round((perf_counter() - started) * 1000, 1),
                "principal_id": state.get("principal_id"),
                "request_id": state.get("request_id"),
                "client": client_ip_of(scope),
            }
            log_plain("access", "request", fields)


def route_template(scope: Scope) -> str | None:
    """Return the path of the matched route, with its parameters unfilled and the prefixes of its routers, or `None`."""
    included = scope.get("fastapi", {}).get("effective_route_context")
    path: str | None = getattr(included or scope.get("route"), "path", None)
    return path
