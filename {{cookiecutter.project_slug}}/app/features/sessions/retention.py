"""Sessions that are long over."""

from datetime import datetime, timedelta

from sqlalchemy import exists, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

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
        newer = aliased(Session)
        followed = exists().where(
            newer.user_id == Session.user_id,
            newer.ip == Session.ip,
            tuple_(newer.last_seen_at, newer.id) > tuple_(Session.last_seen_at, Session.id),
        )
        forgotten = Session.last_seen_at < utc_now() - self._remembered
        over = select(Session.id).where(self._sessions.over(before), or_(forgotten, followed))
        return await self._deleter.delete(unit, over, limit)
