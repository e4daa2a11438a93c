"""Refresh tokens of sessions that are long over. Those of a session that is alive stay, used ones too.

A used token that comes again shows that there is a copy of it, so it is kept for as long as its family can be used.
"""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.features.sessions.service import SessionService
from app.features.signin.models import RefreshToken


class RefreshTokenRetention:
    """Deletes refresh tokens that open nothing any more."""

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    async def purge(self, unit: AsyncSession, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` tokens of sessions that were over before that time; how many."""
        over = (
            select(RefreshToken.token_hash)
            .where(RefreshToken.session_id.in_(self._sessions.select_over(before)))
            .limit(limit)
            .with_for_update(of=RefreshToken, skip_locked=True)
        )
        found = (await unit.scalars(over)).all()
        await unit.execute(delete(RefreshToken).where(RefreshToken.token_hash.in_(found)))
        return len(found)
