"""Introspection (RFC 7662): what a token is worth now, by its session, its user and their roles."""

from dataclasses import replace

from app.core.database.database import Database
from app.features.accounts.service import AccountService
from app.features.sessions.service import SessionService
from app.features.signin import refresh
from app.features.signin.tokens import FIRST_PARTY, AccessTokens, InvalidTokenError, TokenClaims


class TokenIntrospection:
    """Looks at tokens, and changes nothing about them."""

    def __init__(
        self, database: Database, accounts: AccountService, sessions: SessionService, tokens: AccessTokens
    ) -> None:
        self.issuer = tokens.issuer
        self._database = database
        self._accounts = accounts
        self._sessions = sessions
        self._tokens = tokens

    async def look_at(self, token: str) -> TokenClaims | None:
        """Return what the token is worth: None if it does not hold, whatever the reason."""
        if token.startswith(refresh.PREFIX):
            return await self._refresh_token(token)
        try:
            claims = self._tokens.verify(token)
        except InvalidTokenError:
            return None
        identity = await self._accounts.identify(self._sessions.alive(claims.session_id))
        if identity is None or identity.account.id != claims.user_id:
            return None
        return replace(claims, scope=claims.scope & identity.account.permissions)

    async def _refresh_token(self, token: str) -> TokenClaims | None:
        async with self._database.read() as db:
            found = await refresh.unused(db, token)
            session = await self._sessions.find_alive(db, found.session_id) if found else None
            roles = await self._accounts.active_roles(db, session.user_id) if session else None
        if found is None or session is None or roles is None:
            return None
        return TokenClaims(
            user_id=session.user_id,
            session_id=session.id,
            scope=self._accounts.permissions_of(roles).intersection(session.scope.split()),
            client_id=session.client_id or FIRST_PARTY,
            token_id=None,
            issued_at=int(found.created_at.timestamp()),
            expires_at=int(self._sessions.ends_at(session).timestamp()),
        )
