"""Transactions of the SQLite driver, on real files."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from app.core.database.sqlite import connect

pytestmark = pytest.mark.anyio

_ADD = "INSERT INTO things VALUES (1)"
_COUNT = "SELECT count(*) FROM things"

Connect = Callable[..., Awaitable[aiosqlite.Connection]]


@asynccontextmanager
async def two_writers(path: Path, seconds: float) -> AsyncIterator[tuple[aiosqlite.Connection, aiosqlite.Connection]]:
    """Two connections that write to one file with a table."""
    options = {"timeout": seconds, "check_same_thread": False}  # the latter as SQLAlchemy gives it
    open_one: Connect = partial(connect, str(path / "things.db"), writes=True, **options)
    async with AsyncExitStack() as stack:
        first, second = await open_one(), await open_one()
        stack.push_async_callback(second.close)
        stack.push_async_callback(first.close)
        await execute(first, "CREATE TABLE things (id INTEGER)")
        await first.commit()
        yield first, second


async def execute(connection: aiosqlite.Connection, sql: str) -> list[sqlite3.Row]:
    """The rows of a statement."""
    cursor: Any = connection.cursor()
    await cursor.execute(sql)
    return list(await cursor.fetchall())


async def threads_ended() -> None:
    """Wait for the threads of connections that could not be opened: they tell the loop when they end."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join)


async def test_the_first_statement_takes_the_write_lock(tmp_path: Path) -> None:
    """Reading first, too: what was read is still so when the transaction writes."""
    async with two_writers(tmp_path, seconds=0) as (first, second):
        assert await execute(first, _COUNT) == [(0,)]
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await execute(second, _COUNT)
        await second.rollback()
        await first.commit()
        assert await execute(second, _COUNT) == [(0,)]


async def test_nothing_is_written_behind_a_transaction_that_could_not_begin(tmp_path: Path) -> None:
    """A statement after the one that failed is refused, and not committed by itself."""
    async with two_writers(tmp_path, seconds=0) as (first, second):
        await execute(first, _COUNT)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await execute(second, _ADD)
        await first.commit()
        with pytest.raises(sqlite3.OperationalError, match="is over"):
            await execute(second, _ADD)
        await second.rollback()
        assert await execute(second, _COUNT) == [(0,)]


async def test_who_is_cancelled_while_a_transaction_begins_can_roll_it_back(tmp_path: Path) -> None:
    """The lock that is given later is not kept."""
    async with two_writers(tmp_path, seconds=3) as (first, second):
        await execute(first, _COUNT)
        waiting = asyncio.create_task(execute(second, _ADD))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        rolling_back = asyncio.create_task(second.rollback())
        await first.commit()
        await rolling_back
        await asyncio.sleep(0.5)  # more than SQLite waits between two tries to get the lock
        assert await execute(first, _COUNT) == [(0,)]


async def test_a_new_file_is_opened_while_another_process_writes_it(tmp_path: Path) -> None:
    """The first start of several processes: one migrates a new file while the next one opens it."""
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE things (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(connect(str(path), writes=True, timeout=10, check_same_thread=False))
        done, _ = await asyncio.wait({opening}, timeout=0.2)
        assert not done
        other.execute("COMMIT")
        opened = await opening
    assert await execute(opened, "PRAGMA journal_mode") == [("wal",)]
    await opened.close()


async def test_opening_a_file_that_stays_locked_ends(tmp_path: Path) -> None:
    """It waits as long as it was told, and says that the file is locked."""
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE things (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await connect(str(path), writes=True, timeout=0.1)
    await threads_ended()


async def test_a_file_that_is_no_database_is_not_opened(tmp_path: Path) -> None:
    """The error is SQLite's."""
    path = tmp_path / "things.db"
    path.write_bytes(b"no database, whatever its name says" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        await connect(str(path), writes=False, timeout=1)
    await threads_ended()
