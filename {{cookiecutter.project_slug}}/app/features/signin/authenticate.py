"""Authenticate a bearer access token (RFC 6750), and its session at every request (ASVS 7.4.1, 7.4.2)."""

from fastapi import Request

from app.access.guard import AccessEvent
from app.access.policies import Principal
from app.core.errors import Unauthenticated
from app.core.events import emit_event
from app.core.services import Services
from app.features.accounts.service import AccountService
from app.features.sessions.service import SessionService
from app.features.signin.tokens import FIRST_PARTY, AccessTokens
from app.http.request.base import scheme_and_credentials

_INVALID_TOKEN = 'Bearer error="invalid_token"'  # noqa: S105  # RFC 6750's error code


class BearerAuthenticator:
    """Makes the principal of a request; `access/guard.py` calls it if the policy needs one."""

    def __init__(self, services: Services) -> None:
        self._tokens, self._sessions = services[AccessTokens], services[SessionService]
        self._accounts = services[AccountService]

    def takes(self, _: Request) -> bool:
        """Take every request that no other authenticator takes."""
        return True

    async def __call__(self, request: Request) -> Principal:
        """Return the principal, and keep `request.state.account`; raises `Unauthenticated`, and emits an event."""
        values = request.headers.getlist("Authorization")
        if not values:
            raise _refused("no credentials", "Sign in first.", "Bearer")
        scheme, token = scheme_and_credentials(values[0])
        if len(values) > 1 or scheme != "bearer" or not token:
            raise _refused("malformed credentials", "Send one bearer token.", 'Bearer error="invalid_request"')
        claims = self._tokens.verify(token)
        if claims is None:
            raise _refused("invalid token", "The access token is not valid.", _INVALID_TOKEN)
        identity = await self._accounts.identify(self._sessions.alive(claims.session_id))
        if identity is None or identity.account.id != claims.user_id:
            raise _refused("session ended", "The session has ended.", _INVALID_TOKEN)
        request.state.account = identity.account
        permissions = frozenset(each for each in identity.account.permissions if each in claims.scope)
        client_id = None if claims.client_id == FIRST_PARTY else claims.client_id
        return identity.principal(claims.session_id, permissions, client_id)


def _refused(reason: str, detail: str, challenge: str) -> Unauthenticated:
    emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason=reason)
    return Unauthenticated(detail, challenge=challenge)
