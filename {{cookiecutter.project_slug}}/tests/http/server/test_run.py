"""`app/http/server/run.py`: the process that serves: how it starts, and how it ends."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import psutil
import pytest

from app.http.server.run import connections_and_backlog
from tests.support.processes.server import HOST, ServerProcess, environment, free_port, request
from tests.support.servers.certificates import Authority

pytestmark = pytest.mark.same_on_every_database

# Takes a second to answer.
_SLOW_APP = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await asyncio.sleep(1 if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})
"""


@pytest.mark.asvs("16.2.4", "13.4.6")
def test_serves_and_ends_with_zero(tmp_path: Path, database_url: str) -> None:
    """`manage serve` logs where it listens, sends no Server header, ends at SIGTERM with 0; each line is JSON."""
    with ServerProcess(tmp_path, DATABASE_URL=database_url) as server:
        head = server.send(request("GET", "/livez")).lower()
        assert b"\r\nserver:" not in head
        assert b"\r\ndate:" in head
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.output().splitlines()]
    assert server.url in [line.get("url") for line in lines if line["event"] == "listening"]


def test_ctrl_c_ends_it_with_zero(tmp_path: Path, database_url: str) -> None:
    """Ctrl-C is no error, and prints no traceback."""
    with ServerProcess(tmp_path, DATABASE_URL=database_url) as server:
        assert server.stop(signal.SIGINT) == 0
        assert "Traceback" not in server.output()


