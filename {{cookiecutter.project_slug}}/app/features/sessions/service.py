"""Sessions: every sign-in as one row. A token or cookie is worth what its session is worth now (ASVS 7.4.1)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.clock import utc_now
from app.core.crypto.keys import KeyRing
from app.core.database.database import Database, table_of
from app.core.errors import NotFound
from app.core.events.flow import emit_event
from app.core.pagination import Cursors, PageParams
from app.core.settings.model import Settings
from app.features.sessions.client import Client
from app.features.sessions.devices import LONGEST_USER_AGENT, device_of
from app.features.sessions.events import EndReason, SessionEnd, SessionEvent
from app.features.sessions.models import Session

_sessions = table_of(Session)
_START = insert(_sessions)

SELECT_ALIVE: Select[UUID, datetime, str, str] = (
    select(_sessions.c.user_id, _sessions.c.authenticated_at, _sessions.c.methods, _sessions.c.scope)
    .where(_sessions.c.id == bindparam("session_id"), _sessions.c.ended_at.is_(None))
    .where(_sessions.c.expires_at > bindparam("now"), _sessions.c.last_seen_at > bindparam("idle_since"))
)
"""One session if it is alive, made once for every request to use; `SessionService.alive` has its parameters."""


_BEYOND = (
    select(_sessions.c.id)
    .where(_sessions.c.user_id == bindparam("user_id"), _sessions.c.ended_at.is_(None))
    .where(_sessions.c.expires_at > bindparam("now"), _sessions.c.last_seen_at > bindparam("idle_since"))
    .order_by(_sessions.c.last_seen_at.desc(), _sessions.c.id)
    .offset(bindparam("kept"))
)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just begun."""

    id: UUID
    user_id: UUID
    authenticated_at: datetime


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What is particular to a session: the OAuth client that has it, since when the user is known, how long it lasts.

    What is None is as for a sign-in of this moment by the service's own client.
    """

    client_id: str | None = None
    authenticated_at: datetime | None = None
    lifetime: timedelta | None = None


_OWN_SIGNIN = SessionOptions()


class SessionService:
    """Starts, refreshes, lists and ends sessions."""

    def __init__(self, database: Database, settings: Settings, keys: KeyRing) -> None:
        self._database = database
        self._idle = timedelta(days=settings.session_idle_days)
        self._longest = timedelta(days=settings.session_max_days)
        self._most = settings.sessions_per_user
        self._cursors = Cursors(keys, "sessions")

    def start(  # noqa: PLR0913  # the parts of a row
        self,
        connection: Connection,
        user_id: UUID,
        *,
        scope: str,
        methods: str,
        client: Client,
        terms: SessionOptions = _OWN_SIGNIN,
    ) -> NewSession:
        """Add a session for a user who has just proved who they are, unless the terms say when that was.

        The user is locked. Beyond `SESSIONS_PER_USER`, the session that idles for longest ends; one
        with a lifetime of its own ends none, for it dies within minutes.
        """
        if terms.lifetime is None:
            self._make_room(connection, user_id)
        now = utc_now()
        session = NewSession(uuid4(), user_id, terms.authenticated_at or now)
        row = {
            "id": session.id,
            "user_id": user_id,
            "created_at": now,
            "authenticated_at": session.authenticated_at,
            "last_seen_at": now,
            "expires_at": now + (terms.lifetime or self._longest),
            "scope": scope,
            "methods": methods,
            "ip": client.ip,
            "user_agent": client.user_agent[:LONGEST_USER_AGENT],
            "client_id": terms.client_id,
            "device": None if terms.client_id else device_of(user_id, client),
        }
        connection.execute(_START, row)
        return session

    def _make_room(self, connection: Connection, user_id: UUID) -> None:
        """End the sessions that idle for longest, until one more is within the bound."""
        now = utc_now()
        theirs = {"user_id": user_id, "now": now, "idle_since": now - self._idle, "kept": self._most - 1}
        over = [row.id for row in connection.execute(_BEYOND, theirs).all()]
        if over:
            ending = update(_sessions).where(_sessions.c.id.in_(over))
            connection.execute(ending.values(ended_at=now, ended_reason=SessionEnd.TOO_MANY))
        for session_id in over:
            _ended(session_id, user_id, SessionEnd.TOO_MANY)

    async def lock(self, db: AsyncSession, session_id: UUID) -> str | None:
        """Let nobody else change the session until the transaction ends; the client that has it."""
        return await db.scalar(select(Session.client_id).where(Session.id == session_id).with_for_update())

    async def lock_alive(self, db: AsyncSession, session_id: UUID) -> bool:
        """Let nobody else end the session until the transaction ends, if it is alive; whether it is."""
        living = select(Session.id).where(Session.id == session_id, self._alive()).with_for_update()
        return await db.scalar(living) is not None

    async def find_alive(self, db: AsyncSession, session_id: UUID) -> Session | None:
        """The session, if it is alive."""
        return await db.scalar(select(Session).where(Session.id == session_id, self._alive()))

    def ends_at(self, session: Session) -> datetime:
        """When the session ends, unless it is used before."""
        return min(session.expires_at, session.last_seen_at + self._idle)

    async def refresh(self, db: AsyncSession, session_id: UUID) -> Session | None:
        """The session, seen now, if it is alive."""
        seen = update(Session).where(Session.id == session_id, self._alive()).values(last_seen_at=utc_now())
        return (await db.execute(seen.returning(Session))).scalar_one_or_none()

    async def seen(self, session_id: UUID, *, not_since: datetime) -> None:
        """Note that the session is in use, unless that was noted since."""
        idle = and_(Session.id == session_id, Session.last_seen_at < not_since)
        # Most of the time there is nothing to note, and nobody should wait for the lock of a writer.
        async with self._database.read() as db:
            if await db.scalar(select(Session.id).where(idle)) is None:
                return
        async with self._database.transaction() as db:
            await db.execute(update(Session).where(idle).values(last_seen_at=utc_now()))

    async def authenticated_again(self, db: AsyncSession, session_id: UUID) -> datetime | None:
        """Note that the user has just proved who they are: the time, or None if the session has ended."""
        now = utc_now()
        proved = update(Session).where(Session.id == session_id, self._alive())
        proved = proved.values(authenticated_at=now, last_seen_at=now)
        return now if await db.scalar(proved.returning(Session.id)) else None

    def alive(self, session_id: UUID) -> dict[str, object]:
        """The parameters of `SELECT_ALIVE` for a session at this moment."""
        now = utc_now()
        return {"session_id": session_id, "now": now, "idle_since": now - self._idle}

    async def list_alive(self, user_id: UUID, params: PageParams) -> tuple[list[Session], str | None]:
        """The user's sessions, newest first, and the cursor of the next part."""
        statement = select(Session).where(Session.user_id == user_id, self._alive())
        statement = self._cursors.select(statement, params, (Session.created_at, Session.id))
        async with self._database.read() as db:
            rows = (await db.scalars(statement)).all()
        rows, next_cursor = self._cursors.page(rows, params)
        return list(rows), next_cursor

    async def end_own(self, user_id: UUID, session_id: UUID) -> None:
        """End one session of the user; what is not theirs is not there."""
        async with self._database.transaction() as db:
            ended = await self.end_if_own(db, user_id, session_id, SessionEnd.ENDED_BY_USER)
            if ended:
                emit_event(SessionEvent.SIGNED_OUT, outcome="success", user_id=user_id, session_id=session_id)
        if not ended:
            raise NotFound("There is no such session.")

    async def end_others(self, user_id: UUID, current: UUID) -> None:
        """End every session of the user but the current one."""
        async with self._database.transaction() as db:
            await self.end_all(db, user_id, SessionEnd.ENDED_BY_USER, keep=current)

    async def end_if_own(self, db: AsyncSession, user_id: UUID, session_id: UUID, reason: EndReason) -> bool:
        """End one session if it is the user's and alive; whether it was."""
        return bool(await self._end(db, and_(Session.id == session_id, Session.user_id == user_id), reason))

    async def end_if_of_client(
        self, db: AsyncSession, client_id: str | None, session_id: UUID, reason: EndReason
    ) -> bool:
        """End one session if the client has it and it is alive; whether it was."""
        return bool(await self._end(db, and_(Session.id == session_id, Session.client_id == client_id), reason))

    async def end_all_of_client(
        self, db: AsyncSession, client_id: str, reason: EndReason, *, user_id: UUID | None = None
    ) -> None:
        """End every session that the client has, or those of one user."""
        theirs = Session.client_id == client_id
        await self._end(db, theirs if user_id is None else and_(theirs, Session.user_id == user_id), reason)

    async def end(self, db: AsyncSession, session_id: UUID, reason: EndReason) -> None:
        """End one session."""
        await self._end(db, Session.id == session_id, reason)

    async def end_all(
        self,
        db: AsyncSession,
        user_id: UUID,
        reason: EndReason,
        *,
        keep: UUID | None = None,
        keep_clients: Collection[str] = (),
    ) -> None:
        """End every session of the user, but for the one to keep, and those of the OAuth clients to keep."""
        which = [Session.user_id == user_id]
        if keep is not None:
            which.append(Session.id != keep)
        if keep_clients:
            which.append(or_(Session.client_id.is_(None), Session.client_id.not_in(keep_clients)))
        await self._end(db, and_(*which), reason)

    def over(self, before: datetime) -> ColumnElement[bool]:
        """Whether a session was over before that time, which is the past: one that is alive never was."""
        return or_(Session.ended_at < before, Session.expires_at < before, Session.last_seen_at < before - self._idle)

    def is_over(self, session_id: InstrumentedAttribute[UUID], before: datetime) -> ColumnElement[bool]:
        """Whether the session that a column of another table names was over before that time."""
        return exists().where(Session.id == session_id, self.over(before))

    async def _end(self, db: AsyncSession, which: ColumnElement[bool], reason: EndReason) -> int:
        ending = (
            update(Session)
            .where(which, self._alive())
            .values(ended_at=utc_now(), ended_reason=reason)
            .returning(Session.id, Session.user_id)
        )
        ended = (await db.execute(ending)).all()
        for session_id, user_id in ended:
            _ended(session_id, user_id, reason)
        return len(ended)

    def _alive(self) -> ColumnElement[bool]:
        now = utc_now()
        return and_(Session.ended_at.is_(None), Session.expires_at > now, Session.last_seen_at > now - self._idle)


def _ended(session_id: UUID, user_id: UUID, reason: EndReason) -> None:
    emit_event(SessionEvent.SESSION_ENDED, outcome="success", user_id=user_id, session_id=session_id, reason=reason)
