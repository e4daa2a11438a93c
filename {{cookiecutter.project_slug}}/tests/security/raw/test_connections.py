"""Connections that are kept open for nothing: clients that do not read, and more of them than there are files."""

import contextlib
import re
import socket
import time

import psutil
import pytest

from tests.support.database.databases import Databases
from tests.support.http.raw import GET, HEAD_SECONDS, HOST_LINE, JSON, MIB, SIGNIN, raw, status_of
from tests.support.processes.server import HOST, ServerProcess, read_answer, request

pytestmark = pytest.mark.asvs("15.2.2")

# Files as few as a shell of macOS allows.
_FEW_FILES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
_MANY = 300
_TARGET = "/openapi.json"


def connections_of(server: ServerProcess) -> int:
    """How many connections of clients the server keeps open; those to the database are none."""
    listed = psutil.Process(server.process.pid).net_connections("tcp")
    return len([one for one in listed if one.status != psutil.CONN_LISTEN and one.laddr.port == server.port])


def unread(server: ServerProcess, answers: int) -> socket.socket:
    """A connection whose client has asked for many large answers, and reads none."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((HOST, server.port))
    connection.sendall(request("GET", _TARGET) * answers)
    return connection


def test_a_client_that_does_not_read_is_cut_off(server: ServerProcess) -> None:
    """If nothing of an answer is read for a while, its connection is closed, and nothing of it is kept."""
    with contextlib.closing(unread(server, 60)) as connection:
        assert connection.recv(1)
        deadline = time.monotonic() + 5 * HEAD_SECONDS
        while connections_of(server):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_client_that_reads_slowly_is_served(server: ServerProcess) -> None:
    """A client that reads a little at a time gets all of its answers, although it takes longer than the bound."""
    one = len(server.send(request("GET", _TARGET)))
    answers = 3 * MIB // one
    with contextlib.closing(unread(server, answers)) as connection:
        started, received = time.monotonic(), 0
        while received < answers * one:
            piece = connection.recv(65536)
            assert piece
            received += len(piece)
            time.sleep(max(0.0, started + 3 * HEAD_SECONDS * received / (answers * one) - time.monotonic()))


@pytest.mark.parametrize("target", ["/livez", "/nothing", _TARGET])
def test_an_answer_is_never_half_written(server: ServerProcess, target: str) -> None:
    """Head and body are one write: a process that is killed between two leaves half an answer, which nobody repeats."""
    with server.connection() as connection:
        for _ in range(100):
            connection.sendall(request("GET", target))
            head, _, body = connection.recv(MIB).partition(b"\r\n\r\n")
            assert body
            while len(body) < int(re.findall(rb"content-length: (\d+)", head.lower())[0]):
                body += connection.recv(MIB)


def test_an_answer_after_100_continue_is_not_half_written_either(server: ServerProcess) -> None:
    """What tells the client to go on is a write of its own, and at once; head and body that follow are one."""
    with server.connection() as connection:
        for _ in range(20):
            connection.sendall(request("POST", SIGNIN, JSON, "Content-Length: 2", "Expect: 100-continue"))
            assert connection.recv(MIB).startswith(b"HTTP/1.1 100 ")
            connection.sendall(b"{}")
            head, _, body = connection.recv(MIB).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 422 ")
            assert body


KEPT_OPEN = {
    "nothing": b"",
    "half a head": raw(GET, HOST_LINE)[:-2],
    "half a body": request("POST", SIGNIN, JSON, "Content-Length: 10", body=b"{"),
}


@pytest.mark.parametrize("sent", KEPT_OPEN.values(), ids=KEPT_OPEN.keys())
def test_idle_connections_keep_nobody_out(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases, sent: bytes
) -> None:
    """With 256 files, 300 clients that keep their connections open and wait keep nobody out, old connection or new."""
    folder = tmp_path_factory.mktemp("server")
    with (
        databases.migrated(folder) as url,
        ServerProcess(folder, prelude=_FEW_FILES, DATABASE_URL=url) as server,
        contextlib.ExitStack() as kept,
    ):
        used = kept.enter_context(server.connection())
        for _ in range(_MANY):
            idle = kept.enter_context(socket.create_connection((HOST, server.port)))
            with contextlib.suppress(ConnectionError):
                idle.sendall(sent)
            used.sendall(request("GET", "/livez"))
            assert status_of(read_answer(used)) == 200
        for _ in range(20):
            assert server.is_up()
            assert status_of(server.send(request("POST", SIGNIN, JSON, "Content-Length: 2", body=b"{}"))) == 422
        assert connections_of(server) < 200
        assert "Too many open files" not in server.output()
        assert server.output().count('"connections_full"') == 1
