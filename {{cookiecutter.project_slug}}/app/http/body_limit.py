"""Bodies that end: bounded in size and in time, before anything is made of them (ASVS 5.2.1)."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import BadRequest, PayloadTooLarge, RequestTimeout, send_problem

MAX_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 30.0

_LONGEST_LENGTH = 18
_TOO_LARGE = "The body is larger than 1 MiB."


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
            await send_problem(PayloadTooLarge(_TOO_LARGE), scope, receive, send)
        else:
            await self.app(scope, self._bounded(receive), send)

    def _bounded(self, receive: Receive) -> Receive:
        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self.seconds

        async def receive_bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                message_text = "The body did not arrive in time."
                raise RequestTimeout(message_text, headers={"Connection": "close"}) from None
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise PayloadTooLarge(_TOO_LARGE)
            complete = not message.get("more_body", False)
            return message

        return receive_bounded
