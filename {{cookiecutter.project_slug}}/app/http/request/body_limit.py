"""Bounds on the size and the time of bodies (ASVS 5.2.1): `SMALL_BODY`, or what the route's `max_body_size=` says."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

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

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        lengths = header_values(scope, b"content-length")
        if lengths and not (len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) <= _LONGEST_LENGTH):
            raise BadRequest("Content-Length is not a number.")
        length = int(lengths[0]) if lengths else 0
        if length > self.max_bytes:
            await _read_on(scope, receive)
            raise _too_large(self.max_bytes)
        limit_body(scope, self.max_bytes)
        await self.app(scope, self._bounded(scope, length, receive), send)

    def _bounded(self, scope: Scope, length: int, receive: Receive) -> Receive:
        state, received = scope["state"], 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self.seconds

        async def receive_bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message: Message = {} if length > state[_LIMIT] else await receive()
            except TimeoutError:
                headers = {"Connection": "close"}
                raise Problem("The body did not arrive in time.", status=408, headers=headers) from None
            received += len(message.get("body", b""))
            if max(length, received) > state[_LIMIT]:
                await _read_on(scope, receive)
                raise _too_large(state[_LIMIT])
            complete = not message.get("more_body", False)
            return message

        return receive_bounded


def limit_body(scope: Scope, longest: int) -> None:
    """Bound the bytes of the request's body; reading more raises a `Problem` with status 413."""
    scope.setdefault("state", {})[_LIMIT] = longest


async def _read_on(scope: Scope, receive: Receive) -> None:
    """Read on for a second where the connection is to close: a reset would lose the answer (RFC 9112 section 9.6)."""
    if header_values(scope, b"connection") == [b"close"] and not header_values(scope, b"expect"):
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while (await receive()).get("more_body"):
                    pass


def _too_large(longest: int) -> Problem:
    return Problem(f"The body is larger than {longest // KIB} KiB.", status=413)
