"""Replicas are replaced one after the other under load, as `docs/deployment.md` says."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.deploy.conftest import production_settings
from tests.deploy.contract import ask
from tests.support.http.raw import JSON, SIGNIN, status_of
from tests.support.processes.fleet import Fleet
from tests.support.processes.server import request
from tests.support.servers.proxies import NAME, Proxy, running_caddy, running_nginx

pytestmark = pytest.mark.same_on_every_database

READ = request("GET", "/readyz", host=NAME)
# A write, which the service refuses. No proxy sends one a second time, even where the service has closed the connection
# before it has read it.
WRITE = request("POST", SIGNIN, JSON, "Content-Length: 2", host=NAME) + b"{}"
CLIENTS = 4


@pytest.fixture
def fleet(tmp_path: Path, database_url: str) -> Iterator[Fleet]:
    """Two replicas on one database."""
    with Fleet(tmp_path, 2, DATABASE_URL=database_url, **production_settings()) as running:
        yield running


def test_behind_caddy(fleet: Fleet, tmp_path: Path) -> None:
    """Caddy asks the other replica when one refuses the connection."""
    restart(fleet, running_caddy(tmp_path, fleet.ports))


def test_behind_nginx(fleet: Fleet, nginx: str, tmp_path: Path) -> None:
    """With nginx it is the same."""
    restart(fleet, running_nginx(nginx, tmp_path, fleet.ports))


def restart(fleet: Fleet, starting: AbstractContextManager[Proxy]) -> None:
    """Replace all replicas while clients ask. Only a write on its way when a replica ends may fail, with 502."""
    read: Counter[int] = Counter()
    written: Counter[int] = Counter()
    with starting as proxy, asking(proxy, {READ: read, WRITE: written}):
        fleet.replace_all()
    assert read.keys() == {200}
    assert written.pop(502, 0) <= 1
    assert written.keys() == {422}


@contextmanager
def asking(proxy: Proxy, counted: dict[bytes, Counter[int]]) -> Iterator[None]:
    """Send each request from several threads until the block ends; count the statuses, 0 for no answer."""
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            for sent, statuses in counted.items():
                statuses[status_of(ask(proxy, sent))] += 1

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
