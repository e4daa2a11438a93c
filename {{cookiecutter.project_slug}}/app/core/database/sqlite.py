"""SQLite: aiosqlite with one switch of threads for each statement, and connections without a thread.

aiosqlite hands each call to the thread of its connection: make a cursor, execute, fetch, close. Here one switch
executes a statement and fetches its rows, with the `BEGIN` before the first of a transaction; all else takes none.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiosqlite
from sqlalchemy import Connection, Engine, Executable, Row, StaticPool, create_engine
from sqlalchemy.engine.interfaces import ConnectArgsType
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.core.private_files import make_private_file

# The write lock is taken at once: a transaction that reads first could otherwise not upgrade its lock.
BEGIN = "BEGIN IMMEDIATE"
_TRANSACTIONS_BEFORE_A_CHECKPOINT = 100


class _Connection(aiosqlite.Connection):
    def __init__(self, database: str, *, writes: bool, **options: Any) -> None:
        super().__init__(lambda: open_connection(database, **options), iter_chunk_size=64)
        self._thread.daemon = True  # as SQLAlchemy does for connections that it makes itself
        self._writes = writes
        self._begun = False

    def cursor(self) -> "_Cursor":  # type: ignore[override]  # SQLAlchemy enters it, and does not await it
        return _Cursor(self, self._conn.cursor())

    async def opened(self) -> aiosqlite.Connection:
        """Open it; if that fails, wait for the end of its thread, which calls the event loop once more."""
        try:
            return await self
        except sqlite3.Error:
            await asyncio.to_thread(self._thread.join)
            raise

    async def run(self, cursor: sqlite3.Cursor, execute: Callable[[], object]) -> list[Any]:
        begins = self._writes and not self._begun
        # Set before it is done: a caller that is cancelled meanwhile has to roll it back.
        self._begun = self._writes
        rows: list[Any] = await self._execute(self._run, cursor, execute, begins=begins)  # type: ignore[no-untyped-call]
        return rows

    def _run(self, cursor: sqlite3.Cursor, execute: Callable[[], object], *, begins: bool) -> list[Any]:
        if begins:
            cursor.execute(BEGIN)
        elif self._writes and not cursor.connection.in_transaction:
            # It could not begin, or SQLite rolled it back (a full disk): no later statement may be committed alone.
            raise sqlite3.OperationalError("the transaction is over")
        execute()
        return cursor.fetchall() if cursor.description else []

    async def commit(self) -> None:
        if self._begun:
            await super().commit()
            self._begun = False

    async def rollback(self) -> None:
        if self._begun:
            await super().rollback()
            self._begun = False


class _Cursor(aiosqlite.Cursor):
    _conn: _Connection
    _rows: list[Any]

    async def execute(self, sql: str, parameters: Any = ()) -> Self:
        self._rows = await self._conn.run(self._cursor, partial(self._cursor.execute, sql, parameters))
        return self

    async def executemany(self, sql: str, parameters: Any) -> Self:
        self._rows = await self._conn.run(self._cursor, partial(self._cursor.executemany, sql, parameters))
        return self

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def close(self) -> None:
        self._cursor.close()


async def connect(database: str, *, writes: bool, **options: Any) -> aiosqlite.Connection:
    """Open a connection: SQLAlchemy's `async_creator_fn`. Without `writes`, each statement is its own transaction."""
    return await _Connection(database, writes=writes, **options).opened()


def open_connection(database: str, *, timeout: float, checkpoints: bool = True, **options: Any) -> sqlite3.Connection:
    """Open a connection that waits `timeout` seconds for a lock; without `checkpoints`, others make them."""
    if not options.get("uri"):
        make_private_file(Path(database))
    # No implicit BEGIN by the driver.
    connection: sqlite3.Connection = sqlite3.connect(database, timeout=timeout, isolation_level=None, **options)
    try:
        _use_write_ahead_log(connection, timeout)
        for pragma in ("PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON"):
            connection.execute(pragma)
        if not checkpoints:
            connection.execute("PRAGMA wal_autocheckpoint=0")
    except sqlite3.Error:
        connection.close()
        raise
    # SQLite's own knows the cases of ASCII alone; PostgreSQL's knows those of its locale.
    connection.create_function("lower", 1, _lower, deterministic=True)
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection, seconds: float) -> None:
    """Switch a new file to WAL. SQLite itself does not wait here for others that open or write the file."""
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def is_busy(error: sqlite3.OperationalError) -> bool:
    """Return whether another connection holds the lock."""
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the bits above say more


