"""A request and its answer in the terms of ASGI, for what an HTTP client would not send or would tidy up."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = Iterable[tuple[str | bytes, str | bytes]]


@dataclass
class ResponseBody:
    """What the application sent."""

    status: int = 0
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def header(self, name: str) -> str | None:
        """The value of a header, joined where there are several."""
        values = [value.decode() for key, value in self.raw_headers if key.decode().lower() == name.lower()]
        return ", ".join(values) if values else None


def http_scope(method: str = "GET", path: str = "/", headers: Headers = (), **changes: Any) -> Scope:
    """The scope of a request; a host is given unless `headers` has one."""
    encoded = [(_bytes(name), _bytes(value)) for name, value in headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": encoded,
        "client": ("203.0.113.7", 40000),
        "server": ("service.example", 443),
        "state": {},
        **changes,
    }


async def call(app: ASGIApp, scope: Scope, *parts: bytes) -> ResponseBody:
    """Send the request with a body in parts, and collect the answer."""
    answer = ResponseBody()
    incoming = _messages(parts)

    async def receive() -> Message:
        return await anext(incoming)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.raw_headers = list(message["headers"])
        else:
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)

    await app(scope, receive, send)
    return answer


class Recorder:
    """An application that keeps the scope, reads the body and answers 200."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.body = b""

    @property
    def called(self) -> bool:
        """Whether a request came through."""
        return bool(self.scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and answer."""
        self.scope = scope
        while True:
            message = await receive()
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"content"})


async def _messages(parts: tuple[bytes, ...]) -> AsyncIterator[Message]:
    for number, part in enumerate(parts or (b"",), start=1):
        yield {"type": "http.request", "body": part, "more_body": number < len(parts)}
    while True:
        yield {"type": "http.disconnect"}


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
