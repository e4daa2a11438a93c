"""A name for every request, on every answer and every log line (ASVS 16.2.1).

A trusted proxy may bring one, where it fits a strict pattern; nobody else can choose what is written to the log.
"""

import re
from os import urandom

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from app.http.request.proxies import Networks, client_ip_of, is_trusted

HEADER = b"x-request-id"

_ID_BYTES = 16
_ACCEPTED = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)


class RequestIdMiddleware:
    """Names the request and binds its name and client to the log context."""

    def __init__(self, app: ASGIApp, *, trusted: Networks) -> None:
        self.app = app
        self.trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = self._brought(scope) or new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        header = (HEADER, request_id.encode())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        bound = bind_contextvars(request_id=request_id, client=client_ip_of(scope))
        try:
            await self.app(scope, receive, send_named)
        finally:
            reset_contextvars(**bound)

    def _brought(self, scope: Scope) -> str | None:
        client = scope.get("client")
        if not (self.trusted and client and is_trusted(client[0], self.trusted)):
            return None
        brought = [value.decode("latin-1") for key, value in scope["headers"] if key == HEADER]
        return brought[0] if len(brought) == 1 and _ACCEPTED.fullmatch(brought[0]) else None


def new_request_id() -> str:
    """A name that nobody had before."""
    return urandom(_ID_BYTES).hex()


def request_id_of(scope: Scope) -> str | None:
    """The name of the request."""
    request_id: str | None = scope.get("state", {}).get("request_id")
    return request_id
