"""Access tokens: JWTs after RFC 9068, signed with the key of their purpose, and the principal of a request with one.

They hold while their session does, which is looked at for every request (ASVS 7.4.1, 7.4.2).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from fastapi import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jwt import JWTClaimsRegistry

from app.access.guard import AccessEvent
from app.access.policies import MFA, Principal
from app.core.clock import utc_now
from app.core.crypto import KeyRing, Purpose, digest
from app.core.errors import Unauthenticated
from app.core.events import emit_event
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.accounts.service import AccountService
from app.features.sessions.service import NewSession, SessionService
from app.http.request.base import scheme_and_credentials

TOKEN_KEY = Purpose("access-token/v1")
_CHALLENGE = 'Bearer error="invalid_token"'
_ALGORITHM = "HS256"
_HEADER = {"alg": _ALGORITHM, "typ": "at+jwt"}
_LONGEST_TOKEN = 4096
_MOST_VERIFIED = 2048
# How far the clocks of replicas may be apart (RFC 7519 section 4.1.4).
_LEEWAY_SECONDS = 10

FIRST_PARTY = "first-party"
"""The `client_id` of the service's own sign-in."""

_REQUIRED: dict[str, Any] = {
    name: {"essential": True} for name in ("exp", "iat", "sub", "sid", "jti", "scope", "client_id", "auth_time", "amr")
}


class TokenClaims(NamedTuple):
    """What a verified token says; times are in seconds since 1970. Only access tokens have a `token_id`."""

    user_id: UUID
    session_id: UUID
    scope: frozenset[str]
    client_id: str
    token_id: str | None
    issued_at: int
    expires_at: int
    authenticated_at: int
    methods: tuple[str, ...]


def acr_of(methods: Iterable[str]) -> str:
    """Return `acr` (RFC 9470): two factors, as those of `aal2` in NIST SP 800-63B, or one."""
    return "aal2" if MFA in methods else "aal1"


class _Claims(JWTClaimsRegistry):
    """The claims of an access token: `iat` and `nbf` have a leeway, `exp` has none, so that no token lives longer."""

    def validate_exp(self, value: object) -> None:
        JWTClaimsRegistry(now=self.now).validate_exp(value)


class AccessTokens:
    """Issues and verifies access tokens. `issuer`, the public URL, is the audience too; `expires_in` is in seconds."""

    def __init__(self, services: Services) -> None:
        settings, keys = services[Settings], services[KeyRing]
        self.issuer = settings.public_url
        self.expires_in = settings.access_token_minutes * 60
        self._verified: dict[bytes, TokenClaims] = {}
        self._keys = [OctKey.import_key(key) for key in keys.all(TOKEN_KEY)]
        self._registry = _Claims(
            now=lambda: int(utc_now().timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            **_REQUIRED,
        )

    def issue(self, session: NewSession) -> str:
        """Make a token for the session and its scope."""
        now = utc_now()
        claims = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": str(session.user_id),
            "sid": str(session.id),
            "jti": str(uuid4()),
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + self.expires_in,
            "auth_time": int(session.authenticated_at.timestamp()),
            "amr": session.methods.split(),
            "acr": acr_of(session.methods.split()),
            "scope": session.scope,
            "client_id": session.client_id or FIRST_PARTY,
        }
        return jwt.encode(_HEADER, claims, self._keys[0], algorithms=[_ALGORITHM])

    def verify(self, token: str) -> TokenClaims | None:
        """Verify a token, by its digest and times alone if it was verified before; None if it does not hold."""
        if len(token) > _LONGEST_TOKEN:
            return None
        name = digest(token)
        claims = self._verified.get(name)
        if claims is None or not claims.issued_at - _LEEWAY_SECONDS <= utc_now().timestamp() < claims.expires_at:
            claims = self._verify(token)
            if claims is None:
                return None
            if len(self._verified) >= _MOST_VERIFIED:
                self._verified.clear()
            self._verified[name] = claims
        return claims

    def _verify(self, token: str) -> TokenClaims | None:
        for key in self._keys:
            try:
                decoded = jwt.decode(token, key, algorithms=[_ALGORITHM])
            except (JoseError, ValueError):
                continue
            return self._read(decoded.header, decoded.claims)
        return None

    def _read(self, header: dict[str, Any], claims: dict[str, Any]) -> TokenClaims | None:
        # Exactly the header that is issued: no `crit`, no key that comes with the token (RFC 8725 section 3).
        # One audience: a token for two audiences could be used by one at the other (RFC 9068 section 4).
        texts = isinstance(claims.get("client_id"), str) and isinstance(claims.get("jti"), str)
        if header != _HEADER or claims.get("aud") != self.issuer or not texts:
            return None
        try:
            self._registry.validate(claims)
            return TokenClaims(
                user_id=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                scope=frozenset(claims["scope"].split()),
                client_id=claims["client_id"],
                token_id=claims["jti"],
                issued_at=claims["iat"],
                expires_at=claims["exp"],
                authenticated_at=claims["auth_time"],
                methods=tuple(claims["amr"]),
            )
        except (JoseError, ValueError, TypeError, AttributeError):
            return None


class BearerAuthenticator:
    """Makes the principal of a request with a bearer token (RFC 6750), if its policy needs one."""

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
            raise _refused("invalid token", "The access token is not valid.", _CHALLENGE)
        identity = await self._accounts.identify(self._sessions.alive(claims.session_id))
        if identity is None or identity.account.id != claims.user_id:
            raise _refused("session ended", "The session has ended.", _CHALLENGE)
        request.state.account = identity.account
        permissions = frozenset(each for each in identity.account.permissions if each in claims.scope)
        client_id = None if claims.client_id == FIRST_PARTY else claims.client_id
        return identity.principal(claims.session_id, permissions, client_id)


def _refused(reason: str, detail: str, challenge: str) -> Unauthenticated:
    emit_event(AccessEvent.UNAUTHENTICATED, outcome="denied", reason=reason)
    return Unauthenticated(detail, challenge=challenge)
