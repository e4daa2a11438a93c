"""Tokens: given for a password or to an OAuth client, renewed by a refresh token, looked at, and revoked.

Refresh tokens are one-time, opaque, stored hashed; those of one session are a family (RFC 9700 section 4.14.2).
"""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal
from uuid import UUID

from pydantic import Field, SecretStr
from sqlalchemy import ColumnElement, Connection, false, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.policies import Principal
from app.core.clock import utc_now
from app.core.crypto import digest, new_token
from app.core.database.database import Database, table_of
from app.core.errors import BadRequest
from app.core.events import emit_event
from app.core.schemas import ResponseBody
from app.core.services import Services
from app.features.accounts.service import AccountService
from app.features.factors.schemas import FactorAnswer
from app.features.sessions.devices import Client
from app.features.sessions.service import NewSession, SessionOptions, SessionService
from app.features.signin.events import SignInEvent
from app.features.signin.models import RefreshToken
from app.features.signin.password import API, Challenge, Channel, Opened, PasswordSignIn
from app.features.signin.tokens import FIRST_PARTY, AccessTokens, TokenClaims

_PREFIX = "rt_"
_SHAPE = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
_ISSUE = insert(table_of(RefreshToken))
_Hold = Callable[[AsyncSession], Awaitable[bool]]


class RefusedGrant(BadRequest):
    """The client gets no tokens: `oauth_error` is a code of RFC 6749 section 5.2, or `invalid_target` of RFC 8707."""

    def __init__(self, oauth_error: str, detail: str) -> None:
        super().__init__(detail)
        self.oauth_error = oauth_error