def _lower(value: Any) -> Any:
    """Do what SQL's `lower` does in PostgreSQL: one character for each, wherever in a text it stands."""
    return "".join(character.lower()[0] for character in value) if isinstance(value, str) else value


class DatabaseBusy(Exception):
    """Another connection holds the lock. Nothing was done."""


class DirectSqlite:
    """Two connections to the file of the database, one that reads, one that writes: used on the event loop.

    A hop to a thread takes many times as long as a look-up by key. Nothing here waits: `DatabaseBusy` sends the caller
    to the thread. A commit is written and not synced; a thread makes the checkpoint, which syncs.
    """

    def __init__(self, connect_args: ConnectArgsType) -> None:
        """`connect_args` are what SQLAlchemy's dialect makes of the URL, so that it is the same file."""
        (file,), options = connect_args
        options = {**options, "timeout": 0, "check_same_thread": False}
        self._connect = partial(open_connection, file, **options)
        self._reader = self._engine(isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
        self._writer = self._engine()
        self._never_writes: Any = None
        self._transactions = 0

    def fetch_all(self, statement: Executable, parameters: Mapping[str, object]) -> Sequence[Row[Any]]:
        """Return the rows of one statement; raises `DatabaseBusy`."""
        with _told_when_busy(), self._reader.connect() as connection:
            return connection.execute(statement, parameters).all()

    def version(self) -> int | None:
        """Return a number that changes with every commit, whoever makes it; `None` if it cannot be read."""
        try:
            if self._never_writes is None:
                with closing(self._reader.raw_connection()) as connection:
                    self._never_writes = connection.driver_connection
            # https://www.sqlite.org/pragma.html#pragma_data_version, without SQLAlchemy: it costs ten times as much.
            return int(self._never_writes.execute("PRAGMA data_version").fetchall()[0][0])
        except (sqlite3.Error, SQLAlchemyError):
            return None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit at the end of the block, roll back if it raises; raises `DatabaseBusy` before the block only."""
        self._transactions += 1
        if self._transactions % _TRANSACTIONS_BEFORE_A_CHECKPOINT == 0:
            asyncio.get_running_loop().run_in_executor(None, self._checkpoint)
        with ExitStack() as stack:
            with _told_when_busy():
                connection = stack.enter_context(self._writer.connect())
                connection.exec_driver_sql(BEGIN)
            yield connection
            connection.commit()

    def rewrite(self) -> None:
        """Commit a page as it is, unless another writer is busy: only a commit shows that a disk is full."""
        with suppress(DatabaseBusy), self.transaction() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {version:d}")

    def _checkpoint(self) -> None:
        """Move what was committed from the write-ahead log to the file, so that the log begins anew."""
        # What cannot be moved now is moved by the next checkpoint.
        with suppress(sqlite3.Error), closing(self._connect(timeout=1)) as connection:
            # Most of it while others write; what they have added meanwhile, while they wait.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            connection.execute("PRAGMA wal_checkpoint(RESTART)")

    def _engine(self, **options: Any) -> Engine:
        connect = partial(self._connect, checkpoints=False)
        return create_engine("sqlite://", creator=connect, poolclass=StaticPool, hide_parameters=True, **options)

    def close(self) -> None:
        """Close the connections."""
        self._reader.dispose()
        self._writer.dispose()


@contextmanager
def _told_when_busy() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if isinstance(error.orig, sqlite3.OperationalError) and is_busy(error.orig):
            raise DatabaseBusy from None
        raise
