"""A PgBouncer of the tests' own, in front of one PostgreSQL database."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.processes.server import HOST, free_port

SESSION, TRANSACTION = "session", "transaction"
# Fewer than the service has connections to PgBouncer, so that one transaction is on another one than the last.
SHARED = 3
# A session holds its connection: as many as two processes can have.
HELD = 40

_START_SECONDS = 20
_STOP_SECONDS = 20


@pytest.fixture(params=[SESSION, TRANSACTION])
def plain_pooled_url(request: pytest.FixtureRequest, pgbouncer: str, postgresql: PostgresqlDatabases) -> Iterator[str]:
    """An empty database behind PgBouncer, as `DATABASE_URL` names it without the option."""
    created = postgresql.create()
    connections = HELD if request.param == SESSION else SHARED
    try:
        with running_pgbouncer(pgbouncer, created, request.param, connections) as url:
            yield url
    finally:
        postgresql.drop(created)


@pytest.fixture
def pooled_url(plain_pooled_url: str) -> str:
    """The same with the option."""
    return f"{plain_pooled_url}?pgbouncer=true"


@contextmanager
def running_pgbouncer(program: str, database_url: str, mode: str, connections: int) -> Iterator[str]:
    """Start a pooler that shares that many connections to the database; its URL, without an option."""
    server = make_url(database_url)
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    log = folder / "log"
    users, configuration = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{server.username}" "{server.password}"\n', encoding="ascii")
    configuration.write_text(
        "\n".join(
            (
                "[databases]",
                f"* = host={server.host} port={server.port}",
                "[pgbouncer]",
                f"listen_addr = {HOST}",
                f"listen_port = {port}",
                "unix_socket_dir =",
                "auth_type = md5",
                f"auth_file = {users}",
                f"pool_mode = {mode}",
                f"default_pool_size = {connections}",
                "max_client_conn = 200",
            )
        ),
        encoding="ascii",
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, str(configuration)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_plain_user(folder)
        )
    try:
        _wait_until_it_listens(process, port, log)
        yield server.set(port=port).render_as_string(hide_password=False)
    finally:
        process.kill()
        process.wait(_STOP_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    message = f"PgBouncer did not start:\n{log.read_text(encoding='utf-8')}"
    raise RuntimeError(message)


def _plain_user(folder: Path) -> dict[str, Any]:
    """PgBouncer refuses to be root, so that root runs it as nobody."""
    if os.geteuid() != 0:
        return {}
    import pwd  # noqa: PLC0415  # there is none on Windows

    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": (), "cwd": folder}
