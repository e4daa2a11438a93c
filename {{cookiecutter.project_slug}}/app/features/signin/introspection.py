"""What a token is worth now (RFC 7662): what its session, its user and their roles say, as at any request."""

from dataclasses import dataclass
from uuid import UUID

from app.core.database.database import Database
from app.features.accounts.service import AccountService
from app.features.sessions.service import SessionService
from app.features.signin import refresh
from app.features.signin.tokens import FIRST_PARTY, AccessTokens, InvalidTokenError


@dataclass(frozen=True, slots=True)
class ActiveToken:
    """A token that holds now; `token_id` is None for a refresh token. Times are in seconds since 1970."""

    user_id: UUID
    client_id: str
    scope: frozenset[str]
    issued_at: int
    expires_at: int
    token_id: str | None


class TokenIntrospection:
    """Looks at tokens, and changes nothing about them."""

    def __init__(
        self, database: Database, accounts: AccountService, sessions: SessionService, tokens: AccessTokens
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._sessions = sessions
        self._tokens = tokens

    @property
    def issuer(self) -> str:
        """Who issues the tokens, and whom they are for."""
        return self._tokens.issuer

    async def look_at(self, token: str) -> ActiveToken | None:
        """What the token is worth: None for one that does not hold, whatever the reason."""
        if token.startswith(refresh.PREFIX):
            return await self._refresh_token(token)
        return await self._access_token(token)

    async def _access_token(self, token: str) -> ActiveToken | None:
        try:
            claims = self._tokens.verify(token)
        except InvalidTokenError:
            return None
        identity = await self._accounts.identify(self._sessions.alive(claims.session_id))
        if identity is None or identity.account.id != claims.user_id:
            return None
        scope = claims.scope & identity.account.permissions
        return ActiveToken(
            claims.user_id, claims.client_id, scope, claims.issued_at, claims.expires_at, claims.token_id
        )

    async def _refresh_token(self, token: str) -> ActiveToken | None:
        async with self._database.read() as db:
            found = await refresh.unused(db, token)
            session = await self._sessions.find_alive(db, found[0]) if found else None
            roles = await self._accounts.active_roles(db, session.user_id) if session else None
        if found is None or session is None or roles is None:
            return None
        return ActiveToken(
            session.user_id,
            session.client_id or FIRST_PARTY,
            self._accounts.permissions_of(roles).intersection(session.scope.split()),
            int(found[1].timestamp()),
            int(self._sessions.ends_at(session).timestamp()),
            None,
        )
