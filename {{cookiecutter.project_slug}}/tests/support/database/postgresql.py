"""A PostgreSQL server of the tests' own, and databases on it that belong to a plain role."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

_PROJECT = Path(__file__).resolve().parents[3]
_SERVE = [sys.executable, "-m", "tests.support.database.postgresql_process"]
_ROLE = "app"
_STOP_SECONDS = 30


class PostgresqlServer:
    """A server that runs until it is left, with the role that the service has: no superuser, owner of nothing else.

    With programs of another server and a file with its certificate and key, that one, which speaks TLS. A `replicated`
    one can have a standby.
    """

    def __init__(
        self, programs: Path | None = None, certificate: Path | None = None, *, replicated: bool = False
    ) -> None:
        others = ["replicated"] * replicated + [str(path) for path in (programs, certificate) if path is not None]
        # A session of its own: Ctrl-C at the terminal is for the tests.
        self._process = subprocess.Popen(
            [*_SERVE, *others],
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.url = self._answer()

    def stop(self) -> None:
        """Stop it as a crash does."""
        self._ask("stop")

    def start(self) -> None:
        """Start it again, at the same port."""
        self._ask("start")

    def hang(self) -> None:
        """Have it accept connections and answer nothing."""
        self._ask("hang")

    def wake(self) -> None:
        """Have it answer again."""
        self._ask("wake")

    def follow(self) -> str:
        """Start a standby of it, and return how the superuser connects to that."""
        return self._ask("follow")

    def promote(self) -> None:
        """Have the standby take writes."""
        self._ask("promote")

    def close(self) -> None:
        """Stop it, and remove its files."""
        self._process.communicate(timeout=_STOP_SECONDS)

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if not answer:
            self._process.communicate()
            message = "PostgreSQL did not start; the lines above say why."
            raise RuntimeError(message)
        return answer


class PostgresqlDatabases:
    """Makes and removes databases, as the superuser whose URL is given; each belongs to a plain role."""

    def __init__(self, superuser_url: str) -> None:
        self.superuser_url = superuser_url
        self._superuser = make_url(superuser_url)
        self._role = f"{_ROLE}_{secrets.token_hex(4)}"
        self._password = secrets.token_hex(32)
        self._loop = asyncio.new_event_loop()
        self._connection = self._run(asyncpg.connect(superuser_url))
        # With a password that long, one round of hashing is enough, and connecting is fast.
        self._execute("SET scram_iterations = 1")
        self._execute(f"CREATE ROLE {self._role} LOGIN PASSWORD '{self._password}'")

    def create(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the one whose URL is given."""
        name = f"test_{secrets.token_hex(8)}"
        copied = f"TEMPLATE {make_url(template).database} STRATEGY FILE_COPY" if template else ""
        self._execute(f"CREATE DATABASE {name} OWNER {self._role} {copied}")
        url = self._superuser.set(username=self._role, password=self._password, database=name)
        return url.render_as_string(hide_password=False)

    def serving(self, url: str) -> str:
        """The URL of a database for another role than its owner: a new one, which may do nothing but connect."""
        role = f"serving_{secrets.token_hex(4)}"
        self._execute(f"CREATE ROLE {role} LOGIN PASSWORD '{self._password}'")
        return make_url(url).set(username=role).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def close(self) -> None:
        """Let the server go, if it is still there."""
        self._connection.terminate()
        self._run(asyncio.sleep(0))
        self._loop.close()

    def _execute(self, statement: str) -> None:
        self._run(self._connection.execute(statement))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)


@contextmanager
def running_postgresql(*, replicated: bool = False) -> Iterator[PostgresqlServer]:
    """Start a server on a free port, and end it at the end."""
    server = PostgresqlServer(replicated=replicated)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def databases_on(superuser_url: str) -> Iterator[PostgresqlDatabases]:
    """Databases on the server; the connection that makes them is closed at the end."""
    databases = PostgresqlDatabases(superuser_url)
    try:
        yield databases
    finally:
        databases.close()
