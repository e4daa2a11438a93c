"""`app/features/metrics/endpoint.py`: a port of its own, whose clients cannot disturb the service."""

import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.features.metrics.conftest import Measured, run_measured, value_in
from tests.support.database.databases import Databases
from tests.support.processes.server import HOST, environment, free_port, is_closed_within, read_answer, request
from tests.support.processes.warm import Command

pytestmark = pytest.mark.same_on_every_database


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9100", 200),
        ("[::1]:9100", 200),
        ("10.1.2.3", 200),
        ("localhost:9100", 200),
        ("api:9100", 200),
        ("listed.example:9100", 200),
        ("rebound.attacker.example:9100", 403),
        ("127.0.0.1.attacker.example", 403),
        ("attacker.example.", 403),
        ("", 403),
    ],
)
def test_a_page_of_a_stranger_reads_nothing(measured: Measured, host: str, status: int) -> None:
    """A name that an attacker leads here by DNS (rebinding) is refused; addresses, one word, ALLOWED_HOSTS are not."""
    answer = httpx2.get(measured.url, headers={"Host": host, "Origin": "http://attacker.example"}, timeout=30)
    assert answer.status_code == status
    assert ("app_ready" in answer.text) is (status == 200)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_there_is_one_path_on_that_port_and_none_on_the_public_one(measured: Measured) -> None:
    """Everything else is refused, what is no HTTP without an answer."""
    assert httpx2.get(f"{measured.url}/more", timeout=30).status_code == 404
    assert httpx2.get(measured.url.replace("/metrics", "/livez"), timeout=30).status_code == 404
    assert httpx2.post(measured.url, content=b"x", timeout=30).status_code == 405
    assert measured.client.get("/metrics").status_code == 404
    with socket.create_connection((HOST, measured.port), timeout=5) as connection:
        connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert connection.recv(100) == b""


def test_slow_and_many_clients_of_the_port_disturb_nothing(measured: Measured) -> None:
    """Beside more half requests than are accepted, and a flood, the service answers as fast; the former are cut off."""
    idle = _median_seconds(measured)
    stop, scraped = threading.Event(), []

    def flood() -> None:
        while not stop.is_set():
            with suppress(httpx2.HTTPError):
                scraped.append(httpx2.get(measured.url, timeout=2).status_code)

    with ExitStack() as stack:
        first = stack.enter_context(socket.create_connection((HOST, measured.port)))
        first.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
        for _ in range(40):
            slow = stack.enter_context(socket.socket())
            slow.setblocking(False)  # noqa: FBT003
            with suppress(BlockingIOError):
                slow.connect((HOST, measured.port))
        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        busy = _median_seconds(measured)
        stop.set()
        for thread in threads:
            thread.join()
        assert is_closed_within(first, 6)
    assert busy < 5 * idle + 0.01, (busy, idle)
    assert measured.value("app_ready") == 1


def _median_seconds(measured: Measured) -> float:
    def once() -> float:
        begin = time.perf_counter()
        assert measured.client.get("/livez").status_code == 200
        return time.perf_counter() - begin

    return statistics.median(once() for _ in range(300))


def test_a_port_that_is_taken_is_told(tmp_path: Path, database_url: str) -> None:
    """In one line, with the names of the settings, before anything is served."""
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = environment(DATABASE_URL=database_url, METRICS_PORT=port)
        done = Command(("serve", "--port", str(free_port())), folder=tmp_path, environment=variables).end()
    assert done.code == 1
    line = done.err.strip().splitlines()[-1]
    assert line.startswith(f"Cannot listen on {HOST}:{port}: ")
    assert line.endswith("Choose another METRICS_PORT or METRICS_HOST.")


@pytest.fixture
def workers(tmp_path: Path, databases: Databases) -> Iterator[Measured]:
    """Two processes that serve one port."""
    yield from run_measured(tmp_path, databases, "--workers", "2", TMPDIR=str(tmp_path))


def test_workers_are_added_up_and_a_killed_one_stays_counted(workers: Measured, tmp_path: Path) -> None:
    """What was counted stays when a worker dies, gauges are those of the living, and nothing is left in the end."""
    ask, folder = request("GET", "/livez"), next(tmp_path.glob("metrics-*"))
    # A connection each: the kernel gives them to both.
    for _ in range(60):
        assert workers.server.send(ask).startswith(b"HTTP/1.1 200")
    counted = workers.wait_for(lambda text: value_in(text, "http_requests_total", route="/livez") >= 60)
    most = value_in(counted, "app_database_connections", state="most")
    children = psutil.Process(workers.server.process.pid).children(recursive=True)
    pids = {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_livesum*.db")}
    assert len(pids) == 2
    os.kill(next(child.pid for child in children if child.pid in pids), signal.SIGKILL)
    # The parent may have asked the worker how it is just before that; then it waits for an answer for 20 seconds.
    workers.wait_for(
        lambda text: (
            len(_living(folder)) == 2
            and _living(folder) != pids
            and value_in(text, "app_database_connections", state="most") == most
        )
    )
    assert workers.value("http_requests_total", route="/livez") >= 60
    assert folder.stat().st_mode & 0o777 == 0o700
    assert workers.server.stop() == 0
    assert not folder.exists()


def _living(folder: Path) -> set[int]:
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_livesum*.db")}


def test_the_log_and_the_metrics_are_apart(measured: Measured) -> None:
    """A scrape is no line of the log, and no request that is counted."""
    before = measured.server.output().count("/metrics")
    assert value_in(measured.text(), "http_requests_total", route="/metrics") == 0
    assert measured.server.output().count("/metrics") == before
    with socket.create_connection((HOST, measured.port)) as connection:
        connection.sendall(request("GET", "/metrics"))
        assert b"\r\nserver:" not in read_answer(connection).lower()
