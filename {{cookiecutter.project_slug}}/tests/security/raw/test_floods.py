"""More bytes than anybody needs, and fewer than a request: against the real server."""

import contextlib
import json
import socket
import time

import psutil
import pytest

from tests.support.http.raw import GET, HEAD_SECONDS, HOST_LINE, JSON, MIB, POST, SIGNIN, raw, status_of
from tests.support.processes.server import HOST, ServerProcess, is_closed_within, read_answer, request

pytestmark = pytest.mark.same_on_every_database


@pytest.mark.asvs("5.2.1")
def test_a_large_body_is_refused_before_it_comes(server: ServerProcess) -> None:
    """A body that says it is too large is refused although none of it was sent, and a waiting client is not told to."""
    answer = server.send(request("POST", SIGNIN, JSON, f"Content-Length: {50 * MIB}"))
    assert status_of(answer) == 413
    answer = server.send(request("POST", SIGNIN, JSON, f"Content-Length: {50 * MIB}", "Expect: 100-continue"))
    assert status_of(answer) == 413


@pytest.mark.asvs("5.2.1", "15.2.2")
@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", f"Content-Length: {50 * MIB}"])
def test_fifty_megabytes_cost_no_memory(server: ServerProcess, framing: str) -> None:
    """A client that sends 50 MB before it looks gets its 413, and the server keeps nothing of it."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    peak = 0
    piece = b" " * MIB
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if "chunked" in framing else piece
    with server.connection() as connection:
        connection.sendall(request("POST", SIGNIN, JSON, framing))
        for _ in range(50):
            connection.sendall(chunk)
            peak = max(peak, process.memory_info().rss)
        assert status_of(read_answer(connection)) == 413
    assert peak - before < 16 * MIB


@pytest.mark.asvs("5.2.1")
def test_the_connection_lives_on_after_a_refused_body(server: ServerProcess) -> None:
    """When the refused body has come to its end, the next request on the connection is answered."""
    with server.connection() as connection:
        connection.sendall(request("POST", SIGNIN, JSON, f"Content-Length: {2 * MIB}", body=b" " * 2 * MIB))
        assert status_of(read_answer(connection)) == 413
        connection.sendall(request("GET", "/livez"))
        assert status_of(read_answer(connection)) == 200


_CHUNKED = raw(POST, HOST_LINE, JSON, "Transfer-Encoding: chunked")
FLOODS = {
    "a header without an end": (raw(GET, HOST_LINE)[:-2] + b"X-Endless: ", b"x"),
    "headers without an end": (raw(GET, HOST_LINE)[:-2], b"X-Many: x\r\n"),
    "a target without an end": (b"GET /", b"x"),
    "a method without an end": (b"", b"X"),
    "line breaks without an end": (b"", b"\r\n"),
    "trailers without an end": (_CHUNKED + b"0\r\n", b"X-Many: x\r\n"),
    "a trailer without an end": (_CHUNKED + b"0\r\nX-Endless: ", b"x"),
    "a chunk extension without an end": (_CHUNKED + b"1;", b"x"),
}


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize(("start", "piece"), FLOODS.values(), ids=FLOODS.keys())
def test_a_head_has_an_end(server: ServerProcess, start: bytes, piece: bytes) -> None:
    """Whatever has no end is cut off soon, long before the deadline, and costs no memory."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    sent = 0
    with server.connection() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(start)
        while sent < 64 * MIB:
            sent += connection.send(piece * (MIB // len(piece)))
    assert sent < 16 * MIB
    assert process.memory_info().rss - before < 16 * MIB
    assert server.is_up()


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (431, request("GET", "/livez", *["X-Many: x"] * 120)),
        (431, request("GET", "/livez", "X-Large: " + "x" * 40_000)),
        (414, request("GET", "/" + "x" * 9000)),
    ],
)
def test_what_is_too_much_but_fits(server: ServerProcess, status: int, head: bytes) -> None:
    """Too many headers, too large ones, too long a target: each is told by its status."""
    assert status_of(server.send(head)) == status


DAWDLERS = {
    "nothing": [],
    "half a line": [b"GET /li"],
    "half a head": [raw(GET, HOST_LINE)[:-2]],
    "a byte now and then": [bytes([byte]) for byte in raw(GET, HOST_LINE, "X-Slow: " + "x" * 100)],
    "line breaks": [b"\r\n"] * 100,
}


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize("pieces", DAWDLERS.values(), ids=DAWDLERS.keys())
@pytest.mark.parametrize("first", [b"", request("GET", "/livez")], ids=["at once", "after a request"])
def test_a_dawdler_is_let_go(server: ServerProcess, first: bytes, pieces: list[bytes]) -> None:
    """A connection without a complete head is closed after the deadline, however its bytes are spread."""
    with server.connection() as connection:
        if first:
            connection.sendall(first)
            assert status_of(read_answer(connection)) == 200
            if not pieces:
                return  # Idle after a request: the keep-alive of ten seconds, which is uvicorn's own.
        started = time.monotonic()
        _dribble(connection, pieces, started + 3 * HEAD_SECONDS)
        assert is_closed_within(connection, 3 * HEAD_SECONDS)
        assert time.monotonic() - started < 3 * HEAD_SECONDS


@pytest.mark.asvs("15.2.2", "5.2.1")
def test_a_refused_body_that_never_ends_is_let_go(server: ServerProcess) -> None:
    """Who goes on sending what nobody reads is cut off by the same deadline."""
    with server.connection() as connection:
        connection.sendall(request("POST", SIGNIN, JSON, f"Content-Length: {50 * MIB}"))
        assert status_of(read_answer(connection)) == 413
        started = time.monotonic()
        _dribble(connection, [b"x"] * 100, started + 3 * HEAD_SECONDS)
        assert is_closed_within(connection, 3 * HEAD_SECONDS)
        assert time.monotonic() - started < 3 * HEAD_SECONDS


def test_two_hundred_dawdlers_keep_nobody_out(server: ServerProcess) -> None:
    """While two hundred half-open connections wait for their end, others are served; then all are closed."""
    dawdlers = [socket.create_connection((HOST, server.port)) for _ in range(200)]
    for connection in dawdlers:
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
    assert server.is_up()
    assert all(is_closed_within(connection, 3 * HEAD_SECONDS) for connection in dawdlers)
    for connection in dawdlers:
        connection.close()


@pytest.mark.asvs("16.2.4", "16.4.1")
def test_every_line_of_it_all_is_json(server: ServerProcess) -> None:
    """Floods and dawdlers leave parsable lines, and no crash."""
    server.send(request("GET", "/livez"))
    lines = [json.loads(line) for line in server.output().splitlines()]
    assert lines
    assert [line for line in lines if line["level"] in {"error", "critical"}] == []


def _dribble(connection: socket.socket, pieces: list[bytes], until: float) -> None:
    """Send the pieces one by one, until the peer has had enough."""
    for piece in pieces:
        if time.monotonic() > until:
            return
        try:
            connection.sendall(piece)
        except ConnectionError:
            return
        time.sleep(0.1)
