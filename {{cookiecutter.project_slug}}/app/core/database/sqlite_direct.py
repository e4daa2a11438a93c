"""SQLite without a thread: single statements and short transactions, done on the event loop.

A hop to a thread takes many times as long as a look-up by key. Nothing here waits: `DatabaseBusy` sends the caller to
the thread. A commit is written and not synced; a thread makes the checkpoint, which syncs.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, Executable, Row, StaticPool, create_engine
from sqlalchemy.engine.interfaces import ConnectArgsType
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.core.database import sqlite_driver

_TRANSACTIONS_BEFORE_A_CHECKPOINT = 100


class DatabaseBusy(Exception):  # noqa: N818  # no error: the caller uses the thread
    """Another connection holds the lock. Nothing was done."""


class DirectSqlite:
    """Two connections to the file of the database: one that reads, one that writes. For one event loop."""

    def __init__(self, connect_args: ConnectArgsType) -> None:
        """`connect_args` are what SQLAlchemy's dialect makes of the URL, so that it is the same file."""
        (file,), options = connect_args
        options = {**options, "timeout": 0, "check_same_thread": False}
        self._connect = partial(sqlite_driver.open_connection, file, **options)
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
                connection.exec_driver_sql(sqlite_driver.BEGIN)
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
        if isinstance(error.orig, sqlite3.OperationalError) and sqlite_driver.is_busy(error.orig):
            raise DatabaseBusy from None
        raise
