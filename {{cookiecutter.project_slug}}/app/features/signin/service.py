"""Signing in and staying signed in: passwords and refresh tokens against access tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.principal import Principal
from app.core.database.database import UNAVAILABLE_ERRORS, Database
from app.core.errors import Unavailable
from app.core.events.flow import emit_event
from app.features.accounts.email_address import parse_email_address
from app.features.accounts.mailed.alerts import Alert
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.service import AccountService, Credentials
from app.features.sessions.client import Client
from app.features.sessions.devices import is_new_device
from app.features.sessions.events import SessionEnd
from app.features.sessions.home_networks import remember_home
from app.features.sessions.service import NewSession, SessionOptions, SessionService
from app.features.signin import refresh
from app.features.signin.errors import InvalidGrant, InvalidScope
from app.features.signin.events import SignInEnd, SignInEvent
from app.features.signin.limits import SignInLimits
from app.features.signin.tokens import FIRST_PARTY, AccessTokens, Grant, InvalidTokenError

_BY_PASSWORD = "pwd"  # noqa: S105  # RFC 8176's name of the method
_ASCII_WHITESPACE = "\t\n\f\r "

Key = Callable[[Connection, NewSession], str]
"""Makes what opens a session that has just been started, in its transaction."""


class WrongCredentials(Exception):  # noqa: N818  # the caller decides which answer it is
    """Address and password do not open an account. Why not is told to nobody (ASVS 6.3.8)."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in or a refresh gives."""

    access_token: str
    expires_in: int
    refresh_token: str | None
    scope: str
    session_id: UUID


@dataclass(frozen=True, slots=True)
class ClientGrant:
    """What an OAuth client gets a session for; `authenticated_at` is when the user was, and None means now."""

    grant_type: str
    client_id: str
    user_id: UUID
    scope: str
    methods: str
    authenticated_at: datetime | None
    refreshable: bool


