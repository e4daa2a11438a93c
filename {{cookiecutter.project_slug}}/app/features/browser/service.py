"""Browser sessions: the cookie is an opaque id of 256 random bits, and what it opens is sealed to its row.

Only its hash is stored (ASVS 7.2.3). Every sign-in and confirmation of the password makes a new one (ASVS 7.2.4).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Connection, ForeignKey, LargeBinary, Row, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.requests import Request

from app.access.guard import AccessEvent, Authentication
from app.access.policies import Principal
from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, SealBrokenError, Sealer, digest, new_token
from app.core.database.batches import reseal_rows
from app.core.database.database import Base, Database
from app.core.errors import Unauthenticated
from app.core.events import emit_event
from app.core.services import Services
from app.features.accounts.own_account import Confirmed
from app.features.accounts.service import Account, AccountService
from app.features.browser.cookie import session_cookie, set_session_cookie
from app.features.browser.events import BrowserEvent
from app.features.sessions.events import ENDED_BY_USER, SessionEvent
from app.features.sessions.service import NewSession, SessionService, SetCookie


class BrowserSession(Base):
    """The cookie of a session, as its SHA-256, and whose session it is, sealed: a row that others wrote opens none."""

    __tablename__ = "browser_sessions"

    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True)
    id_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


_rows = BrowserSession.__table__
_FIND = select(_rows.c.session_id, _rows.c.sealed).where(_rows.c.id_hash == bindparam("id_hash"))
BROWSER_KEY = Purpose("browser-session/v1")


class SignedInUser(NamedTuple):
    """The user who is signed in with a browser."""

    principal: Principal
    account: Account


class BrowserSessions:
    """Starts, finds and confirms the sessions of browsers, and makes the principal of a request with their cookie.

    They are listed and ended as all sessions are.
    """

    def __init__(self, services: Services) -> None:
        self._database, self._sealer = services[Database], Sealer(services[KeyRing], BROWSER_KEY)
        self._sessions, self._accounts = services[SessionService], services[AccountService]
        self._sessions.renew_cookie = self.renew
        services[Authentication].prefer(self)

    def takes(self, request: Request) -> bool:
        """Return whether the request has the cookie, and no other credentials."""
        return session_cookie(request) is not None and "Authorization" not in request.headers

    async def __call__(self, request: Request) -> Principal:
        """Return the principal; raises `Unauthenticated`, which is recorded as a security event."""
        value = session_cookie(request)
        signed_in = await self.signed_in(value)
        if signed_in is None:
            reason = "no credentials" if value is None else "session ended"
            emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason=reason)
            raise Unauthenticated("Sign in first." if value is None else "The session has ended.")
        # An idle session ends: that this one is in use is noted once a minute at most.
        await self._sessions.seen(signed_in.principal.session_id, not_since=utc_now() - timedelta(minutes=1))
        request.state.account = signed_in.account
        return signed_in.principal

    def attach(self, connection: Connection, session: NewSession) -> str:
        """Let a cookie open a session that has just been started; returns the value of the cookie."""
        claims = _claims(session.user_id, session.authenticated_at, session.methods.split())
        value, columns = self._new_cookie(session.id, claims)
        connection.execute(insert(BrowserSession), {"session_id": session.id, **columns})
        return value

    def _new_cookie(self, session_id: UUID, claims: bytes) -> tuple[str, dict[str, bytes]]:
        value = new_token()
        id_hash = digest(value)
        sealed = self._sealer.seal(claims, identity=_place(session_id, id_hash))
        return value, {"id_hash": id_hash, "sealed": sealed}

    async def signed_in(self, value: str | None) -> SignedInUser | None:
        """Return the user of the cookie, if its session is alive and the account is enabled."""
        if value is None:
            return None
        id_hash = digest(value)
        row = await self._find(id_hash)
        identity = row and await self._accounts.identify(self._sessions.alive(row.session_id))
        if row is None or identity is None:
            return None
        claims = _claims(identity.account.id, identity.authenticated_at, identity.methods)
        with suppress(SealBrokenError):
            if self._sealer.open(row.sealed, identity=_place(row.session_id, id_hash)) == claims:
                return SignedInUser(identity.principal(row.session_id, identity.account.permissions), identity.account)
        # The cookie may have been replaced between the two queries (password confirmed): look again before reporting a
        # forgery.
        if await self._find(id_hash) == row:
            user_id, session_id = identity.account.id, row.session_id
            emit_event(BrowserEvent.SESSION_FORGED, outcome="denied", user_id=user_id, session_id=session_id)
        return None

    async def confirm(self, principal: Principal, lock: Confirmed) -> SetCookie:
        """Record that the user has just proved who they are, and make a new cookie, unless the session has ended."""
        user_id, session_id = principal.user_id, principal.session_id
        async with self._database.transaction() as db:
            await lock(db)
            now = await self._sessions.authenticated_again(db, session_id)
            if now is None:
                return partial(set_session_cookie, value=None)
            emit_event(BrowserEvent.PASSWORD_CONFIRMED, outcome="success", user_id=user_id, session_id=session_id)
            return await self.renew(db, replace(principal, authenticated_at=now))

    async def renew(self, db: AsyncSession, principal: Principal) -> SetCookie:
        """Give the session of a principal, if it has a cookie, another one for what it is by now."""
        claims = _claims(principal.user_id, principal.authenticated_at, principal.methods)
        value, columns = self._new_cookie(principal.session_id, claims)
        mine = update(BrowserSession).where(BrowserSession.session_id == principal.session_id)
        has_cookie = await db.scalar(mine.values(columns).returning(BrowserSession.session_id)) is not None
        return partial(set_session_cookie, value=value if has_cookie else None)

    async def end(self, principal: Principal) -> None:
        """End the session of a browser, at its own wish."""
        async with self._database.transaction() as db:
            user_id, session_id = principal.user_id, principal.session_id
            if await self._sessions.end(db, ENDED_BY_USER, id=session_id, user_id=user_id):
                emit_event(SessionEvent.SIGNED_OUT, outcome="success", user_id=user_id, session_id=session_id)

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows of earlier keys with the current one; return how many."""
        return await reseal_rows(db, BrowserSession, self._sealer, lambda it: _place(it.session_id, it.id_hash), limit)

    async def _find(self, id_hash: bytes) -> Row[UUID, bytes] | None:
        async with self._database.read() as db:
            return (await db.execute(_FIND, {"id_hash": id_hash})).one_or_none()


def _claims(user_id: UUID, authenticated_at: datetime, methods: Sequence[str]) -> bytes:
    return orjson.dumps([str(user_id), authenticated_at.isoformat(), list(methods)])


def _place(session_id: UUID, id_hash: bytes) -> bytes:
    """Return the place of a sealed value: moved to another row, it does not open."""
    return b"browser_sessions|%b|%b" % (session_id.bytes, id_hash)
