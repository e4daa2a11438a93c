"""aiosqlite with one switch of threads for a statement.

aiosqlite hands each call to the thread of its connection: to make a cursor, to execute, to fetch, to close. Those
switches cost more than the statement. Here a statement is executed and its rows are fetched in one go; making and
closing a cursor, which wait for nothing, are done where they are asked for.
"""

import sqlite3
from typing import Any, Self

import aiosqlite

_ROWS_AT_A_TIME = 64  # of aiosqlite's own iteration, which is not used here


class _Cursor(aiosqlite.Cursor):
    """A cursor that has its rows when it has executed."""

    _rows: list[Any]

    async def execute(self, sql: str, parameters: Any = ()) -> Self:
        """Execute the statement and fetch its rows."""
        self._rows = await self._execute(_execute_and_fetch, self._cursor, sql, parameters)  # type: ignore[no-untyped-call]
        return self

    async def fetchall(self) -> list[Any]:
        """The rows of the statement."""
        return self._rows

    async def close(self) -> None:
        """Close the cursor."""
        self._cursor.close()


class _Connection(aiosqlite.Connection):
    """A connection whose cursors fetch at once."""

    def cursor(self) -> _Cursor:  # type: ignore[override]  # SQLAlchemy enters it, and does not await it
        """Make a cursor."""
        return _Cursor(self, self._conn.cursor())


async def connect(database: str, **options: Any) -> aiosqlite.Connection:
    """Open a connection: SQLAlchemy's `async_creator_fn`."""
    connection = _Connection(lambda: sqlite3.connect(database, **options), _ROWS_AT_A_TIME)
    connection._thread.daemon = True  # noqa: SLF001  # as SQLAlchemy does for connections that it makes itself
    return await connection


def _execute_and_fetch(cursor: sqlite3.Cursor, sql: str, parameters: Any) -> list[Any]:
    cursor.execute(sql, parameters)
    return cursor.fetchall() if cursor.description else []
