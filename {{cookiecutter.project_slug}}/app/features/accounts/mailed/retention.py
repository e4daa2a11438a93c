"""Accounts that were registered and never confirmed: they belong to nobody."""

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.features.accounts.models import AccountToken, User


class UnconfirmedAccountRetention:
    """Deletes accounts that nobody can open any more."""

    async def purge(self, db: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` accounts that were made before a moment, and that no living token would confirm.

        How many, 0 when there are none.
        """
        alive = exists().where(AccountToken.user_id == User.id, AccountToken.expires_at > utc_now())
        forgotten = (
            select(User.id)
            .where(User.verified_at.is_(None), User.created_at < before, ~alive)
            .order_by(User.created_at)
            .limit(limit)
        )
        gone = await db.execute(delete(User).where(User.id.in_(forgotten)).returning(User.id))
        return len(gone.all())
