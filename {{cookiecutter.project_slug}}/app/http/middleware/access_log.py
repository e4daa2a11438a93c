"""One line for each request: what was asked, by whom, and how it ended. No path of the client's making, no query."""

from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger("access")


class AccessLogMiddleware:
    """Writes the access line when the answer is complete, or the request is given up."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then log."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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
    """The path of the route with its parameters unfilled; None where no route matched.

    FastAPI keeps the route as it is included, with the prefixes of its routers, beside the route itself.
    """
    included = scope.get("fastapi", {}).get("effective_route_context")
    path: str | None = getattr(included or scope.get("route"), "path", None)
    return path
