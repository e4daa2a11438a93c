"""The two kinds of middleware, and how they read header fields."""

from abc import ABC, abstractmethod

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Problem, send_problem


class HttpMiddleware(ABC):
    """Middleware for HTTP requests. Other scopes (`lifespan`) go straight to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call `handle` for a request."""
        handle = self.handle if scope["type"] == "http" else self.app
        await handle(scope, receive, send)

    @abstractmethod
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or call `self.app`."""


class RequestCheck(HttpMiddleware):
    """Middleware that rejects some requests, before their body is read."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the problem that `check` raises, or call the application."""
        try:
            await self.check(scope)
        except Problem as problem:
            await send_problem(problem, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    @abstractmethod
    async def check(self, scope: Scope) -> None:
        """Raise a `Problem` to reject the request."""


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return the values of every header field of this name, which is in lower case."""
    return [value for key, value in scope["headers"] if key == name]
