"""Bodies that end: bounded in size and in time, before anything is made of them (ASVS 5.2.1).

No body is larger than `MAX_BODY_BYTES`; a route reads `SMALL_BODY` of them, unless it says `max_body_size=`.
"""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import BadRequest, PayloadTooLarge, RequestTimeout, send_problem

KIB = 1024
SMALL_BODY = 4 * KIB
MAX_BODY_BYTES = 144 * KIB
BODY_SECONDS = 30.0

_LONGEST_LENGTH = 18
_LIMIT = "body_limit"


class BodyLimitMiddleware:
    """Refuses a body that says it is too large; raises the same `Problem` while reading one that turns out so.

    The connection stays open for the rest of a refused body, which the server drops: a client that sends before it
    reads would lose the answer with the connection. `deadline_protocol.py` bounds that.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through with a bounded `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if lengths and not (len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) <= _LONGEST_LENGTH):
            await send_problem(BadRequest("Content-Length is not a number."), scope, receive, send)
        elif lengths and int(lengths[0]) > self.max_bytes:
            await send_problem(_too_large(self.max_bytes), scope, receive, send)
        else:
            scope.setdefault("state", {})[_LIMIT] = self.max_bytes
            await self.app(scope, self._bounded(scope["state"], int(lengths[0]) if lengths else 0, receive), send)

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
                message_text = "The body did not arrive in time."
                raise RequestTimeout(message_text, headers={"Connection": "close"}) from None
            received += len(message.get("body", b""))
            if received > state[_LIMIT]:
                raise _too_large(state[_LIMIT])
            complete = not message.get("more_body", False)
            return message

        return receive_bounded


def limit_body(scope: Scope, longest: int) -> None:
    """Let no more than so many bytes of the request's body be read: more is a `PayloadTooLarge` to whoever reads."""
    scope.setdefault("state", {})[_LIMIT] = longest


def _too_large(longest: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {longest // KIB} KiB.")
