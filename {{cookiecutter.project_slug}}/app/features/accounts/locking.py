"""Lock accounts until the caller's transaction ends, and do work that is taken back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import lazyload

from app.core.errors import Conflict
from app.features.accounts.models import User


async def lock_mailbox(db: AsyncSession, mailbox: str) -> User | None:
    """Lock and return the account of a mailbox, without its roles: one statement, whether there is one or not."""
    found = select(User).where(User.mailbox == mailbox).options(lazyload(User.role_rows)).with_for_update()
    return await db.scalar(found)


async def lock_confirmed(db: AsyncSession, confirmed: User) -> User:
    """Lock and return an account; raises `Conflict` if its password changed or it was disabled since `confirmed`."""
    unchanged = (User.id == confirmed.id, User.password_hash == confirmed.password_hash)
    user = await db.scalar(select(User).where(*unchanged, User.disabled_at.is_(None)).with_for_update())
    if user is None:
        raise Conflict("The account was changed meanwhile.")
    return user


@asynccontextmanager
async def taken_back(db: AsyncSession, *, unless: bool) -> AsyncIterator[None]:
    """Take back what the block writes unless `unless`: equal work, so equal time, for every address (ASVS 6.3.8)."""
    savepoint = await db.begin_nested()
    try:
        yield
        await db.flush()
    except BaseException:
        await savepoint.rollback()
        raise
    await (savepoint.commit() if unless else savepoint.rollback())
