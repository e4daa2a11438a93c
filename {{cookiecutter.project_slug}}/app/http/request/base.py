"""Middleware, the checks of one of them, their security events, and how they read header fields."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import Problem, send_problem
from app.core.events import SecurityEvent


class HttpEvent(SecurityEvent):
    """Security events of the HTTP layer."""

    CROSS_ORIGIN_REFUSED = "cross_origin_refused"
    HOST_REFUSED = "host_refused"
    RATE_LIMITED = "rate_limited"


@dataclass(eq=False)
class HttpMiddleware(ABC):
    """Middleware for HTTP requests. Other scopes (`lifespan`) go straight to the application."""

    app: ASGIApp

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call `_handle` for a request."""
        handle = self._handle if scope["type"] == "http" else self.app
        return handle(scope, receive, send)

    @abstractmethod
    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or call `self.app`."""


@dataclass(eq=False)
class ChecksMiddleware(HttpMiddleware):
    """Makes checks, one after the other, before the body is read: each raises a `Problem` to reject the request."""

    checks: Sequence[Callable[[Scope], Awaitable[None] | None]]

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for check in self.checks:
                if waits := check(scope):
                    await waits
        except Problem as problem:
            await send_problem(problem, scope, receive, send)
        else:
            await self.app(scope, receive, send)


def at_start(send: Send, note: Callable[[Message], object]) -> Send:
    """Return a `send` that calls `note` with the message that starts the answer, which it may change, and sends on."""

    async def send_noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            note(message)
        await send(message)

    return send_noted


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return the values of every header field of this name, which is in lower case."""
    return [value for key, value in scope["headers"] if key == name]


def scheme_and_credentials(value: str) -> tuple[str, str]:
    """Return the scheme of an `Authorization` header in lower case, and the credentials (RFC 9110 section 11.4)."""
    scheme, _, credentials = value.strip(" \t").partition(" ")
    return scheme.lower(), credentials.lstrip(" ")
