"""What the service does while something it needs fails: the rows of the table in `docs/reliability.md`."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from redis import Redis
from sqlalchemy.engine import make_url

from tests.deploy.conftest import production_settings
from tests.reliability.conftest import create_administrator
from tests.reliability.rig import ME, SECONDS, Act, Rig
from tests.support.database.databases import migrate
from tests.support.database.postgresql import PostgresqlServer, databases_on, running_postgresql
from tests.support.processes.fleet import past_the_proxy
from tests.support.processes.server import ServerProcess, free_port
from tests.support.records.mail import MailServer, running_smtp
from tests.support.servers.valkey import ValkeyServer, running_valkey, url_of

pytestmark = pytest.mark.asvs("16.5.2", "16.5.3")

Endure = Callable[[Act, Act], None]


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A server that nobody else needs."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey that can be started again, at the same port."""
    with running_valkey() as server:
        yield server


class MailHost:
    """A mail server that can be stopped, and started again at the same port."""

    def __init__(self, portal: BlockingPortal) -> None:
        self.server = MailServer(port=free_port())
        self._portal = portal
        self.start()

    def start(self) -> None:
        """Listen."""
        self._running = self._portal.wrap_async_context_manager(running_smtp(self.server))
        self._running.__enter__()

    def stop(self) -> None:
        """Refuse connections."""
        self._running.__exit__(None, None, None)


@pytest.fixture(scope="module")
def mail_host() -> Iterator[MailHost]:
    """A mail server, in a thread of its own."""
    with start_blocking_portal() as portal:
        host = MailHost(portal)
        yield host
        host.stop()


@pytest.fixture(scope="module")
def rig(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_server: PostgresqlServer,
    valkey: ValkeyServer,
    mail_host: MailHost,
) -> Iterator[Rig]:
    """A replica on all of them, as production runs it."""
    with databases_on(postgresql_server.url) as databases:
        url = databases.create()
        migrate(url)
        services = {"REDIS_URL": url_of(valkey), "SMTP_URL": mail_host.server.url(query="?tls=off")}
        with running_rig(tmp_path_factory.mktemp("faults"), url, **services) as rig:
            yield rig


@contextmanager
def running_rig(folder: Path, url: str, prelude: str = "", **settings: str) -> Iterator[Rig]:
    """Start a replica on a migrated database."""
    shared = production_settings() | {"DATABASE_URL": url, "REGISTRATION": "open", **settings}
    create_administrator(folder, shared)
    with (
        ServerProcess(folder, head_seconds=None, prelude=prelude, **shared) as server,
        past_the_proxy(server.port) as client,
    ):
        yield Rig.on(client, server.process, folder)


@pytest.fixture
def endure(rig: Rig, request: pytest.FixtureRequest) -> Endure:
    """Go through a fault: how it begins, and how it ends."""
    return partial(rig.endure, request.node.name)


async def as_superuser(server: PostgresqlServer, statement: str) -> None:
    """Change a setting of a server that runs."""
    superuser = await asyncpg.connect(server.url, server_settings={"default_transaction_read_only": "off"})
    await superuser.execute(statement)
    await superuser.execute("SELECT pg_reload_conf()")
    await superuser.close()


def test_postgresql_stopped(endure: Endure, postgresql_server: PostgresqlServer) -> None:
    """It crashes under the service and is started again: every pool replaces its connections."""
    endure(postgresql_server.stop, postgresql_server.start)


def test_postgresql_hung(rig: Rig, postgresql_server: PostgresqlServer) -> None:
    """It accepts connections and is silent: nobody waits for it for longer than twelve seconds, however many ask."""

    def ask(number: int) -> tuple[int, float]:
        began = time.monotonic()
        bearer = {"Authorization": f"Bearer {rig.tokens['access_token']}"}
        answer = rig.client.request(("GET", "PATCH")[number % 2], ME, json={"display_name": "Me"}, headers=bearer)
        return answer.status_code, time.monotonic() - began

    rig.recover()
    with ThreadPoolExecutor(24) as crowd:
        assert {status for status, _ in crowd.map(ask, range(96))} == {200}  # now the pools are full
        postgresql_server.hang()
        try:
            time.sleep(0.3)  # what was read before may be used that long
            answers = crowd.map(ask, range(24))
            assert rig.client.get("/livez").status_code == 200
            statuses, seconds = zip(*answers, strict=True)
        finally:
            postgresql_server.wake()
    print(f"longest wait: {max(seconds):.1f} s, back after {rig.recover():.1f} s")  # noqa: T201  # figures, with `-s`
    assert set(statuses) == {503}
    assert max(seconds) < 12


def test_postgresql_read_only(endure: Endure, postgresql_server: PostgresqlServer) -> None:
    """The connections stay, and every transaction is read-only."""

    def set_read_only(value: str) -> None:
        asyncio.run(as_superuser(postgresql_server, f"ALTER SYSTEM SET default_transaction_read_only = {value}"))

    endure(partial(set_read_only, "on"), partial(set_read_only, "off"))


