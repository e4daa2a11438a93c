"""The service as a process of its own, and raw sockets to speak to it."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import warm

PROJECT = Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"

_START_SECONDS = 60
_STOP_SECONDS = 20
# The same server with a deadline that a test can wait for.
_SERVE_IMPATIENT = """
from app.core.logging.setup import configure_logging
from app.assembly import load_settings
from app.http.server.run import run_server

configure_logging(load_settings())
run_server("app.main:app", host={host!r}, port={port}, client_seconds={seconds})
"""


class ServerProcess:
    """`manage serve`, in a folder of its own and with nothing of the caller's environment.

    The settings must hold `DATABASE_URL`; `PUBLIC_URL` is where it listens, unless they say otherwise.

    `prelude` is code that runs before it, in the same process.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        port: str = "",
        head_seconds: float | None = None,
        prelude: str = "",
        **settings: str,
    ) -> None:
        self.port = int(port or free_port())
        self.url = f"http://{HOST}:{self.port}"
        self.log = folder / "server.log"
        code, arguments = prelude + warm.MANAGE, ["serve", "--host", HOST, "--port", str(self.port), *options]
        if head_seconds is not None:
            code, arguments = _SERVE_IMPATIENT.format(host=HOST, port=self.port, seconds=head_seconds), []
        # Those that start processes themselves begin as their users start them.
        begin = warm.start_cold if options else warm.start
        if self.log.is_file():  # and no pipe, which a test may have put there
            self.log.unlink()
        self.process = begin(
            code,
            arguments,
            folder=folder,
            environment=environment(**{"PUBLIC_URL": self.url, **settings}),
            files=warm.Files(Path(os.devnull), self.log, self.log),
        )

    def __enter__(self) -> Self:
        """Wait until it serves."""
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up and self.process.poll() is None:
            if self.is_up():
                return self
            time.sleep(0.05)
        self.stop()
        message = f"The server did not start:\n{self.output()}"
        raise RuntimeError(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self.send(request("GET", "/livez")).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end, wait until it has, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(encoding="utf-8")

    @contextmanager
    def connection(self, timeout: float = 10) -> Iterator[socket.socket]:
        """Open a socket to it."""
        with socket.create_connection((HOST, self.port), timeout=timeout) as connection:
            yield connection

    def send(self, *parts: bytes) -> bytes:
        """Send bytes as they are, and read one answer."""
        with self.connection() as connection:
            for part in parts:
                connection.sendall(part)
            return read_answer(connection)


def environment(*, DATABASE_URL: str, **settings: str) -> dict[str, str]:  # noqa: N803  # as the setting is called
    """Settings for a process, and what the interpreter needs of the caller's environment."""
    kept = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "LANG", "PATH", "SYSTEMROOT", "TMPDIR")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(PROJECT),
        "ENVIRONMENT": "test",
        "ADMIN_EMAIL": "operator@service.example",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "DATABASE_URL": DATABASE_URL,
        "RATE_LIMIT_DEFAULT": "100000/minute",
        "RATE_LIMIT_SIGNIN": "100000/minute",
        "LOG_FORMAT": "json",
        **settings,
    }


def request(method: str, target: str, *headers: str, body: bytes = b"", host: str | None = HOST) -> bytes:
    """The bytes of a request; `body` is sent without a length unless `headers` give one."""
    lines = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def read_answer(connection: socket.socket) -> bytes:
    """Read one answer: its head, and as much of a body as `Content-Length` says. What came, if the peer closes."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(65536)
        if not received:
            return answer
        answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    while len(body) < length:
        received = connection.recv(65536)
        if not received:
            break
        body += received
    return head + b"\r\n\r\n" + body


def is_closed_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the peer closes the connection in that time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def free_port() -> int:
    """A port that nobody listens on now, below those that connections get: one of these could take it meanwhile."""
    while True:
        port = secrets.choice(range(15_000, 32_000))
        with suppress(OSError), socket.create_server((HOST, port)):
            return port
