"""Sessions that are long over."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.batches import Deleter
from app.core.database.database import Database
from app.features.sessions.models import Session
from app.features.sessions.service import SessionService


class SessionRetention:
    """Deletes sessions that are over."""

    def __init__(self, database: Database, sessions: SessionService) -> None:
        self._sessions = sessions
        self._deleter = Deleter(database, Session.id)

    async def purge(self, db: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` sessions that were over before that time; how many, 0 when there are none."""
        over = select(Session.id).where(self._sessions.over(before))
        return await self._deleter.delete(db, over, limit)