def test_postgresql_failed_over(tmp_path: Path) -> None:
    """The server is lost, and its standby is promoted: `DATABASE_URL` names both. No acknowledged write is lost."""
    with running_postgresql(replicated=True) as server, databases_on(server.url) as databases:
        url = make_url(databases.create())
        standby = make_url(server.follow())
        asyncio.run(as_superuser(server, "ALTER SYSTEM SET synchronous_standby_names = '*'"))
        hosts = tuple(f"{each.host}:{each.port}" for each in (url, standby))
        both = url.set(host=None, port=None, query={"host": hosts, "target_session_attrs": "read-write"})
        migrate(url.render_as_string(hide_password=False))
        with running_rig(tmp_path, both.render_as_string(hide_password=False)) as rig:
            rig.endure("test_postgresql_failed_over", server.stop, server.promote)


def test_valkey_stopped(endure: Endure, valkey: ValkeyServer) -> None:
    """Without counters nothing is allowed."""
    endure(valkey.stop, valkey.start)


def test_valkey_hung(endure: Endure, valkey: ValkeyServer) -> None:
    """It accepts connections and answers nothing: the process counts by itself, and allows a quarter of each limit."""
    endure(partial(os.kill, valkey.pid, signal.SIGSTOP), partial(os.kill, valkey.pid, signal.SIGCONT))


def test_valkey_flushed(endure: Endure, valkey: ValkeyServer) -> None:
    """All counts are gone, and nothing but counts: every window begins anew."""
    with Redis.from_url(url_of(valkey)) as client:
        endure(client.flushall, client.flushall)


def test_valkey_read_only(endure: Endure, valkey: ValkeyServer) -> None:
    """It has become the replica of a server that is not there: it answers a PING, and takes no count."""
    with Redis.from_url(url_of(valkey)) as client:
        endure(partial(client.replicaof, "127.0.0.1", free_port()), partial(client.replicaof, "no", "one"))


def test_valkey_full(endure: Endure, valkey: ValkeyServer) -> None:
    """It is out of memory, with `maxmemory-policy noeviction`."""
    with Redis.from_url(url_of(valkey)) as client:
        endure(partial(client.config_set, "maxmemory", 1), partial(client.config_set, "maxmemory", 0))


def test_smtp_stopped(endure: Endure, rig: Rig, mail_host: MailHost) -> None:
    """What sends mail succeeds meanwhile, and the mail goes out within ten seconds of the server's return."""

    def stop_and_register() -> None:
        mail_host.stop()
        body = {"email": "ada@people.example", "password": "seven other lamps sing"}
        assert rig.client.post("/api/v1/accounts", json=body).status_code == 202
        time.sleep(1)  # until the delivery has tried in vain

    endure(stop_and_register, mail_host.start)
    began = time.monotonic()
    while "ada@people.example" not in mail_host.server.recipients:
        assert time.monotonic() - began < SECONDS
        time.sleep(0.05)


# The signals of the process that stands alone: its disk is full or not, its clock an hour ahead or back.
FAILS_ON_SIGNAL = """
import datetime, os, resource, signal
import time_machine

SOFT, HARD = resource.getrlimit(resource.RLIMIT_FSIZE)
clock = time_machine.travel(datetime.datetime.now(datetime.timezone.utc), tick=True).start()

def turn_disk(*_):
    is_full = resource.getrlimit(resource.RLIMIT_FSIZE)[0] != SOFT
    most = SOFT if is_full else os.stat({file!r} + "-wal").st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, HARD))

signal.signal(signal.SIGHUP, turn_disk)
signal.signal(signal.SIGUSR1, lambda *_: clock.shift(3600))
signal.signal(signal.SIGUSR2, lambda *_: clock.shift(-3600))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A replica on SQLite that a signal gives a full disk, or another time."""
    folder = tmp_path_factory.mktemp("alone")
    url = f"sqlite:///{folder}/service.db"
    migrate(url)
    with running_rig(folder, url, FAILS_ON_SIGNAL.format(file=f"{folder}/service.db")) as rig:
        # `/readyz` does not try to write while another writer is busy.
        rig.crowded = 0
        yield rig


def test_disk_full(alone: Rig) -> None:
    """Under SQLite: the file answers every question, and takes no commit."""
    turn = partial(alone.process.send_signal, signal.SIGHUP)
    with closing(sqlite3.connect(alone.folder / "service.db", isolation_level=None, check_same_thread=False)) as reader:

        def fill() -> None:
            # Who reads an old state keeps the write-ahead log growing: else its beginning would be used again.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM users").fetchall()
            turn()

        def empty() -> None:
            turn()
            reader.execute("ROLLBACK")

        alone.endure("test_disk_full", fill, empty)


@pytest.mark.parametrize("hours", [1, -1])
def test_clock(alone: Rig, hours: int) -> None:
    """Tokens from before are expired or of the future; who knows the password gets new ones."""
    ahead, back = (partial(alone.process.send_signal, number) for number in (signal.SIGUSR1, signal.SIGUSR2))
    alone.endure(f"test_clock[{hours}]", *((ahead, back) if hours > 0 else (back, ahead)))
