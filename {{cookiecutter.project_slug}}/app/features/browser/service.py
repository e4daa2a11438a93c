"""Browser sessions: an opaque id of 256 random bits stands for a session, and what it opens is sealed to its row.

The id is kept as a hash alone (ASVS 7.2.3), and is another one after every sign-in and every confirmation of the
password (ASVS 7.2.4). One that this service did not issue finds no row, and is never adopted.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from app.access.principal import Principal
from app.core.clock import utc_now
from app.core.crypto.keys import KeyRing
from app.core.database.database import Database
from app.core.events.flow import emit_event
from app.features.accounts.service import Account, AccountService, Identity
from app.features.browser.events import BrowserEvent
from app.features.browser.models import BrowserSession
from app.features.browser.seals import BrowserSessionSeals, claims_of
from app.features.sessions.events import SessionEnd, SessionEvent
from app.features.sessions.service import NewSession, SessionService

_ID_BYTES = 32
_SEEN_EVERY = timedelta(minutes=1)

_rows = BrowserSession.__table__
_FIND = select(_rows.c.session_id, _rows.c.sealed).where(_rows.c.id_hash == bindparam("id_hash"))


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """Whoever is signed in with a browser."""

    principal: Principal
    account: Account


class BrowserSessions:
    """Starts, finds and confirms the sessions of browsers. They are listed and ended as all sessions are."""

    def __init__(self, database: Database, sessions: SessionService, accounts: AccountService, keys: KeyRing) -> None:
        self._database = database
        self._sessions = sessions
        self._accounts = accounts
        self._seals = BrowserSessionSeals(keys)

    def attach(self, connection: Connection, session: NewSession, methods: str) -> str:
        """Let a cookie open a session that has just been started: the value of the cookie."""
        value = secrets.token_urlsafe(_ID_BYTES)
        id_hash = _digest(value)
        sealed = self._seals.seal(
            session.id, id_hash, claims_of(session.user_id, session.authenticated_at, methods.split())
        )
        connection.execute(insert(BrowserSession), {"session_id": session.id, "id_hash": id_hash, "sealed": sealed})
        return value

    async def signed_in(self, value: str | None) -> SignedInUser | None:
        """Who the cookie stands for, if its session is alive and the account is enabled."""
        if value is None:
            return None
        id_hash = _digest(value)
        row = await self._find(id_hash)
        identity = row and await self._accounts.identify(self._sessions.alive(row.session_id))
        if row is None or identity is None:
            return None
        said = claims_of(identity.account.id, identity.authenticated_at, identity.methods)
        if not self._seals.hold(row.session_id, id_hash, row.sealed, said):
            # Between the two looks, the password may have been confirmed: the cookie is another one then.
            if await self._find(id_hash) == row:
                _forged(identity, row.session_id)
            return None
        principal = Principal(
            user_id=identity.account.id,
            session_id=row.session_id,
            roles=identity.account.roles,
            permissions=identity.account.permissions,
            authenticated_at=identity.authenticated_at,
            methods=identity.methods,
        )
        return SignedInUser(principal, identity.account)

    async def seen(self, signed_in: SignedInUser) -> None:
        """Note that the session is in use, at most once a minute: what idles for too long ends."""
        await self._sessions.seen(signed_in.principal.session_id, not_since=utc_now() - _SEEN_EVERY)

    async def confirm(self, principal: Principal) -> str | None:
        """Note that the user has just proved again who they are: the new value of the cookie, as the old one is dead.

        None if the session ended meanwhile, or has no cookie.
        """
        async with self._database.transaction() as db:
            now = await self._sessions.authenticated_again(db, principal.session_id)
            if now is None:
                return None
            value = secrets.token_urlsafe(_ID_BYTES)
            id_hash = _digest(value)
            claims = claims_of(principal.user_id, now, principal.methods)
            sealed = self._seals.seal(principal.session_id, id_hash, claims)
            mine = update(BrowserSession).where(BrowserSession.session_id == principal.session_id)
            changed = mine.values(id_hash=id_hash, sealed=sealed).returning(BrowserSession.session_id)
            has_cookie = await db.scalar(changed) is not None
            emit_event(
                BrowserEvent.PASSWORD_CONFIRMED,
                outcome="success",
                user_id=principal.user_id,
                session_id=principal.session_id,
            )
        return value if has_cookie else None

    async def end(self, principal: Principal) -> None:
        """End the session of a browser, at its own wish."""
        async with self._database.transaction() as db:
            user_id, session_id = principal.user_id, principal.session_id
            if await self._sessions.end_if_own(db, user_id, session_id, SessionEnd.ENDED_BY_USER):
                emit_event(SessionEvent.SIGNED_OUT, outcome="success", user_id=user_id, session_id=session_id)

    async def _find(self, id_hash: bytes) -> Row[UUID, bytes] | None:
        async with self._database.read() as db:
            return (await db.execute(_FIND, {"id_hash": id_hash})).one_or_none()


def _forged(identity: Identity, session_id: UUID) -> None:
    emit_event(BrowserEvent.SESSION_FORGED, outcome="denied", user_id=identity.account.id, session_id=session_id)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