class SignInService:
    """Gives, renews and revokes tokens."""

    def __init__(  # noqa: PLR0913, PLR0917  # one for each thing that a sign-in touches
        self,
        database: Database,
        accounts: AccountService,
        sessions: SessionService,
        hasher: PasswordHasher,
        limits: SignInLimits,
        tokens: AccessTokens,
        mail: AccountMail,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._sessions = sessions
        self._hasher = hasher
        self._limits = limits
        self._tokens = tokens
        self._mail = mail

    async def sign_in(self, email: str, password: SecretStr, client: Client) -> TokenPair:
        """Start a session for whoever knows the password, and give its tokens; raises as `open_session` does."""

        def key(connection: Connection, session: NewSession) -> str:
            return refresh.issue(connection, session.id)

        return self._pair(*await self.open_session(email, password, client, key))

    async def open_session(self, email: str, password: SecretStr, client: Client, key: Key) -> tuple[Grant, str]:
        """Start a session for whoever knows the password; what `key` makes is given with it.

        Raises `WrongCredentials` (unknown, wrong, disabled and unverified alike, in the same time), `Unavailable`, or
        `TooManyRequests`: over a limit the right password is refused as well, but for one from a home of the account.
        """
        # Browsers strip the value of a field of the type `email` (HTML section 4.10.5.1.5).
        email = email.strip(_ASCII_WHITESPACE)
        try:
            mailbox = parse_email_address(email).mailbox
        except ValueError:
            mailbox = email.casefold()
        attempt = await self._limits.count(mailbox, client.ip)
        try:
            credentials = await self._accounts.credentials(mailbox, client.ip)
            admissible = credentials and credentials.active and (attempt.over is None or credentials.at_home)
            # Who cannot get in is checked against nobody's hash: that takes as long, and tells nothing.
            stored = credentials.password_hash if credentials and admissible else None
            verification = await self._hasher.verify(password, stored)
        except (Unavailable, *UNAVAILABLE_ERRORS):
            await attempt.give_back()
            raise
        opened = None
        if credentials and verification.valid:
            opening = partial(self._open_session, credentials, verification.new_hash, client, key)
            opened = await self._database.run_in_transaction(opening)
        if opened is None:
            attempt.refuse_over()
            user_id = credentials and credentials.user_id
            emit_event(SignInEvent.SIGNIN_FAILED, outcome="failure", user_id=user_id)
            raise WrongCredentials
        await attempt.give_back()
        grant, made, alerted = opened
        if alerted:
            self._mail.deliver()
        return grant, made

    def _open_session(
        self, credentials: Credentials, new_hash: str | None, client: Client, key: Key, connection: Connection
    ) -> tuple[Grant, str, bool] | None:
        """What `open_session` gives, and whether the owner is told of a new device; None for who may not sign in."""
        roles = self._accounts.admit(connection, credentials, new_hash)
        if roles is None:
            return None
        user_id = credentials.user_id
        alerted = is_new_device(connection, user_id, client) and self._mail.put_alert(
            connection, Alert.NEW_DEVICE, user_id, client, {}
        )
        scope = " ".join(sorted(self._accounts.permissions_of(roles)))
        session = self._sessions.start(
            connection, credentials.user_id, scope=scope, methods=_BY_PASSWORD, client=client
        )
        remember_home(connection, credentials.user_id, client.ip)
        made = key(connection, session)
        emit_event(
            SignInEvent.SIGNIN_SUCCEEDED,
            outcome="success",
            user_id=credentials.user_id,
            session_id=session.id,
            method=_BY_PASSWORD,
        )
        return Grant(session.user_id, session.id, scope, (_BY_PASSWORD,), session.authenticated_at), made, alerted

    async def open(self, db: AsyncSession, grant: ClientGrant, client: Client) -> TokenPair:
        """Start a session for an OAuth client, in the caller's transaction.

        Where it cannot be refreshed, it lasts no longer than its access token.
        """
        lifetime = None if grant.refreshable else timedelta(seconds=self._tokens.expires_in)
        terms = SessionOptions(grant.client_id, grant.authenticated_at, lifetime)

        def start(connection: Connection) -> NewSession:
            return self._sessions.start(
                connection, grant.user_id, scope=grant.scope, methods=grant.methods, client=client, terms=terms
            )

        connection = await db.connection()
        session = await connection.run_sync(start)
        refresh_token = await connection.run_sync(refresh.issue, session.id) if grant.refreshable else None
        emit_event(
            SignInEvent.TOKEN_ISSUED,
            outcome="success",
            user_id=grant.user_id,
            session_id=session.id,
            client_id=grant.client_id,
            grant_type=grant.grant_type,
        )
        methods, since = tuple(grant.methods.split()), session.authenticated_at
        return self._pair(Grant(grant.user_id, session.id, grant.scope, methods, since, grant.client_id), refresh_token)

    async def renew(self, token: str, scope: str | None, client_id: str | None = None) -> TokenPair:
        """Exchange a refresh token for new tokens; `scope` may narrow the access token, not widen it.

        Raises `InvalidGrant` or `InvalidScope`. A token that was used before ends its family. Of another client's token
        nothing comes, neither new tokens nor an end (RFC 9700 section 4.14.2): None is the service's own sign-in.
        """
        async with self._database.transaction() as db:
            session_id = await self._locked_family(db, token, client_id)
            used = session_id and await refresh.use(db, token)
            renewed = used and await self._rotate(db, used, scope)
            if session_id and not used:
                await self._sessions.end(db, session_id, SignInEnd.REFRESH_TOKEN_REUSED)
                emit_event(SignInEvent.TOKEN_REUSED, outcome="denied", session_id=session_id)
        if not renewed:
            raise InvalidGrant("The refresh token is not valid.")
        grant, refresh_token = renewed
        return self._pair(grant, refresh_token)

    async def _rotate(self, db: AsyncSession, session_id: UUID, scope: str | None) -> tuple[Grant, str] | None:
        session = await self._sessions.refresh(db, session_id)
        if session is None or not await self._accounts.is_enabled(db, session.user_id):
            return None
        narrowed = _narrow(session.scope, scope)
        methods, client_id = tuple(session.methods.split()), session.client_id or FIRST_PARTY
        grant = Grant(session.user_id, session.id, narrowed, methods, session.authenticated_at, client_id)
        refresh_token = await (await db.connection()).run_sync(refresh.issue, session.id)
        emit_event(SignInEvent.TOKEN_REFRESHED, outcome="success", user_id=session.user_id, session_id=session.id)
        return grant, refresh_token

    async def _locked_family(self, db: AsyncSession, token: str, client_id: str | None) -> UUID | None:
        """The session of a token of the client, used or not.

        It is locked before the token is: in the order in which both are deleted.
        """
        session_id = await refresh.family(db, token)
        if session_id is None or await self._sessions.lock(db, session_id) != client_id:
            return None
        return session_id

    async def revoke(self, token: str, principal: Principal) -> None:
        """End the session of one of the principal's own tokens (RFC 7009); any other token changes nothing."""
        async with self._database.transaction() as db:
            session_id = await self._session_of(db, token)
            revoked = session_id is not None and await self._sessions.end_if_own(
                db, principal.user_id, session_id, SessionEnd.REVOKED
            )
            if revoked:
                emit_event(
                    SignInEvent.TOKEN_REVOKED, outcome="success", user_id=principal.user_id, session_id=session_id
                )

    async def revoke_of_client(self, token: str, client_id: str | None) -> None:
        """End the session of one of the client's own tokens (RFC 7009); any other token changes nothing."""
        async with self._database.transaction() as db:
            session_id = await self._session_of(db, token)
            if session_id is not None and await self._sessions.end_if_of_client(
                db, client_id, session_id, SessionEnd.REVOKED
            ):
                who = client_id or FIRST_PARTY
                emit_event(SignInEvent.TOKEN_REVOKED, outcome="success", session_id=session_id, client_id=who)

    async def _session_of(self, db: AsyncSession, token: str) -> UUID | None:
        if token.startswith(refresh.PREFIX):
            return await refresh.family(db, token)
        try:
            return self._tokens.verify(token).session_id
        except InvalidTokenError:
            return None

    def _pair(self, grant: Grant, refresh_token: str | None) -> TokenPair:
        access_token, lifetime = self._tokens.issue(grant), self._tokens.expires_in
        return TokenPair(access_token, lifetime, refresh_token, grant.scope, grant.session_id)


def _narrow(granted: str, asked: str | None) -> str:
    """The part of the granted scope that is asked for: all of it by default (RFC 6749 section 6)."""
    if asked is None:
        return granted
    wanted = set(asked.split())
    if not wanted or not wanted <= set(granted.split()):
        raise InvalidScope("The scope asks for more than was granted.")
    return " ".join(sorted(wanted))
