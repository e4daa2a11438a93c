"""Replicas are killed, and replaced by those of a newer version and its schema, while clients read and write."""

import json
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx2
from alembic.script import ScriptDirectory

from app.core.database.migrations import MIGRATIONS
from tests.core.database.test_schema_changes import TOMORROW
from tests.reliability.conftest import Site
from tests.support.processes.fleet import through
from tests.support.processes.server import environment
from tests.support.processes.warm import MANAGE, Command

CLIENTS = 3


class Load:
    """Clients that read and write in turn; each write registers an OAuth client with a name that no other one has."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._headers = {"Authorization": f"Bearer {site.sign_in()['access_token']}"}
        self._mark, self._numbers = secrets.token_hex(4), count()
        self._over = threading.Event()
        self.read: Counter[int | str] = Counter()
        self.written: Counter[int | str] = Counter()
        self.acknowledged: set[str] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block ends."""
        threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def wait_for_more(self, writes: int = 40) -> None:
        """Return when so many more writes were answered."""
        goal = self.written.total() + writes
        while self.written.total() < goal and not self._over.wait(0.02):
            pass

    def stored(self) -> Counter[str]:
        """How often each name is in the list of clients."""
        names: Counter[str] = Counter()
        cursor: dict[str, str] = {}
        while True:
            page = self._site.client.get(
                "/api/v1/clients", params={"limit": "100", **cursor}, headers=self._headers
            ).json()
            names.update(item["name"] for item in page["items"])
            if page["next_cursor"] is None:
                return names
            cursor = {"cursor": page["next_cursor"]}

    def _ask(self) -> None:
        with through(self._site.proxy) as client:
            while not self._over.is_set():
                self.read[self._status(client.get, "/api/v1/users/me")] += 1
                self._write(client, f"{self._mark} {next(self._numbers)}")
                time.sleep(0.03)  # a steady load: the machine has other things to do

    def _status(self, ask: Callable[..., httpx2.Response], path: str, **body: object) -> int | str:
        try:
            return ask(path, headers=self._headers, **body).status_code
        except httpx2.TransportError as error:
            return type(error).__name__

    def _write(self, client: httpx2.Client, name: str) -> None:
        body = {"name": name, "scope": "users:read", "grants": ["client_credentials"], "roles": ["auditor"]}
        status = self._status(client.post, "/api/v1/clients", json=body)
        self.written[status] += 1
        if status == 201:
            self.acknowledged.add(name)


def test_a_killed_replica_loses_no_acknowledged_write_and_doubles_none(site: Site) -> None:
    """Reads go on at the others. A write that was on its way is not acknowledged, and is there once or not at all."""
    load = Load(site)
    with load.running():
        for port in site.fleet.ports:
            load.wait_for_more()
            site.fleet.kill(port)
            load.wait_for_more()
            site.fleet.start(port)
    stored = load.stored()
    assert load.read.keys() == {200}
    assert load.written[201] == len(load.acknowledged)
    assert load.written.total() - load.written[201] <= CLIENTS * len(site.fleet.ports)
    assert [name for name in load.acknowledged if stored[name] != 1] == []
    assert [name for name, times in stored.items() if times > 1] == []


def newer_version(folder: Path) -> str:
    """Code that makes a process one of the next version, which has one more additive migration."""
    shutil.copytree(MIGRATIONS, folder)
    (newest,) = ScriptDirectory(str(folder)).get_heads()
    text = TOMORROW.format(revision="next", before=newest, additive=True)
    (folder / "versions" / "next.py").write_text(text, encoding="utf-8")
    return f"import pathlib, app.core.database.migrations as m; m.MIGRATIONS = pathlib.Path({str(folder)!r})\n"


def test_a_rolling_update_with_a_migration_fails_no_request(site: Site, tmp_path: Path) -> None:
    """The old replicas serve while the new version migrates, and until each is replaced; nobody notices."""
    load, newer = Load(site), newer_version(tmp_path / "migrations")
    settings = environment(**site.fleet.settings)
    with load.running():
        done = Command(("migrate",), folder=tmp_path, environment=settings, code=newer + MANAGE).end()
        assert done.code == 0, done.err
        load.wait_for_more()
        site.fleet.replace_all(newer)
        load.wait_for_more()
    assert load.read.keys() == {200}
    assert load.written.keys() == {201}
    versions = [json.loads(line)["event"] for log in site.fleet.logs() for line in log.splitlines()]
    assert "schema_newer" not in versions
