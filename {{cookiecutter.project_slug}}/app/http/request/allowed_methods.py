"""405 for TRACE and unknown methods (ASVS 13.4.4), with all methods of the path; HEAD for each path that has GET."""

from re import Pattern

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path
from starlette.types import Message, Receive, Scope, Send

from app.core.errors import Problem, answer_with
from app.http.request.base import HttpMiddleware

KNOWN_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_SET_BY_ROUTING = ("route", "fastapi", "endpoint", "path_params")


def require_known_method(scope: Scope) -> None:
    """Raise a `Problem` with status 405 for a method that no route can have."""
    if scope["method"] not in KNOWN_METHODS:
        raise _problem(scope)


def install_allowed_methods(app: FastAPI) -> None:
    """Install the handler of 405 (RFC 9110 section 15.5.6). Call it after all routes are included."""
    app.state.methods_by_path = [
        (compile_path(context.path or "")[0], frozenset(context.methods or ()))
        for context in iter_route_contexts(app.routes)
    ]
    answer_with(app, 405, lambda _, scope: _problem(scope))


def _problem(scope: Scope) -> Problem:
    table: list[tuple[Pattern[str], frozenset[str]]] = scope["app"].state.methods_by_path
    allowed = {method for pattern, methods in table if pattern.match(scope["path"]) for method in methods}
    if "GET" in allowed:
        allowed.add("HEAD")
    headers = {"Allow": ", ".join(sorted(allowed))}
    return Problem("This path does not have the method.", status=405, headers=headers)


class HeadMiddleware(HttpMiddleware):
    """Answers HEAD as GET, without the content (RFC 9110 section 9.3.2)."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_content(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        asked = {**scope, "method": "GET"}
        try:
            await self.app(asked, receive, send_without_content)
        finally:
            scope.update({key: asked[key] for key in _SET_BY_ROUTING if key in asked})
