"""Upkeep in batches."""

import asyncio
import time

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database.batches import foreseen, in_batches
from app.core.database.database import Database
from app.core.settings.model import Settings
from app.features.accounts.models import User
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def add_three(db: AsyncSession) -> int:
    """A batch that writes."""
    number = await db.scalar(select(func.count()).select_from(User)) or 0
    rows = [{"email": f"{number + each}", "mailbox": f"{number + each}", "created_at": utc_now()} for each in range(3)]
    if number < 9:
        await db.execute(insert(User), rows)
        return 3
    return 0


async def count(database: Database) -> int:
    """How many rows there are."""
    async with database.read() as db:
        return int(await db.scalar(select(func.count()).select_from(User)) or 0)


async def test_each_batch_is_kept_before_the_next(service: Service) -> None:
    """What is done stays done when a later batch fails, or when nobody asks for more; another run goes on."""
    database = service[Database]
    async for size in in_batches(database, add_three):
        assert size == 3
        assert await count(database) == 3
        break
    sizes = [size async for size in in_batches(database, add_three)]
    assert (sizes, await count(database)) == ([3, 3], 9)


async def test_a_forecast_changes_nothing(service: Service) -> None:
    """The number is the one that the batch would have."""
    database = service[Database]
    assert await foreseen(database, add_three) == 3
    assert await count(database) == 0
    assert [size async for size in in_batches(database, add_three)] == [3, 3, 3]
    assert await foreseen(database, add_three) == 0


async def test_others_write_between_the_batches(service: Service) -> None:
    """Each batch holds the lock for a while; somebody who writes gets in soon, not when all batches are done."""
    database = service[Database]
    left = 40

    async def slow(db: AsyncSession) -> int:
        nonlocal left
        await db.execute(select(1))
        await asyncio.sleep(0.02)
        left -= 1
        return left

    async def work() -> None:
        async for _ in in_batches(database, slow):
            pass

    working = asyncio.create_task(work())
    await asyncio.sleep(0.03)
    other, begin = Database(service[Settings].database_url), time.monotonic()
    for _ in range(3):
        async with other.transaction() as db:
            await db.execute(select(1))
    waited, left_then = time.monotonic() - begin, left
    await other.close()
    await working
    assert left_then > 0, f"waited for {waited} s"
