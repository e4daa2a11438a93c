"""Upkeep of stored rows, in batches: each is its own transaction, so that other writers get their turn in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, LargeBinary, delete, func, inspect, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import SealBrokenError, Sealer
from app.core.database.database import Base, Database

Batch = Callable[[AsyncSession], Awaitable[int]]
"""Treats some rows in the transaction and returns their number, 0 if none is left."""

_SHORTEST_PAUSE_SECONDS = 0.01
_FOUND_AT_ONCE = 10_000


class Resealable(Protocol):
    """A service with rows that a `Sealer` sealed."""

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows anew that another key than the current one sealed; return how many, 0 for none."""


async def reseal_rows(db: AsyncSession, model: Any, sealer: Sealer, place: Callable[[Any], bytes], limit: int) -> int:
    """Seal up to `limit` values `sealed` of earlier keys anew; return how many. A row that does not open is deleted."""
    older = func.substr(model.sealed, 1, len(sealer.key_id), type_=LargeBinary) != sealer.key_id
    wanted = select(model).where(older).order_by(*inspect(model).primary_key).limit(limit).with_for_update()
    rows = (await db.scalars(wanted)).all()
    for row in rows:
        try:
            row.sealed = sealer.seal(sealer.open(row.sealed, identity=place(row)), identity=place(row))
        except SealBrokenError:
            await db.delete(row)
    return len(rows)


Over = Callable[[datetime], ColumnElement[bool]]
"""Makes the condition on rows that were over before a time."""


class RowPurge:
    """Deletes the rows of a table that were over before a time.

    With a `database` it finds many at once, for a long search, which holds no lock: a row that is over must stay so.
    """

    def __init__(self, model: type[Base], over: Over, database: Database | None = None) -> None:
        self._model = model
        self._over = over
        self._database = database
        self._found: list[Any] = []

    async def purge(self, db: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows that were over before that time; return how many, 0 if there are none."""
        key = inspect(self._model).primary_key
        over = select(*key).where(self._over(before))
        while True:
            keys: Any = over.limit(limit)
            if self._database is not None:
                if not self._found:
                    async with self._database.read() as reader:
                        self._found = list(await reader.execute(over.limit(_FOUND_AT_ONCE)))
                keys, self._found = self._found[:limit], self._found[limit:]
            deleting = delete(self._model).where(tuple_(*key).in_(keys)).returning(*key)
            deleted = len((await db.execute(deleting)).all())
            if deleted or self._database is None or not keys:
                return deleted
            # Another process has deleted these.


async def in_batches(database: Database, batch: Batch) -> AsyncIterator[int]:
    """Treat every row, and yield the size of each batch that is committed."""
    while True:
        begin = time.monotonic()
        async with database.transaction() as db:
            treated = await batch(db)
        if not treated:
            return
        yield treated
        # SQLite's lock is not fair: without a pause as long as the work, the service might never get its turn.
        await asyncio.sleep(max(_SHORTEST_PAUSE_SECONDS, time.monotonic() - begin))


async def foreseen(database: Database, batch: Batch) -> int:
    """Return how many rows the batch would treat: it runs, and is rolled back."""
    async with database.transaction() as db:
        treated = await batch(db)
        await db.rollback()
    return treated
