"""Middleware, the checks of one of them, and how they read header fields."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Problem, send_problem


class HttpMiddleware(ABC):
    """Middleware for HTTP requests. Other scopes (`lifespan`) go straight to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call `handle` for a request."""
        handle = self.handle if scope["type"] == "http" else self.app
        return handle(scope, receive, send)

    @abstractmethod
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or call `self.app`."""


class ChecksMiddleware(HttpMiddleware):
    """Makes checks, one after the other, before the body is read: each raises a `Problem` to reject the request."""

    def __init__(self, app: ASGIApp, *, checks: Sequence[Callable[[Scope], None]]) -> None:
        super().__init__(app)
        self.checks = checks

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the problem that a check raises, or call the application."""
        try:
            for check in self.checks:
                check(scope)
        except Problem as problem:
            await send_problem(problem, scope, receive, send)
        else:
            await self.app(scope, receive, send)


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return the values of every header field of this name, which is in lower case."""
    return [value for key, value in scope["headers"] if key == name]
