"""The id of a request, on its answer and its log lines (ASVS 16.2.1). Only a trusted proxy may send one."""

import re
from os import urandom

from starlette.types import Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from app.http.request.base import HttpMiddleware, at_start, header_values
from app.http.request.proxies import client_ip_of

HEADER = b"x-request-id"

_ACCEPTED = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)


class RequestIdMiddleware(HttpMiddleware):
    """Sets the id of the request, and binds it and the client's address to the log context."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        sent = header_values(scope, HEADER) if state.get("from_proxy") else []
        text = sent[0].decode("latin-1") if len(sent) == 1 else ""
        state["request_id"] = request_id = text if _ACCEPTED.fullmatch(text) else new_request_id()
        header = (HEADER, request_id.encode())

        def name(message: Message) -> None:
            message["headers"] = [*message.get("headers", ()), header]

        bound = bind_contextvars(request_id=request_id, client=client_ip_of(scope))
        try:
            await self.app(scope, receive, at_start(send, name))
        finally:
            reset_contextvars(**bound)


def new_request_id() -> str:
    """Make a random id."""
    return urandom(16).hex()
