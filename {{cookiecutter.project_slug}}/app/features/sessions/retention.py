"""Sessions that are long over."""

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database import Database
from app.core.maintenance import Deleter
from app.core.settings import Settings
from app.features.sessions.models import Session
from app.features.sessions.service import SessionService


class SessionRetention:
    """Deletes sessions that are over.

    The newest of each user and address stays for longer: `signed_in_from` stands on it, which keeps
    attacks from elsewhere from locking the owner out.
    """

    def __init__(self, database: Database, settings: Settings, sessions: SessionService) -> None:
        self._sessions = sessions
        self._remembered = timedelta(days=settings.retention_address_days)
        self._deleter = Deleter(database, Session.id)

    async def purge(self, unit: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` sessions that were over before that time; how many, 0 when there are none."""
        newest_first = (Session.last_seen_at.desc(), Session.id.desc())
        number = func.row_number().over(partition_by=(Session.user_id, Session.ip), order_by=newest_first)
        is_over = self._sessions.over(before).label("is_over")
        every = select(Session.id, Session.last_seen_at, is_over, number.label("number")).subquery()
        forgotten = every.c.last_seen_at < utc_now() - self._remembered
        over = select(every.c.id).where(every.c.is_over, or_(forgotten, every.c.number > 1))
        return await self._deleter.delete(unit, over, limit)
