"""`app/core/database/cache.py` on SQLite: what was read is kept until anything changes, whoever changes it."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from app.core.database import cache
from app.core.database.cache import ReadCache
from app.core.database.database import Database
from tests.support.database.databases import dsn_of

pytestmark = pytest.mark.anyio

Change = Callable[[Database, Path], Awaitable[None]]
OWNER = UUID(int=1)
_ADD = "INSERT INTO things DEFAULT VALUES"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a table."""
    path = tmp_path / "things.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY)")
    return path


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    """The file, as the service has it."""
    database = Database(dsn_of(f"sqlite:///{path}"))
    yield database
    await database.close()


async def by_a_session(database: Database, _: Path) -> None:
    """Commit in this process, in a thread."""
    async with database.transaction() as db:
        await db.execute(text(_ADD))


async def in_one_go(database: Database, _: Path) -> None:
    """Commit in this process, on the event loop."""

    def add(connection: Connection) -> None:
        connection.execute(text(_ADD))

    await database.run_in_transaction(add)


async def elsewhere(_: Database, path: Path) -> None:
    """Commit in another program."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(_ADD)


@pytest.mark.asvs("7.4.1")
@pytest.mark.parametrize("change", [by_a_session, in_one_go, elsewhere])
async def test_every_commit_makes_it_forget(database: Database, path: Path, change: Change) -> None:
    """A value is found again until somebody commits, and then no more."""
    values: ReadCache[str] = ReadCache(database)
    version, found = values.find("key")
    assert found is None
    values.keep(version, "key", OWNER, "value")
    assert values.find("key") == (version, "value")
    assert values.find("other") == (version, None)
    await change(database, path)
    after, found = values.find("key")
    assert found is None
    assert after != version


async def test_what_was_read_before_a_commit_is_not_kept_after_it(database: Database, path: Path) -> None:
    """Two requests overlap a commit: the one that began to read before it keeps nothing."""
    values: ReadCache[str] = ReadCache(database)
    before, _ = values.find("key")
    await elsewhere(database, path)
    values.find("another key")
    values.keep(before, "key", OWNER, "old")
    assert values.find("key")[1] is None


async def test_an_abandoned_transaction_changes_nothing(database: Database) -> None:
    """What is rolled back makes nothing be forgotten."""
    values: ReadCache[str] = ReadCache(database)
    values.keep(values.find("key")[0], "key", OWNER, "value")
    async with database.transaction() as db:
        await db.execute(text(_ADD))
        await db.rollback()
    assert values.find("key")[1] == "value"


async def test_it_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys there are, it keeps no more than it may."""
    monkeypatch.setattr(cache, "_MOST_KEPT", 10)
    values: ReadCache[str] = ReadCache(database)
    kept = []
    for number in range(100):
        version, _ = values.find(number)
        values.keep(version, number, OWNER, "value")
        kept.append(sum(values.find(other)[1] is not None for other in range(100)))
    assert max(kept) == 10


async def test_nothing_is_kept_for_longer_than_some_seconds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it was changed without a word, it is read again."""
    values: ReadCache[str] = ReadCache(database)
    values.keep(values.find("key")[0], "key", OWNER, "value")
    monkeypatch.setattr(cache, "_LONGEST_SECONDS", 0)
    assert values.find("key")[1] is None
