"""Refresh tokens of sessions that are long over. Those of a session that is alive stay, used ones too.

A used token that comes again shows that there is a copy of it, so it is kept for as long as its family can be used.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.batches import Deleter
from app.core.database.database import Database
from app.features.sessions.service import SessionService
from app.features.signin.models import RefreshToken


class RefreshTokenRetention:
    """Deletes refresh tokens that open nothing any more."""

    def __init__(self, database: Database, sessions: SessionService) -> None:
        self._sessions = sessions
        self._deleter = Deleter(database, RefreshToken.token_hash)

    async def purge(self, db: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` tokens of sessions that were over before that time; how many, 0 when there are none."""
        over = select(RefreshToken.token_hash).where(self._sessions.is_over(RefreshToken.session_id, before))
        return await self._deleter.delete(db, over, limit)
