"""The grant `authorization_code`: exchange a code for tokens (RFC 6749 section 4.1.3).

A second use, with the verifier too, ends what the first one started (ASVS 10.4.2): somebody else saw the code. A
request that does not fit consumes nothing: a stolen code can be neither used nor spoiled.
"""

import hmac
import re
from base64 import urlsafe_b64encode

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.crypto import digest
from app.core.database.database import Database
from app.core.events import emit_event
from app.core.services import Services
from app.features.accounts.service import AccountService
from app.features.authorization.models import AuthorizationCode
from app.features.authorization.service import ConsentEvent
from app.features.oauth.clients.registered import AnyClient, GrantType, RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import granted_scope, required
from app.features.oauth.schemas import TokenForm
from app.features.sessions.devices import Client
from app.features.sessions.service import SessionOptions, SessionService
from app.features.signin.service import RefusedGrant, SignInService, TokenResponse

# RFC 7636 section 4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class AuthorizationCodeGrant:
    """Exchanges codes."""

    def __init__(self, services: Services) -> None:
        self._database, self._accounts = services[Database], services[AccountService]
        self._sessions, self._clients = services[SessionService], services[ClientService]
        self._signin = services[SignInService]

    async def __call__(self, form: TokenForm, client: AnyClient, origin: Client) -> TokenResponse:
        """Return tokens for a code of the client; raises `RefusedGrant`, whatever does not fit."""
        if not isinstance(client, RegisteredClient):
            raise RefusedGrant("unauthorized_client", "The client may not use this grant.")
        code_hash = digest(required(form.code, "code").get_secret_value())
        challenge = _challenge(required(form.code_verifier, "code_verifier").get_secret_value())
        redirect_uri, pair = required(form.redirect_uri, "redirect_uri"), None
        async with self._database.transaction() as db:
            code = await self._locked(db, code_hash, client)
            # RFC 7636 section 4.6.
            is_proved = code is not None and hmac.compare_digest(code.code_challenge, challenge)
            if code is not None and code.used_at is not None:
                ends = is_proved and code.started_session_id is not None
                if ends:
                    await self._sessions.end(db, "authorization code reused", id=code.started_session_id)
                emit_event(ConsentEvent.CODE_REUSED, outcome="denied", session_id=code.started_session_id, ended=ends)
            elif code is not None and is_proved and code.expires_at > utc_now() and code.redirect_uri == redirect_uri:
                pair = await self._exchange(db, code, client, origin)
        if pair is None:
            raise RefusedGrant("invalid_grant", "The code is not valid.")
        return pair

    async def _locked(self, db: AsyncSession, code_hash: bytes, client: RegisteredClient) -> AuthorizationCode | None:
        """Lock user, client and session, then the client's code; None if one is gone, disabled, changed or ended."""
        mine = (AuthorizationCode.code_hash == code_hash, AuthorizationCode.client_id == client.id)
        columns = (AuthorizationCode.user_id, AuthorizationCode.session_id)
        owner = (await db.execute(select(*columns).where(*mine))).one_or_none()
        if owner is None or await self._accounts.active_roles(db, owner.user_id, lock=True) is None:
            return None
        if not await self._clients.hold(db, client):
            return None
        alive = await self._sessions.lock_alive(db, owner.session_id)
        code = await db.scalar(select(AuthorizationCode).where(*mine).with_for_update())
        # A second use counts, even if the browser has signed out by now.
        return code if code is None or alive or code.used_at is not None else None

    async def _exchange(
        self, db: AsyncSession, code: AuthorizationCode, client: RegisteredClient, origin: Client
    ) -> TokenResponse:
        roles = await self._accounts.active_roles(db, code.user_id)
        scope = granted_scope(self._accounts.permissions_of(roles or ()).intersection(code.scope.split()))
        lifetime = None if GrantType.REFRESH_TOKEN in client.grants else self._signin.shortest_session
        options = SessionOptions(scope, code.methods, client.client_id, code.authenticated_at, lifetime)
        pair = await self._signin.open(db, code.user_id, options, origin, GrantType.AUTHORIZATION_CODE)
        code.used_at, code.started_session_id = utc_now(), pair.session_id
        return pair


def _challenge(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636 section 4.2); that of a malformed one is empty, and fits no code."""
    return urlsafe_b64encode(digest(verifier) if _VERIFIER.fullmatch(verifier) else b"").decode().rstrip("=")