def test_workers_serve_and_end(tmp_path: Path, database_url: str) -> None:
    """Several processes serve one port, with the same bounds, and end together."""
    with ServerProcess(tmp_path, "--workers", "2", DATABASE_URL=database_url) as server:
        assert server.send(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert server.stop() == 0
        assert not server.is_up()


@pytest.mark.parametrize(("files", "connections"), [(256, 144), (1024, 720), (1_048_576, 1024), (sys.maxsize, 1024)])
def test_connections_stay_below_the_limit_of_files(files: int, connections: int) -> None:
    """What is open, and what may be accepted at once, leaves files for the process itself."""
    most, backlog = connections_and_backlog(files)
    assert most == connections
    assert most + backlog <= files - 64


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("broken", ["raise RuntimeError", "import nowhere", "async def app(*_): raise RuntimeError"])
def test_an_application_that_cannot_start_is_an_error(tmp_path: Path, workers: int, broken: str) -> None:
    """If the application cannot be imported or started, no process stays, and the exit code is 3."""
    (tmp_path / "broken_app.py").write_text(broken)
    with _serve("broken_app:app", tmp_path, workers=workers) as process:
        try:
            assert process.wait(60) == 3
        finally:
            process.kill()


@pytest.mark.parametrize("options", [{"workers": 2}, {"reload": True}], ids=["workers", "reload"])
def test_processes_end_with_their_parent(tmp_path: Path, options: dict[str, int]) -> None:
    """If the parent is killed, the processes that it started end, and the port is free."""
    (tmp_path / "slow_app.py").write_text(_SLOW_APP)
    port = free_port()
    with _serve("slow_app:app", tmp_path, port=port, **options) as parent:
        _wait_for(port)
        started = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
        _, left = psutil.wait_procs(started, timeout=20)
    for process in left:
        process.kill()
    assert started
    assert left == []
    socket.create_server((HOST, port)).close()


def test_reload_starts_anew(tmp_path: Path, database_url: str) -> None:
    """With `--reload` the service is served too, and ends cleanly."""
    with ServerProcess(tmp_path, "--reload", DATABASE_URL=database_url) as server:
        assert server.send(request("GET", "/livez")).startswith(b"HTTP/1.1 200")
        assert server.stop() == 0
        assert not server.is_up()


def test_a_port_in_use_is_said_in_words(tmp_path: Path, database_url: str) -> None:
    """Where the port is taken, one readable line says so and the exit code is 1: no traceback."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", "from app.manage import main; main()", "serve", "--port", str(port)]
        done = subprocess.run(  # our own interpreter
            command,
            cwd=tmp_path,
            env=environment(DATABASE_URL=database_url),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 1
    assert f"Cannot listen on {HOST}:{port}: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    """SIGTERM takes no answer away from those who are waiting, and lets nobody new in."""
    (tmp_path / "slow_app.py").write_text(_SLOW_APP)
    port = free_port()
    with _serve("slow_app:app", tmp_path, port=port) as process:
        _wait_for(port)
        answers: list[bytes] = []
        waiting = threading.Thread(target=lambda: answers.append(_ask(port, "/slow")))
        waiting.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        waiting.join(10)
        assert process.wait(10) == 0
    assert answers
    assert answers[0].endswith(b"done")


def test_a_request_on_its_way_at_the_end_is_answered(tmp_path: Path) -> None:
    """A connection that a proxy keeps open takes one more after SIGTERM, and is closed with its answer, or soon."""
    (tmp_path / "slow_app.py").write_text(_SLOW_APP)
    port = free_port()
    with _serve("slow_app:app", tmp_path, port=port) as process:
        _wait_for(port)
        kept = [socket.create_connection((HOST, port), timeout=10) for _ in range(2)]
        for connection in kept:
            connection.sendall(request("GET", "/"))
            assert b"connection: close" not in _answer_on(connection).lower()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        kept[0].sendall(request("POST", "/", "Content-Length: 2") + b"{}")
        answer = _answer_on(kept[0])
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert [connection.recv(1) for connection in kept] == [b"", b""]
        assert process.wait(10) == 0
        for connection in kept:
            connection.close()


def _answer_on(connection: socket.socket) -> bytes:
    """Read an answer to its end: head and body may come in two pieces."""
    answer = b""
    while not answer.endswith(b"done"):
        piece = connection.recv(65536)
        assert piece, answer
        answer += piece
    return answer


def _serve(app: str, folder: Path, *, port: int = 0, **options: int) -> "subprocess.Popen[bytes]":
    """Serve an application of the folder by a process of its own."""
    call = f"run_server({app!r}, host={HOST!r}, port={port}, **{options!r})"
    code = f"from app.http.server.run import run_server\nif __name__ == '__main__': {call}"
    settings = environment(DATABASE_URL="")
    settings["PYTHONPATH"] += f":{folder}"
    return subprocess.Popen([sys.executable, "-c", code], env=settings, stdout=subprocess.DEVNULL)


def _ask(port: int, path: str) -> bytes:
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(request("GET", path, "Connection: close"))
        answer = b""
        while received := connection.recv(65536):
            answer += received
        return answer


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            _ask(port, "/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server did not start")


class TlsServer(ServerProcess):
    """A server that speaks HTTPS; `trust` is the file of the authority that its certificate is of."""

    trust: Path

    def is_up(self) -> bool:
        """Whether it answers, for a client that verifies the certificate."""
        context = ssl.create_default_context(cafile=self.trust)
        try:
            return httpx2.get(f"https://localhost:{self.port}/livez", verify=context).status_code == 200
        except httpx2.TransportError:
            return False


@pytest.mark.asvs("12.2.1")
def test_serves_with_a_certificate(tmp_path: Path, database_url: str) -> None:
    """`--certificate` takes a PEM file with certificate and key, and nothing is answered without TLS from then on."""
    authority = Authority(tmp_path / "certificates")
    authority.server("localhost")
    TlsServer.trust = authority.file
    pem = str(tmp_path / "certificates" / "localhost.pem")
    with TlsServer(tmp_path, "--certificate", pem, DATABASE_URL=database_url) as server:
        assert not ServerProcess.is_up(server)
        assert server.stop() == 0


def test_a_certificate_that_cannot_be_used_ends_it_in_words(tmp_path: Path, database_url: str) -> None:
    """A file that is not there, or is no certificate, is named, and there is no traceback."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense", encoding="utf-8")
    for file in (tmp_path / "missing.pem", nonsense):
        with (
            pytest.raises(RuntimeError) as failed,
            ServerProcess(tmp_path, "--certificate", str(file), DATABASE_URL=database_url),
        ):
            pytest.fail("it serves")
        assert "--certificate" in str(failed.value)
        assert "Traceback" not in str(failed.value)
