"""Sessions: every sign-in as one row. A token or cookie holds for as long as its session is alive (ASVS 7.4.1)."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from starlette.responses import Response

from app.access.guard import AccessEvent
from app.access.policies import API_KEY, Principal
from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.core.database.database import Database, table_of
from app.core.errors import NotFound, Unauthenticated
from app.core.events import emit_event
from app.core.pagination import Cursors, PageParams
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.sessions.devices import LONGEST_USER_AGENT, Client, device_of
from app.features.sessions.events import ENDED_BY_USER, SessionEvent
from app.features.sessions.models import Session

_sessions = table_of(Session)
_alive = (
    _sessions.c.ended_at.is_(None),
    _sessions.c.expires_at > bindparam("now"),
    _sessions.c.last_seen_at > bindparam("idle_since"),
)

SELECT_ALIVE: Select[UUID, datetime, str, datetime, datetime] = select(
    _sessions.c.user_id,
    _sessions.c.authenticated_at,
    _sessions.c.methods,
    _sessions.c.expires_at,
    _sessions.c.last_seen_at,
).where(_sessions.c.id == bindparam("session_id"), *_alive)
"""One session if it is alive, made once for every request to use; `SessionService.alive` has its parameters."""

_BEYOND = (
    select(_sessions.c.id)
    .where(_sessions.c.user_id == bindparam("user_id"), *_alive)
    # SQLite would prefer the index of the clients, which has every session of the own client under NULL.
    .where(func.coalesce(_sessions.c.client_id, "") == func.coalesce(bindparam("client_id"), ""))
    .order_by(_sessions.c.last_seen_at.desc(), _sessions.c.id)
    .offset(bindparam("kept"))
)


class NewSession(NamedTuple):
    """A session that has just begun, or is renewed: what a token or a cookie is issued for."""

    id: UUID
    user_id: UUID
    authenticated_at: datetime
    scope: str
    methods: str
    client_id: str | None


class SessionOptions(NamedTuple):
    """What a session is started with. None: the own client, authenticated just now, the lifetime of the settings."""

    scope: str
    methods: str
    client_id: str | None = None
    authenticated_at: datetime | None = None
    lifetime: timedelta | None = None


SetCookie = Callable[[Response], Response]
"""Puts the new cookie of a session into a response (ASVS 7.2.4), and returns it."""


async def _no_cookie(_: AsyncSession, __: Principal) -> SetCookie:
    return lambda response: response


class SessionService:
    """Starts, refreshes, lists and ends sessions."""

    def __init__(self, services: Services) -> None:
        settings = services[Settings]
        self._database, self._cursors = services[Database], Cursors(services[KeyRing], "sessions")
        self._idle = timedelta(days=settings.session_idle_days)
        self._longest = timedelta(days=settings.session_max_days)
        self._most = settings.sessions_per_user
        self.lock_key: Callable[[AsyncSession, Principal], Awaitable[bool]] | None = None
        """Locks the API key of a principal whose account is locked, if it is alive; returns whether it is."""
        self.renew_cookie: Callable[[AsyncSession, Principal], Awaitable[SetCookie]] = _no_cookie
        """Gives the session of a principal another cookie, if it has one, and ends every copy of the old one."""

    def start(self, connection: Connection, user_id: UUID, client: Client, options: SessionOptions) -> NewSession:
        """Add a session for a locked user; one with a lifetime of its own makes no room: it dies within minutes."""
        if options.lifetime is None:
            self._make_room(connection, user_id, options.client_id)
        now = utc_now()
        since, client_id = options.authenticated_at or now, options.client_id
        session = NewSession(uuid4(), user_id, since, options.scope, options.methods, client_id)
        row = {
            **session._asdict(),
            "created_at": now,
            "last_seen_at": now,
            "expires_at": now + (options.lifetime or self._longest),
            "ip": client.ip,
            "user_agent": client.user_agent[:LONGEST_USER_AGENT],
            "device": None if client_id else device_of(user_id, client),
        }
        connection.execute(insert(_sessions), row)
        return session

    def _make_room(self, connection: Connection, user_id: UUID, client_id: str | None) -> None:
        """End the sessions of the client that idle for longest, until one more is within the bound."""
        theirs = {"user_id": user_id, "client_id": client_id, "kept": self._most - 1, **self._now()}
        for session_id in connection.execute(_BEYOND, theirs).scalars().all():
            ending = update(_sessions).where(_sessions.c.id == session_id)
            connection.execute(ending.values(ended_at=utc_now(), ended_reason="too many sessions"))
            _emit_ended(session_id, user_id, "too many sessions")

    async def lock(self, db: AsyncSession, session_id: UUID) -> str | None:
        """Lock the session until the transaction ends, and return the client that has it."""
        return await db.scalar(select(Session.client_id).where(Session.id == session_id).with_for_update())

    async def lock_alive(self, db: AsyncSession, session_id: UUID) -> bool:
        """Lock the session until the transaction ends if it is alive; return whether it is."""
        living = select(Session.id).where(Session.id == session_id, self._alive()).with_for_update()
        return await db.scalar(living) is not None

    async def require_alive(self, db: AsyncSession, actor: Principal) -> None:
        """Lock account, then session or API key of an actor, before writing; raises `Unauthenticated` if it ended."""
        # The accounts are a feature above this one: the foreign key knows their table.
        (key,) = _sessions.c.user_id.foreign_keys
        await db.execute(select(key.column).where(key.column == actor.user_id).with_for_update())
        lock_key = self.lock_key if API_KEY in actor.methods else None
        if not await (lock_key(db, actor) if lock_key else self.lock_alive(db, actor.session_id)):
            emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason="session ended", user_id=actor.user_id)
            raise Unauthenticated("The session has ended.", challenge='Bearer error="invalid_token"')

    async def find_alive(self, db: AsyncSession, session_id: UUID) -> Session | None:
        """Return the session, if it is alive."""
        return await db.scalar(select(Session).where(Session.id == session_id, self._alive()))

    def ends_at(self, session: Session) -> datetime:
        """Return when the session ends, unless it is used before."""
        return min(session.expires_at, session.last_seen_at + self._idle)

    async def refresh(self, db: AsyncSession, session_id: UUID) -> Session | None:
        """Note that the session is in use, and return it; None if it is not alive."""
        seen = update(Session).where(Session.id == session_id, self._alive()).values(last_seen_at=utc_now())
        return (await db.execute(seen.returning(Session))).scalar_one_or_none()

    async def seen(self, session_id: UUID, *, not_since: datetime) -> None:
        """Note that the session is in use, unless that was noted since."""
        idle = and_(Session.id == session_id, Session.last_seen_at < not_since)
        # Most of the time there is nothing to note: do not wait for the lock of a writer.
        async with self._database.read() as db:
            if await db.scalar(select(Session.id).where(idle)) is None:
                return
        async with self._database.transaction() as db:
            await db.execute(update(Session).where(idle).values(last_seen_at=utc_now()))

    async def authenticated_again(self, db: AsyncSession, session_id: UUID) -> datetime | None:
        """Note that the user authenticated just now, and return the time; None if the session has ended."""
        now = utc_now()
        proved = update(Session).where(Session.id == session_id, self._alive())
        proved = proved.values(authenticated_at=now, last_seen_at=now)
        return now if await db.scalar(proved.returning(Session.id)) else None

    async def prove(self, db: AsyncSession, session_id: UUID, methods: str, scope: str) -> None:
        """Note the methods that the user of a session has proved by now, and what the session may do for it."""
        await db.execute(update(Session).where(Session.id == session_id).values(methods=methods, scope=scope))

    def alive(self, session_id: UUID) -> dict[str, object]:
        """Return the parameters of `SELECT_ALIVE` for a session at this moment."""
        return {"session_id": session_id, **self._now()}

    async def list_alive(self, user_id: UUID, params: PageParams) -> tuple[list[Session], str | None]:
        """Return the user's sessions, newest first, and the cursor of the next part."""
        own = select(Session).where(Session.user_id == user_id, self._alive())
        return await self._cursors.fetch(self._database, own, params, (Session.created_at, Session.id))

    async def newest(self, user_id: UUID) -> Session | None:
        """Return the last session of a user that began, alive or not, as long as it is kept."""
        last = select(Session).where(Session.user_id == user_id).order_by(Session.created_at.desc()).limit(1)
        async with self._database.read() as db:
            return await db.scalar(last)

    async def end_own(self, actor: Principal, session_id: UUID) -> None:
        """End one session of the actor; raises `NotFound` for another user's session."""
        async with self._database.transaction() as db:
            await self.require_alive(db, actor)
            if not await self.end(db, ENDED_BY_USER, id=session_id, user_id=actor.user_id):
                raise NotFound("There is no such session.")
            emit_event(SessionEvent.SIGNED_OUT, outcome="success", user_id=actor.user_id, session_id=session_id)

    async def end_others(self, actor: Principal) -> None:
        """End every session of the actor but the current one."""
        async with self._database.transaction() as db:
            await self.require_alive(db, actor)
            await self.end_all(db, actor.user_id, ENDED_BY_USER, keep=actor.session_id)

    async def end(self, db: AsyncSession, reason: str, *but: ColumnElement[bool], **which: UUID | str | None) -> bool:
        """End living sessions with these values of `id`, `user_id` and `client_id`; return whether there were any."""
        mine = (_sessions.c[name] == value for name, value in which.items())
        ending = update(Session).where(*mine, *but, self._alive()).values(ended_at=utc_now(), ended_reason=reason)
        ended = (await db.execute(ending.returning(Session.id, Session.user_id))).all()
        for session_id, user_id in ended:
            _emit_ended(session_id, user_id, reason)
        return bool(ended)

    async def end_all(self, db: AsyncSession, user_id: UUID, reason: str, *, keep: UUID | None = None) -> None:
        """End every session of the user, but for the one to keep."""
        others = () if keep is None else (Session.id != keep,)
        await self.end(db, reason, *others, user_id=user_id)

    def over(self, before: datetime) -> ColumnElement[bool]:
        """Return the condition that a session was over before a time in the past. One that is alive never was."""
        return or_(Session.ended_at < before, Session.expires_at < before, Session.last_seen_at < before - self._idle)

    def is_over(self, session_id: InstrumentedAttribute[UUID], before: datetime) -> ColumnElement[bool]:
        """Return the condition that the session which a column of another table names was over before a time."""
        return exists().where(Session.id == session_id, self.over(before))

    def _alive(self) -> ColumnElement[bool]:
        now = utc_now()
        return and_(Session.ended_at.is_(None), Session.expires_at > now, Session.last_seen_at > now - self._idle)

    def _now(self) -> dict[str, object]:
        now = utc_now()
        return {"now": now, "idle_since": now - self._idle}


def _emit_ended(session_id: UUID, user_id: UUID, reason: str) -> None:
    emit_event(SessionEvent.SESSION_ENDED, outcome="success", user_id=user_id, session_id=session_id, reason=reason)
