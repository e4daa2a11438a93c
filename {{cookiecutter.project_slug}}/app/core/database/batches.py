"""Upkeep of stored rows, in batches: each is its own transaction, so that other writers get their turn in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import structlog
from sqlalchemy import ColumnElement, LargeBinary, delete, func, inspect, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto import SealBrokenError, Sealer
from app.core.database.database import Base, Database

Batch = Callable[[AsyncSession], Awaitable[int]]
"""Treats some rows in the transaction and returns their number, 0 if none is left."""

_log = structlog.get_logger("app")


class Resealable(Protocol):
    """A service with rows that a `Sealer` sealed."""

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows anew that another key than the current one sealed; return how many, 0 for none."""


async def reseal_rows(db: AsyncSession, model: Any, sealer: Sealer, place: Callable[[Any], bytes], limit: int) -> int:
    """Seal up to `limit` values `sealed` of earlier keys anew; return how many. One that does not open stays (a log).

    Its key may come back; and without its row, a second factor would not be asked for any more.
    """
    (key,) = inspect(model).primary_key
    older = func.substr(model.sealed, 1, len(sealer.key_id), type_=LargeBinary) != sealer.key_id
    wanted = select(model).where(older).order_by(key).limit(limit).with_for_update()
    resealed = broken = 0
    rows = (await db.scalars(wanted)).all()
    while rows:
        for row in rows:
            try:
                row.sealed = sealer.seal(sealer.open(row.sealed, identity=place(row)), identity=place(row))
                resealed += 1
            except SealBrokenError:
                broken += 1
        after = getattr(rows[-1], key.key)
        rows = [] if resealed else (await db.scalars(wanted.where(key > after))).all()
    if broken and not resealed:
        _log.error("sealed_rows_unreadable", table=model.__tablename__, rows=broken)
    return resealed


def purge_of(database: Database, model: type[Base], over: ColumnElement[bool], limit: int) -> Batch:
    """Make the batch that deletes up to `limit` rows that are over: a search, which may be long, holds no lock."""
    key = inspect(model).primary_key
    found: list[Any] = []

    async def purge(db: AsyncSession) -> int:
        deleted = 0
        while not deleted:  # others may have deleted or used what was found
            if not found:
                async with database.read() as reader:
                    found.extend(await reader.execute(select(*key).where(over).limit(10_000)))
            keys, found[:limit] = found[:limit], []
            if not keys:
                break
            deleted = len((await db.execute(delete(model).where(tuple_(*key).in_(keys), over).returning(*key))).all())
        return deleted

    return purge


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
        await asyncio.sleep(max(0.01, time.monotonic() - begin))


async def foreseen(database: Database, batch: Batch) -> int:
    """Return how many rows the batch would treat: it runs, and is rolled back."""
    async with database.transaction() as db:
        treated = await batch(db)
        await db.rollback()
    return treated
