"""Ending the sessions of somebody else."""

from uuid import UUID

from app.access.principal import Principal
from app.core.database.database import Database
from app.core.errors import NotFound
from app.features.accounts.administration import AccountAdministration
from app.features.accounts.authority import Authority
from app.features.pages.events import PagesEnd
from app.features.sessions.service import SessionService


class SessionAdministration:
    """Ends sessions on behalf of an administrator (ASVS 7.4.5)."""

    def __init__(
        self, database: Database, authority: Authority, accounts: AccountAdministration, sessions: SessionService
    ) -> None:
        self._database = database
        self._authority = authority
        self._accounts = accounts
        self._sessions = sessions

    async def end(self, actor: Principal, user_id: UUID, session_id: UUID) -> None:
        """End one session of the account; raises `NotFound` for one that is not theirs, or is over."""
        async with self._database.transaction() as db:
            await self._authority.lock_actor(db, actor)
            await self._accounts.lock(db, actor, user_id)
            ended = await self._sessions.end_if_own(db, user_id, session_id, PagesEnd.ENDED_BY_ADMINISTRATOR)
        if not ended:
            raise NotFound("There is no such session.")

    async def end_all(self, actor: Principal, user_id: UUID) -> None:
        """End every session of the account but the one that asks."""
        async with self._database.transaction() as db:
            await self._authority.lock_actor(db, actor)
            await self._accounts.lock(db, actor, user_id)
            await self._sessions.end_all(db, user_id, PagesEnd.ENDED_BY_ADMINISTRATOR, keep=actor.session_id)
