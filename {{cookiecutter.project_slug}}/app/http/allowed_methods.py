"""405 names every method of the path (RFC 9110 section 15.5.6), not those of the first route that matches it alone."""

from re import Pattern

from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette.responses import Response
from starlette.routing import compile_path

from app.core.errors import MethodNotAllowed, problem_response


def install_allowed_methods(app: FastAPI) -> None:
    """Answer a method that a path does not have; call it when all routes are in."""
    table: list[tuple[Pattern[str], set[str]]] = [
        (compile_path(context.path or "")[0], set(context.methods or ())) for context in iter_route_contexts(app.routes)
    ]

    async def method_not_allowed(request: Request, _: Exception) -> Response:
        path: str = request.scope["path"]
        allowed = set().union(*(methods for pattern, methods in table if pattern.match(path)))
        if "GET" in allowed:
            allowed.add("HEAD")
        problem = MethodNotAllowed(
            "This path does not have the method.", headers={"Allow": ", ".join(sorted(allowed))}
        )
        return problem_response(problem, request.scope)

    app.add_exception_handler(405, method_not_allowed)
