"""Requests with an `Upgrade` field: it is ignored (RFC 9110 section 7.8), and nothing in a body is ever a head."""

import asyncio
import re
import time
from dataclasses import dataclass, field

import pytest
from starlette.types import Receive, Scope, Send

from app.http.server.protocol import MAX_HEAD_BYTES
from tests.support.http.raw import JSON, SIGNIN
from tests.support.http.transport import open_connection
from tests.support.processes.server import ServerProcess, read_answer, request

pytestmark = [pytest.mark.same_on_every_database, pytest.mark.asvs("4.2.1", "4.4.1")]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
UPGRADES = {
    "unknown": ("Connection: Upgrade", "Upgrade: foo"),
    "websocket": ("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    "twice": ("connection: upgrade", "UPGRADE: a", "Connection: upgrade", "Upgrade: b"),
    "without a value": ("Connection: Upgrade", "Upgrade:"),
}
SMUGGLED = request("GET", "/smuggled", "Connection: Upgrade", "Upgrade: foo")
NEXT = request("GET", "/next")
FRAMINGS = ("length", "chunks")


@dataclass
class Recorder:
    """An application that keeps what it was asked."""

    requests: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, and answer with nothing."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.requests.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


def upgrading(method: str, kind: str, framing: str, body: bytes = SMUGGLED, *, target: str = "/first") -> bytes:
    """A request to upgrade that has a body."""
    if framing == "chunks":
        half = len(body) // 2
        pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:half], body[half:], b"")]
        return request(method, target, *UPGRADES[kind], "Transfer-Encoding: chunked", body=b"".join(pieces))
    return request(method, target, *UPGRADES[kind], f"Content-Length: {len(body)}", body=body)


async def ask(*pieces: bytes) -> tuple[Recorder, bytes]:
    """What an application is asked by those segments, and what is written to the client."""
    app = Recorder()
    with open_connection(app) as (protocol, transport):
        for piece in pieces:
            if not transport.closed:
                protocol.data_received(piece)
            for _ in range(20):
                await asyncio.sleep(0)
        return app, transport.written


@pytest.mark.anyio
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", UPGRADES)
async def test_the_body_is_a_body_however_it_is_cut(kind: str, framing: str) -> None:
    """A request to upgrade, cut in two anywhere, is one request with its body; the next one is the next one."""
    sent = upgrading("POST", kind, framing)
    expected = [("POST", "/first", SMUGGLED), ("GET", "/next", b"")]
    for place in range(1, len(sent)):
        app, _ = await ask(sent[:place], sent[place:], NEXT)
        assert app.requests == expected, place


@pytest.mark.anyio
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("method", METHODS)
async def test_every_method(method: str, framing: str) -> None:
    """Whatever the method is, together with what follows, in head and body, and byte by byte."""
    sent = upgrading(method, "unknown", framing) + NEXT
    head = sent.index(b"\r\n\r\n") + 4
    expected = [(method, "/first", SMUGGLED), ("GET", "/next", b"")]
    for pieces in ([sent], [sent[:head], sent[head:]], [bytes([byte]) for byte in sent]):
        app, _ = await ask(*pieces)
        assert app.requests == expected, len(pieces)


@pytest.mark.anyio
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_body_larger_than_a_head_may_be(framing: str) -> None:
    """A smuggled request behind more bytes than the server takes at once stays in the body."""
    body = b"x" * (MAX_HEAD_BYTES + 5000) + SMUGGLED
    sent = upgrading("POST", "h2c", framing, body)
    head = sent.index(b"\r\n\r\n") + 4
    for pieces in (
        [sent],
        [sent[:head], sent[head:]],
        [sent[place : place + 4096] for place in range(0, len(sent), 4096)],
    ):
        app, _ = await ask(*pieces, NEXT)
        assert app.requests == [("POST", "/first", body), ("GET", "/next", b"")]


@pytest.mark.anyio
async def test_requests_to_upgrade_in_a_row() -> None:
    """Several in one segment, with and without bodies, are answered in order."""
    sent = [request("GET", "/first", *UPGRADES["h2c"]), upgrading("POST", "twice", "chunks")]
    app, _ = await ask(b"".join(sent * 2) + NEXT)
    expected = [("GET", "/first", b""), ("POST", "/first", SMUGGLED)]
    assert app.requests == [*expected, *expected, ("GET", "/next", b"")]


@pytest.mark.anyio
async def test_malformed_framing_is_refused_with_an_upgrade_too() -> None:
    """The field hides no contradiction between lengths, and no unknown coding."""
    for framing in (
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Content-Length: 0", "Content-Length: 44"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked, identity",),
    ):
        app, answer = await ask(request("POST", "/first", *UPGRADES["unknown"], *framing, body=b"0\r\n\r\n"), NEXT)
        assert app.requests == []
        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"400"]


@pytest.mark.anyio
async def test_an_upgrade_that_closes_is_answered_and_closed() -> None:
    """With `Connection: close`, or from HTTP/1.0, the request is answered; what follows it is not read."""
    for head in ("POST /first HTTP/1.1\r\nConnection: close, upgrade", "POST /first HTTP/1.0\r\nConnection: upgrade"):
        sent = f"{head}\r\nHost: a\r\nUpgrade: foo\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n".encode() + SMUGGLED
        app, _ = await ask(sent + NEXT)
        assert app.requests == [("POST", "/first", SMUGGLED)]
        place = sent.index(b"\r\n\r\n") + 4
        app, _ = await ask(sent[:place], sent[place:], NEXT)
        assert app.requests == [("POST", "/first", SMUGGLED)]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", UPGRADES)
@pytest.mark.parametrize("padding", [0, 70_000])
def test_the_server_answers_a_body_once(server: ServerProcess, kind: str, framing: str, padding: int) -> None:
    """Against the real server, with a pause after the head: one answer, and the next request has its own."""
    smuggled = b" " * padding + request("GET", "/livez")
    sent = upgrading("POST", kind, framing, smuggled, target=SIGNIN).replace(
        b"\r\n\r\n", f"\r\n{JSON}\r\n\r\n".encode(), 1
    )
    head = sent.index(b"\r\n\r\n") + 4
    with server.connection() as connection:
        connection.sendall(sent[:head])
        time.sleep(0.05)
        connection.sendall(sent[head:])
        first = read_answer(connection)
        connection.sendall(request("GET", "/nowhere"))
        second = read_answer(connection)
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", first + second)
    assert len(statuses) == 2
    assert statuses[0] in {b"400", b"413", b"422"}
    assert statuses[1] == b"404"
