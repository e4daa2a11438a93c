"""A log that nobody reads: the service answers, ends when it is told to, and says how many lines were lost."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes.server import ServerProcess, read_answer, request

pytestmark = [
    pytest.mark.same_on_every_database,
    pytest.mark.asvs("16.5.2"),
    pytest.mark.skipif(sys.platform == "win32", reason="named pipes and signals are those of POSIX"),
]

_REQUESTS = 600
_PIPE_SIZE = 4096
_F_SETPIPE_SZ = 1031
_SMALL_QUEUE = "from app.core.logging import writer; writer.MOST_WAITING = 16_384\n"
# What the service takes to end with nothing under way, and two seconds for a log that may be read again.
_GRACE = 15


class _Unread(ServerProcess):
    """`manage serve` whose output and errors go into one small pipe that is not read yet."""

    def __init__(self, folder: Path, url: str, *options: str, prelude: str = "") -> None:
        os.mkfifo(pipe := folder / "server.log")
        self._reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        if sys.platform == "linux":
            import fcntl  # noqa: PLC0415  # Windows has none

            fcntl.fcntl(self._reader, _F_SETPIPE_SZ, _PIPE_SIZE)
        os.set_blocking(self._reader, True)
        self._content: list[bytes] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        super().__init__(folder, *options, prelude=prelude, DATABASE_URL=url)

    def output(self) -> str:
        """What is in the pipe now."""
        os.set_blocking(self._reader, False)
        return os.read(self._reader, _PIPE_SIZE).decode()

    def ask_often(self) -> None:
        """Ask more than the pipe takes lines for."""
        with self.connection() as connection:
            for _ in range(_REQUESTS):
                connection.sendall(request("GET", "/nowhere"))
                assert read_answer(connection).startswith(b"HTTP/1.1 404")

    def read_on(self) -> None:
        """Begin to read, up to the end."""
        self._reading.start()

    def read_no_more(self) -> None:
        """Close the reader's end."""
        os.close(self._reader)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end, and see it end in time; its exit code."""
        started = time.monotonic()
        code = self.stop(number)
        assert time.monotonic() - started < _GRACE
        return code

    def lines(self) -> list[dict[str, Any]]:
        """Everything that was written, each line an object."""
        self._reading.join(_GRACE)
        return [json.loads(line) for line in b"".join(self._content).splitlines()]

    def _read(self) -> None:
        while received := os.read(self._reader, 65536):
            self._content.append(received)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_answers_and_ends_while_nobody_reads(tmp_path: Path, database_url: str, number: int) -> None:
    """With a full pipe for its log, the service answers hundreds of requests, and a signal ends it with 0."""
    with _Unread(tmp_path, database_url) as service:
        service.ask_often()
        assert service.send(request("GET", "/livez")).startswith(b"HTTP/1.1 200")
        assert service.send(request("GET", "/readyz")).startswith(b"HTTP/1.1 200")
        assert service.end(number) == 0


def test_writes_everything_once_it_is_read(tmp_path: Path, database_url: str) -> None:
    """Lines that waited are written, whole and in order, up to the last one before the end."""
    with _Unread(tmp_path, database_url) as service:
        service.ask_often()
        service.read_on()
        assert service.end() == 0
        lines = service.lines()
    assert sum(line["event"] == "request" and line["status"] == 404 for line in lines) == _REQUESTS
    assert lines[-1]["event"].startswith("Finished server process")
    assert not [line for line in lines if line["event"] == "log_lines_dropped"]


def test_says_how_many_lines_were_lost(tmp_path: Path, database_url: str) -> None:
    """Where more lines wait than the bound lets, later ones are counted, and the log says how many it lacks."""
    with _Unread(tmp_path, database_url, prelude=_SMALL_QUEUE) as service:
        service.ask_often()
        service.read_on()
        assert service.is_up()
        assert service.end() == 0
        lines = service.lines()
    kept = sum(line["event"] == "request" and line["status"] == 404 for line in lines)
    told = [line for line in lines if line["event"] == "log_lines_dropped"]
    assert 0 < kept < _REQUESTS
    assert {(line["level"], line["logger"]) for line in told} == {("warning", "app.core.logging.setup")}
    assert sum(line["lines"] for line in told) >= _REQUESTS - kept


def test_reload_answers_and_ends_while_nobody_reads(tmp_path: Path, database_url: str) -> None:
    """The process that serves and the one that watches the code share the pipe: both end."""
    with _Unread(tmp_path, database_url, "--reload") as service:
        service.ask_often()
        assert service.end() == 0
        assert not service.is_up()


def test_workers_write_everything_up_to_the_end(tmp_path: Path, database_url: str) -> None:
    """Workers that share the pipe tear no line of each other, and write the last ones before they end."""
    with _Unread(tmp_path, database_url, "--workers=2") as service:
        service.ask_often()
        service.read_on()
        assert service.end() == 0
        lines = service.lines()
    assert sum(line["event"] == "request" and line["status"] == 404 for line in lines) == _REQUESTS
    assert sum(line["event"].startswith("Finished server process") for line in lines) == 2


def test_a_reader_that_went_away_stops_nothing(tmp_path: Path, database_url: str) -> None:
    """With a closed pipe for its log, the service answers and ends with 0."""
    with _Unread(tmp_path, database_url) as service:
        service.read_no_more()
        service.ask_often()
        assert service.end() == 0
