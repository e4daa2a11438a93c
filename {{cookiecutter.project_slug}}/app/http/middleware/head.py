"""HEAD for every route that has GET (RFC 9110 section 9.3.2): the same answer without its content."""

from starlette.types import Message, Receive, Scope, Send

from app.http.request.base import HttpMiddleware

_SET_BY_ROUTING = ("route", "fastapi", "endpoint", "path_params")


class HeadMiddleware(HttpMiddleware):
    """Calls the application with GET, and drops the content."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_content(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        asked = {**scope, "method": "GET"}
        try:
            await self.app(asked, receive, send_without_content)
        finally:
            scope.update({key: asked[key] for key in _SET_BY_ROUTING if key in asked})
