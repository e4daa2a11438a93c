"""405 names every method of the path (RFC 9110 section 15.5.6), not those of the first route that matches it alone.

TRACE, which echoes credentials, and methods that nobody has heard of are 405 wherever they go (ASVS 13.4.4).
"""

from re import Pattern

from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import MethodNotAllowed, problem_response, send_problem

_KNOWN = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class KnownMethodsMiddleware:
    """Refuses methods that no route can have."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a known method through."""
        if scope["type"] == "http" and scope["method"] not in _KNOWN:
            await send_problem(_problem(scope), scope, receive, send)
            return
        await self.app(scope, receive, send)


def install_allowed_methods(app: FastAPI) -> None:
    """Answer a method that a path does not have; call it when all routes are in."""
    app.state.methods_by_path = [
        (compile_path(context.path or "")[0], frozenset(context.methods or ()))
        for context in iter_route_contexts(app.routes)
    ]

    async def method_not_allowed(request: Request, _: Exception) -> Response:
        return problem_response(_problem(request.scope), request.scope)

    app.add_exception_handler(405, method_not_allowed)


def _problem(scope: Scope) -> MethodNotAllowed:
    table: list[tuple[Pattern[str], frozenset[str]]] = scope["app"].state.methods_by_path
    allowed = {method for pattern, methods in table if pattern.match(scope["path"]) for method in methods}
    if "GET" in allowed:
        allowed.add("HEAD")
    return MethodNotAllowed("This path does not have the method.", headers={"Allow": ", ".join(sorted(allowed))})
