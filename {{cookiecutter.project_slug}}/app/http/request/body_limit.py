"""Bounds on the size and the time of bodies (ASVS 5.2.1): `SMALL_BODY`, or what the route's `max_body_size=` says."""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from app.core.errors import BadRequest, Problem
from app.http.request.base import HttpMiddleware, header_values

KIB = 1024
SMALL_BODY = 4 * KIB
MAX_BODY_BYTES = 144 * KIB
BODY_SECONDS = 30.0

_LONGEST_LENGTH = 18
_LIMIT = "body_limit"


@dataclass(eq=False)
class BodyLimitMiddleware(HttpMiddleware):
    """Raises a `Problem` for a `Content-Length` that is too large, or while the application reads too large a body.

    The server drops the rest of a refused body: a client that sends before it reads would lose the answer.
    """

    max_bytes: int = MAX_BODY_BYTES
    seconds: float = BODY_SECONDS

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application with a bounded `receive`."""
        lengths = header_values(scope, b"content-length")
        if lengths and not (len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) <= _LONGEST_LENGTH):
            raise BadRequest("Content-Length is not a number.")
        length = int(lengths[0]) if lengths else 0
        if length > self.max_bytes:
            raise _too_large(self.max_bytes)
        limit_body(scope, self.max_bytes)
        await self.app(scope, self._bounded(scope["state"], length, receive), send)

    def _bounded(self, state: dict[str, Any], length: int, receive: Receive) -> Receive:
        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self.seconds

        async def receive_bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            if length > state[_LIMIT]:
                raise _too_large(state[_LIMIT])
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                headers = {"Connection": "close"}
                raise Problem("The body did not arrive in time.", status=408, headers=headers) from None
            received += len(message.get("body", b""))
            if received > state[_LIMIT]:
                raise _too_large(state[_LIMIT])
            complete = not message.get("more_body", False)
            return message

        return receive_bounded


def limit_body(scope: Scope, longest: int) -> None:
    """Bound the bytes of the request's body; reading more raises a `Problem` with status 413."""
    scope.setdefault("state", {})[_LIMIT] = longest


def _too_large(longest: int) -> Problem:
    return Problem(f"The body is larger than {longest // KIB} KiB.", status=413)
