"""Which database the tests run on: a file of SQLite for each, or a database on a PostgreSQL server (`--database`).

One server is started for a whole run, when it is first needed; the workers of pytest-xdist share it.

A test that uses the fixture `databases`, or one that stands on it, gets the marker `database`, and `make test-postgres`
runs those alone: whatever else a test uses is the same in every run. `same_on_every_database` takes the marker from a
test that starts the service for something else.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from app.core.database.migrations import upgrade
from app.core.settings.database_url import database_dsn
from tests.support.database.postgresql import PostgresqlDatabases, running_postgresql

SQLITE, POSTGRESQL = "sqlite", "postgresql"
FIXTURE = "databases"
MARKER, SAME = "database", "same_on_every_database"
PLUGIN = "postgresql-server"
_SHARED_URL = "postgresql_url"


Prepare = Callable[[str], None]
"""Makes the schema in an empty database, told by the value of `DATABASE_URL`; it leaves no connection open."""


def migrate(url: str) -> None:
    """Bring the schema of a database up to date."""
    asyncio.run(upgrade(dsn_of(url)))


def dsn_of(url: str) -> SecretStr:
    """What the settings make of a `DATABASE_URL`."""
    return SecretStr(database_dsn(url))


class Databases(Protocol):
    """Makes databases for tests, and removes them; each is told by the value of `DATABASE_URL`."""

    def empty(self, folder: Path) -> AbstractContextManager[str]:
        """A database without a table; a file goes into the folder."""

    def migrated(self, folder: Path) -> AbstractContextManager[str]:
        """A database with the current schema; a file goes into the folder."""


class SqliteFiles:
    """Files, copied from one that was prepared once; they go with the folder that they are in."""

    def __init__(self, folder: Path, prepare: Prepare = migrate) -> None:
        self._template = folder / "migrated.db"
        prepare(_sqlite_url(self._template))

    @contextmanager
    def empty(self, folder: Path) -> Iterator[str]:
        """The name of a file that is not there."""
        yield _sqlite_url(folder / "empty.db")

    @contextmanager
    def migrated(self, folder: Path) -> Iterator[str]:
        """A copy."""
        shutil.copyfile(self._template, folder / "test.db")
        yield _sqlite_url(folder / "test.db")


class PostgresqlCopies:
    """Databases on a server, copied from one that was prepared once."""

    def __init__(self, server: PostgresqlDatabases, prepare: Prepare = migrate) -> None:
        self._server = server
        self._template = server.create()
        prepare(self._template)

    @contextmanager
    def empty(self, folder: Path) -> Iterator[str]:
        """A new database."""
        yield from self._created(None)

    @contextmanager
    def migrated(self, folder: Path) -> Iterator[str]:
        """A copy."""
        yield from self._created(self._template)

    def _created(self, template: str | None) -> Iterator[str]:
        url = self._server.create(template)
        try:
            yield url
        finally:
            self._server.drop(url)


class ForMarkedTests:
    """Gives databases to tests whose use of them was seen when they were collected, so that none is left out unseen."""

    def __init__(self, databases: Databases, current: Callable[[], pytest.Item]) -> None:
        self._databases = databases
        self._current = current

    def empty(self, folder: Path) -> AbstractContextManager[str]:
        """A database without a table; a file goes into the folder."""
        self._require_marker()
        return self._databases.empty(folder)

    def migrated(self, folder: Path) -> AbstractContextManager[str]:
        """A database with the current schema; a file goes into the folder."""
        self._require_marker()
        return self._databases.migrated(folder)

    def _require_marker(self) -> None:
        item = self._current()
        if not any(item.iter_markers(MARKER)) and not any(item.iter_markers(SAME)):
            pytest.fail(
                f"{item.nodeid} has no marker `{MARKER}`, so make test-postgres would leave it out: give the fixture"
                f" by which it gets its database in the signature of the test"
            )


class MarkerPlugin:
    """Marks the tests that use the database of the run, and knows which test runs."""

    item: pytest.Item

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Mark a test by the fixtures that it uses."""
        if FIXTURE in getattr(item, "fixturenames", ()) and not any(item.iter_markers(SAME)):
            item.add_marker(MARKER)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Take note of the test that begins."""
        self.item = item


class PostgresqlPlugin:
    """Starts the server when it is first asked for, and ends it when the run ends, fails or is interrupted."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._stack = ExitStack()

    @cached_property
    def superuser_url(self) -> str:
        """How the superuser connects to the server of this run."""
        shared: str | None = getattr(self._config, "workerinput", {}).get(_SHARED_URL)
        return shared or self._stack.enter_context(running_postgresql()).url

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where the server is; without one that all tests need, a worker that needs it starts its own."""
        if chosen_database(self._config) == POSTGRESQL:
            node.workerinput[_SHARED_URL] = self.superuser_url

    def pytest_unconfigure(self) -> None:
        """End the server."""
        self._stack.close()


def chosen_database(config: pytest.Config) -> str:
    """What `--database` says, or `database` in pyproject.toml."""
    chosen: str = config.getoption("database") or config.getini("database")
    return chosen


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"