class TokenResponse(ResponseBody):
    """RFC 6749 section 5.1; `refresh_token` is left out if there is none, and `session_id` is never sent."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    refresh_token: str | None = None
    scope: str
    session_id: UUID = Field(exclude=True)


class SignInService:
    """Gives, renews, looks at and revokes tokens."""

    def __init__(self, services: Services) -> None:
        self._database, self._accounts = services[Database], services[AccountService]
        self._sessions, self._passwords = services[SessionService], services[PasswordSignIn]
        self._tokens = services[AccessTokens]
        self.shortest_session = timedelta(seconds=self._tokens.expires_in)
        """The lifetime of a session that cannot be refreshed: that of its access token."""

    async def sign_in(
        self, email: str, password: SecretStr, client: Client, name: str = API
    ) -> TokenResponse | Challenge:
        """Start a session for a user who knows the password, and return its tokens; raises as `open_session` does."""
        result = await self._passwords.open_session(email, password, Channel(name, client, _issue))
        return self._pair(result.session, result.credential) if isinstance(result, Opened) else result

    async def ask_for_passkey(self, client: Client) -> Challenge:
        """Begin a sign-in with a passkey alone."""
        return await self._passwords.ask(Channel(API, client, _issue))

    async def answer(self, challenge: str, answer: FactorAnswer, client: Client) -> TokenResponse:
        """Return the tokens of a sign-in that a factor completes; raises as `PasswordSignIn.answer` does."""
        opened = await self._passwords.answer(challenge, answer, Channel(API, client, _issue))
        return self._pair(opened.session, opened.credential)

    async def open(
        self, db: AsyncSession, user_id: UUID, options: SessionOptions, client: Client, grant_type: str
    ) -> TokenResponse:
        """Start a session for an OAuth client; one with a lifetime of its own cannot be refreshed."""
        connection = await db.connection()
        session = await connection.run_sync(self._sessions.start, user_id, client, options)
        refresh_token = await connection.run_sync(_issue, session) if options.lifetime is None else None
        who = {"user_id": user_id, "session_id": session.id, "client_id": options.client_id}
        emit_event(SignInEvent.TOKEN_ISSUED, outcome="success", **who, grant_type=grant_type)
        return self._pair(session, refresh_token)

    async def renew(
        self, token: str, scope: str | None, client_id: str | None = None, hold: _Hold | None = None
    ) -> TokenResponse:
        """Exchange a refresh token for new tokens; `scope` may narrow the access token, not widen it.

        Raises `RefusedGrant`. A token that was used before ends its family, and no error rolls that
        back; one of another client, or of one that `hold` finds changed, ends nothing (RFC 9700 section 4.14.2).
        """
        async with self._database.transaction() as db:
            session_id = await _family(db, token) if hold is None or await hold(db) else None
            # It is locked before the token, as deletions do.
            if session_id and await self._sessions.lock(db, session_id) != client_id:
                session_id = None
            using = update(RefreshToken).where(_is(token), RefreshToken.used_at.is_(None)).values(used_at=utc_now())
            used = session_id and await db.scalar(using.returning(RefreshToken.session_id))
            renewed = used and await self._rotate(db, used, scope)
            if session_id and not used:
                await self._sessions.end(db, "refresh token reused", id=session_id)
                emit_event(SignInEvent.TOKEN_REUSED, outcome="denied", session_id=session_id)
        if not renewed:
            raise RefusedGrant("invalid_grant", "The refresh token is not valid.")
        return self._pair(*renewed)

    async def _rotate(self, db: AsyncSession, session_id: UUID, scope: str | None) -> tuple[NewSession, str] | None:
        session = await self._sessions.refresh(db, session_id)
        roles = await self._accounts.active_roles(db, session.user_id) if session else None
        if session is None or roles is None:
            return None
        granted = self._accounts.permitted(roles, session.methods.split()).intersection(session.scope.split())
        # All of it by default (RFC 6749 section 6).
        wanted: frozenset[str] = granted if scope is None else frozenset(scope.split())
        if not wanted <= granted or (scope is not None and not wanted):
            raise RefusedGrant("invalid_scope", "The scope asks for more than was granted.")
        who, since, narrowed = session.user_id, session.authenticated_at, " ".join(sorted(wanted))
        renewed = NewSession(session.id, who, since, narrowed, session.methods, session.client_id)
        refresh_token = await (await db.connection()).run_sync(_issue, renewed)
        emit_event(SignInEvent.TOKEN_REFRESHED, outcome="success", user_id=who, session_id=session.id)
        return renewed, refresh_token

    async def revoke(self, token: str, client_id: str | None, user: Principal | None = None) -> None:
        """End the session of one of the caller's own tokens (RFC 7009); any other token changes nothing.

        Without a user, the caller is a client (None: the own sign-in); with one, it may be an application of theirs.
        """
        own: dict[str, UUID | str | None] = {"client_id": client_id} if client_id or user is None else {}
        who: dict[str, object] = {"user_id": user.user_id} if user else {"client_id": client_id or FIRST_PARTY}
        async with self._database.transaction() as db:
            if user is not None:
                await self._sessions.require_alive(db, user)
                own["user_id"] = user.user_id
            claims = None if token.startswith(_PREFIX) else self._tokens.verify(token)
            session_id = claims.session_id if claims else await _family(db, token)
            if session_id and await self._sessions.end(db, "revoked", id=session_id, **own):
                emit_event(SignInEvent.TOKEN_REVOKED, outcome="success", session_id=session_id, **who)

    async def look_at(self, token: str) -> TokenClaims | None:
        """Return what a token is worth now (RFC 7662), by its session and the roles of its user; None if it is dead."""
        if token.startswith(_PREFIX):
            return await self._look_at_refresh_token(token)
        claims = self._tokens.verify(token)
        identity = await self._accounts.identify(self._sessions.alive(claims.session_id)) if claims else None
        if claims is None or identity is None or identity.account.id != claims.user_id:
            return None
        return claims._replace(scope=claims.scope & identity.account.permissions, methods=identity.methods)

    async def _look_at_refresh_token(self, token: str) -> TokenClaims | None:
        async with self._database.read() as db:
            found = await db.scalar(select(RefreshToken).where(_is(token), RefreshToken.used_at.is_(None)))
            session = await self._sessions.find_alive(db, found.session_id) if found else None
            roles = await self._accounts.active_roles(db, session.user_id) if session else None
        if found is None or session is None or roles is None:
            return None
        return TokenClaims(
            user_id=session.user_id,
            session_id=session.id,
            scope=self._accounts.permitted(roles, session.methods.split()).intersection(session.scope.split()),
            client_id=session.client_id or FIRST_PARTY,
            token_id=None,
            issued_at=int(found.created_at.timestamp()),
            expires_at=int(self._sessions.ends_at(session).timestamp()),
            authenticated_at=int(session.authenticated_at.timestamp()),
            methods=tuple(session.methods.split()),
        )

    def _pair(self, session: NewSession, refresh_token: str | None) -> TokenResponse:
        return TokenResponse(
            access_token=self._tokens.issue(session),
            expires_in=self._tokens.expires_in,
            refresh_token=refresh_token,
            scope=session.scope,
            session_id=session.id,
        )


def _issue(connection: Connection, session: NewSession) -> str:
    """Add a refresh token of 256 random bits to the family of a session, on the connection of a transaction."""
    token = new_token(_PREFIX)
    connection.execute(_ISSUE, {"token_hash": digest(token), "session_id": session.id, "created_at": utc_now()})
    return token


async def _family(db: AsyncSession, token: str) -> UUID | None:
    """Return the session of a refresh token, used or not; None if there is no such token."""
    return await db.scalar(select(RefreshToken.session_id).where(_is(token)))


def _is(token: str) -> ColumnElement[bool]:
    """Match the row of a token; a text that is no refresh token matches none."""
    return RefreshToken.token_hash == digest(token) if _SHAPE.fullmatch(token) else false()
