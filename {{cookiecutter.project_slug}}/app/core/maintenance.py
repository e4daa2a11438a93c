"""Upkeep of stored rows, in batches: each is a transaction of its own, and other writers get their turn in between.

A feature takes part by offering `purge` or `reseal` on its service, and with one line in `commands/upkeep.py`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database

Batch = Callable[[AsyncSession], Awaitable[int]]
"""Treats some rows in the transaction, and gives their number: 0 when none is left."""

_SHORTEST_PAUSE_SECONDS = 0.01


class Purgeable(Protocol):
    """Keeps rows that are worth nothing after some time."""

    async def purge(self, unit: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` rows that were over before that time; how many, 0 when there are none."""


class Resealable(Protocol):
    """Keeps rows that `core/sealing.py` sealed."""

    async def reseal(self, unit: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows with the current key that another one sealed; how many, 0 when there are none."""


async def in_batches(database: Database, batch: Batch) -> AsyncIterator[int]:
    """Treat every row, and give the size of each batch that is committed."""
    while True:
        begin = time.monotonic()
        async with database.transaction() as unit:
            treated = await batch(unit)
        if not treated:
            return
        yield treated
        # SQLite's lock is not fair: without a pause as long as the work, the service could wait for its turn for ever.
        await asyncio.sleep(max(_SHORTEST_PAUSE_SECONDS, time.monotonic() - begin))


async def foreseen(database: Database, batch: Batch) -> int:
    """How many rows the batch would treat: it is done, and rolled back."""
    async with database.transaction() as unit:
        treated = await batch(unit)
        await unit.rollback()
    return treated
