"""SQLite on the event loop: without a thread, without waiting, and with a log that does not grow."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, Table, func, insert, select

from app.core.database.database import Database
from tests.support.database.databases import dsn_of
from tests.support.records.logs import captured_log, log_settings

pytestmark = pytest.mark.anyio

_THINGS = Table("things", MetaData(), Column("id", Integer, primary_key=True), Column("content", LargeBinary))
_COUNT = select(func.count()).select_from(_THINGS)
_PAGE = b"x" * 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a table, whose log is ahead of it."""
    path = tmp_path / "things.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, content BLOB)")
    return path


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    """The file, as the service has it."""
    database = Database(dsn_of(f"sqlite:///{path}"))
    yield database
    await database.close()


def add(connection: Connection) -> None:
    """Add a row of a page."""
    connection.execute(insert(_THINGS), {"content": _PAGE})


async def count(database: Database) -> int:
    """How many rows there are, by the way that every request takes."""
    ((number,),) = await database.fetch_all(_COUNT, {})
    return int(number)


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """A block during which somebody else lets nobody read or write the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO things (content) VALUES (x'00')")
        other.execute("COMMIT")
        yield


async def test_neither_a_look_up_nor_a_short_unit_needs_a_thread(database: Database) -> None:
    """They are done where they are asked for."""
    before = threading.active_count()
    assert await count(database) == 0
    await database.run_in_transaction(add)
    assert await count(database) == 1
    assert threading.active_count() == before


async def test_whoever_comes_while_the_file_is_locked_waits_in_a_thread(database: Database, path: Path) -> None:
    """The event loop goes on, and both get what they asked for when the lock is gone."""
    with alone_with(path):
        asking = asyncio.gather(count(database), database.run_in_transaction(add))
        for _ in range(20):
            begin = asyncio.get_running_loop().time()
            await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() - begin < 0.5
        assert not asking.done()
    number, _ = await asking
    assert number in {1, 2}
    assert await count(database) == 2


async def test_a_short_unit_waits_for_a_long_one(database: Database) -> None:
    """One that holds the write lock for as long as its block takes, in this process; nothing of either is lost."""
    async with database.transaction() as db:
        await db.execute(insert(_THINGS), {"content": b"long"})
        short = asyncio.create_task(database.run_in_transaction(add))
        await asyncio.sleep(0.1)
        assert not short.done()
        assert await count(database) == 0
    await short
    assert await count(database) == 2


async def test_the_log_of_the_file_does_not_grow_without_end(database: Database, path: Path) -> None:
    """Short transactions leave checkpoints to a thread, which makes one after every few of them."""
    log, sizes = path.with_name("things.db-wal"), [0]
    for _ in range(20):
        for _ in range(110):
            await database.run_in_transaction(add)
        await asyncio.sleep(0.1)
        sizes.append(log.stat().st_size)
        if sizes[-1] == sizes[-2]:
            break
    assert sizes[-1] == sizes[-2], sizes
    assert sizes[-1] < 1000 * len(
        _PAGE
    )  # a transaction writes three pages, and a checkpoint follows a hundred transactions


async def test_a_file_that_is_named_as_a_uri_is_the_same_for_both_ways(path: Path) -> None:
    """With its options: nothing is written to one that may only be read."""
    database = Database(dsn_of(f"sqlite:///file:{path}?mode=ro&uri=true"))
    assert await count(database) == 0
    with captured_log(log_settings()), pytest.raises(Exception, match="readonly"):
        await database.run_in_transaction(add)
    await database.close()
    assert not list(Path.cwd().glob("file:*"))
