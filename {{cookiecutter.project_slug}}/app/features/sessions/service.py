"""Sessions: every sign-in as one row. A token or cookie is worth what its session is worth now (ASVS 7.4.1)."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database import Database
from app.core.errors import NotFound
from app.core.keys import KeyRing
from app.core.pagination import Cursors, Part
from app.core.security_events import SecurityEvent, security_event
from app.core.settings import Settings
from app.features.sessions.client import Client
from app.features.sessions.models import Session

_LONGEST_USER_AGENT = 300

SessionSelect = Select[UUID, datetime, str, str]
"""Selects `user_id`, `authenticated_at`, `methods` and `scope` of one session."""


class EndReason(StrEnum):
    """Why a session ended."""

    ENDED_BY_USER = "ended by user"
    REVOKED = "revoked"
    REFRESH_TOKEN_REUSED = "refresh token reused"  # noqa: S105  # a reason, not a secret
    PASSWORD_CHANGED = "password changed"  # noqa: S105  # a reason, not a secret
    PASSWORD_RESET = "password reset"  # noqa: S105  # a reason, not a secret
    ROLES_CHANGED = "roles changed"
    ACCOUNT_DISABLED = "account disabled"


class SessionService:
    """Starts, refreshes, lists and ends sessions."""

    def __init__(self, database: Database, settings: Settings, keys: KeyRing) -> None:
        self._database = database
        self._idle = timedelta(days=settings.session_idle_days)
        self._longest = timedelta(days=settings.session_max_days)
        self._cursors = Cursors(keys, "sessions")

    async def start(self, unit: AsyncSession, user_id: UUID, *, scope: str, methods: str, client: Client) -> Session:
        """Add a session for a user who has just proved who they are."""
        now = utc_now()
        session = Session(
            user_id=user_id,
            created_at=now,
            authenticated_at=now,
            last_seen_at=now,
            expires_at=now + self._longest,
            scope=scope,
            methods=methods,
            ip=client.ip,
            user_agent=client.user_agent[:_LONGEST_USER_AGENT],
        )
        unit.add(session)
        await unit.flush()
        return session

    async def refresh(self, unit: AsyncSession, session_id: UUID) -> Session | None:
        """The session, seen now, if it is alive."""
        seen = update(Session).where(Session.id == session_id, self._alive()).values(last_seen_at=utc_now())
        return (await unit.execute(seen.returning(Session))).scalar_one_or_none()

    def select_alive(self, session_id: UUID) -> SessionSelect:
        """The statement that finds the session if it is alive."""
        columns = (Session.user_id, Session.authenticated_at, Session.methods, Session.scope)
        return select(*columns).where(Session.id == session_id, self._alive())

    async def is_known_address(self, user_id: UUID, ip: str) -> bool:
        """Whether the user has signed in, or set a password by mail, from the address before."""
        async with self._database.read() as unit:
            found = select(exists().where(Session.user_id == user_id, Session.ip == ip))
            return bool(await unit.scalar(found))

    async def remember_address(self, unit: AsyncSession, user_id: UUID, client: Client) -> None:
        """Count the address as known, by a session that never opens anything: the user showed who they are by mail."""
        session = await self.start(unit, user_id, scope="", methods="", client=client)
        session.ended_at, session.ended_reason = session.created_at, EndReason.PASSWORD_RESET

    async def list_alive(self, user_id: UUID, part: Part) -> tuple[list[Session], str | None]:
        """The user's sessions, newest first, and the cursor of the next part."""
        statement = select(Session).where(Session.user_id == user_id, self._alive())
        statement = self._cursors.select(statement, part, (Session.created_at, Session.id))
        async with self._database.read() as unit:
            rows = (await unit.scalars(statement)).all()
        rows, next_cursor = self._cursors.cut(rows, part)
        return list(rows), next_cursor

    async def end_own(self, user_id: UUID, session_id: UUID) -> None:
        """End one session of the user; what is not theirs is not there."""
        async with self._database.transaction() as unit:
            ended = await self.end_if_own(unit, user_id, session_id, EndReason.ENDED_BY_USER)
        if not ended:
            message = "There is no such session."
            raise NotFound(message)
        security_event(SecurityEvent.SIGNED_OUT, outcome="success", user_id=user_id, session_id=session_id)

    async def end_others(self, user_id: UUID, current: UUID) -> None:
        """End every session of the user but the current one."""
        async with self._database.transaction() as unit:
            await self.end_all(unit, user_id, EndReason.ENDED_BY_USER, keep=current)

    async def end_if_own(self, unit: AsyncSession, user_id: UUID, session_id: UUID, reason: EndReason) -> bool:
        """End one session if it is the user's and alive; whether it was."""
        return bool(await self._end(unit, and_(Session.id == session_id, Session.user_id == user_id), reason))

    async def end(self, unit: AsyncSession, session_id: UUID, reason: EndReason) -> None:
        """End one session."""
        await self._end(unit, Session.id == session_id, reason)

    async def end_all(self, unit: AsyncSession, user_id: UUID, reason: EndReason, *, keep: UUID | None = None) -> None:
        """End every session of the user, but for the one to keep."""
        theirs = Session.user_id == user_id
        await self._end(unit, theirs if keep is None else and_(theirs, Session.id != keep), reason)

    async def _end(self, unit: AsyncSession, which: ColumnElement[bool], reason: EndReason) -> int:
        ending = (
            update(Session)
            .where(which, self._alive())
            .values(ended_at=utc_now(), ended_reason=reason)
            .returning(Session.id, Session.user_id)
        )
        ended = (await unit.execute(ending)).all()
        for session_id, user_id in ended:
            security_event(
                SecurityEvent.SESSION_ENDED, outcome="success", user_id=user_id, session_id=session_id, reason=reason
            )
        return len(ended)

    def _alive(self) -> ColumnElement[bool]:
        now = utc_now()
        return and_(Session.ended_at.is_(None), Session.expires_at > now, Session.last_seen_at > now - self._idle)
