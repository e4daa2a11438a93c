"""`app/http/server/protocol.py`: one connection, with a transport that only records.

The deadlines and bounds are shown by the real server, in `tests/security/raw/test_floods.py`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.http.server.protocol import MAX_HEAD_BYTES, MAX_PIPELINED, DeadlineProtocol
from tests.support.http.transport import Transport, open_connection
from tests.support.processes.server import request

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("4.2.1")]


async def half_an_answer(_: Scope, receive: Receive, send: Send) -> None:
    """Begin an answer, and wait for the body."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (await receive())["type"] != "http.disconnect":
        pass


async def written() -> None:
    """Return when the application has begun its answer, and the head has waited a turn of the event loop for a body."""
    for _ in range(2):
        await asyncio.sleep(0)


@pytest.fixture
async def connection() -> AsyncIterator[tuple[DeadlineProtocol, Transport]]:
    """A connection that has just been opened."""
    with open_connection(half_an_answer) as opened:
        yield opened


async def test_refuses_what_it_cannot_read(connection: tuple[DeadlineProtocol, Transport]) -> None:
    """Malformed bytes get one 400 and one log line, with one request id; what comes later gets nothing."""
    protocol, transport = connection
    with capture_logs() as lines:
        protocol.data_received(b"\x00\x01\r\n\r\n")
        first = transport.written
        protocol.data_received(b"\x00\x01\r\n\r\n")
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close" in head
    assert transport.closed
    assert transport.written == first
    assert [(line["event"], line["client"]) for line in lines] == [("request_unreadable", "203.0.113.7")]
    assert json.loads(body)["request_id"] == lines[0]["request_id"]


async def test_refuses_too_large_a_head(connection: tuple[DeadlineProtocol, Transport]) -> None:
    """A head that grows beyond the bound is 431."""
    protocol, transport = connection
    protocol.data_received(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES)
    assert transport.written.startswith(b"HTTP/1.1 431 ")
    assert transport.closed


async def test_a_large_body_in_one_piece_is_no_head(connection: tuple[DeadlineProtocol, Transport]) -> None:
    """Head and body that arrive together are not taken for a large head."""
    protocol, transport = connection
    body = b"x" * (4 * MAX_HEAD_BYTES)
    protocol.data_received(request("POST", "/", f"Content-Length: {len(body) + 1}", body=body))
    await written()
    assert transport.written.startswith(b"HTTP/1.1 200 ")
    assert not transport.closed


async def test_no_error_in_the_middle_of_an_answer(connection: tuple[DeadlineProtocol, Transport]) -> None:
    """Where an answer has begun, malformed bytes close the connection and write nothing into it."""
    protocol, transport = connection
    protocol.data_received(request("POST", "/", "Transfer-Encoding: chunked"))
    await written()
    begun = transport.written
    assert begun.startswith(b"HTTP/1.1 200 ")
    protocol.data_received(b"malformed\r\n")
    assert transport.written == begun
    assert transport.closed


async def test_says_nothing_of_upgrades(connection: tuple[DeadlineProtocol, Transport]) -> None:
    """A request to upgrade is a request, and no reason for a warning."""
    protocol, transport = connection
    with capture_logs() as lines:
        protocol.data_received(request("GET", "/", "Connection: Upgrade", "Upgrade: websocket"))
        await written()
    assert transport.written.startswith(b"HTTP/1.1 200 ")
    assert lines == []


async def late_answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, and answer some turns of the event loop later."""
    while (await receive()).get("more_body"):
        pass
    for _ in range(5):
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": b""})


GARBAGE = b"\x00garbage\r\n\r\n"
BROKEN_BODY = request("POST", "/broken", "Transfer-Encoding: chunked", body=b"malformed\r\n")


@pytest.mark.parametrize("garbage", [GARBAGE, BROKEN_BODY], ids=["no head", "no body"])
@pytest.mark.parametrize("apart", [True, False])
async def test_requests_before_garbage_keep_their_answers(garbage: bytes, *, apart: bool) -> None:
    """What cannot be read is refused after the answers to what came before it, and once."""
    good = request("POST", "/a", "Content-Length: 2", body=b"{}") + request("GET", "/b")
    with open_connection(late_answer) as (protocol, transport):
        for piece in [good, garbage] if apart else [good + garbage]:
            protocol.data_received(piece)
        protocol.data_received(GARBAGE)
        for _ in range(30):
            await asyncio.sleep(0)
        assert re.findall(rb"HTTP/1\.1 (\d+)", transport.written) == [b"200", b"200", b"400"]
        assert re.findall(rb"x-path: (\S+)", transport.written) == [b"/a", b"/b"]
        assert transport.closed


@pytest.mark.asvs("15.2.2")
async def test_a_flood_of_tiny_requests_in_one_piece_is_cut_short() -> None:
    """Those that may wait are answered, in order; what comes after them is one 400, and costs the loop nothing more."""
    answered: list[str] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        answered.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with open_connection(app) as (protocol, transport):
        protocol.data_received(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5000)))
        for _ in range(MAX_PIPELINED * 4):
            await asyncio.sleep(0)
    assert answered == [f"/{number}" for number in range(MAX_PIPELINED + 1)]
    assert transport.written.count(b"HTTP/1.1 204") == MAX_PIPELINED + 1
    assert transport.written.count(b"HTTP/1.1 400") == 1
    assert transport.closed
