"""Access tokens: JWTs after RFC 9068, signed with the key of their purpose alone.

A token says who and since when; whether it still holds is for its session to say, at every request.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jwt import JWTClaimsRegistry

from app.core.clock import utc_now
from app.core.crypto.keys import KeyRing, Purpose
from app.core.settings.model import Settings


class TokenKey(Purpose):
    """Keys of access tokens."""

    ACCESS_TOKEN = "access-token/v1"  # noqa: S105  # names the purpose, is no secret


_ALGORITHM = "HS256"
_HEADER = {"alg": _ALGORITHM, "typ": "at+jwt"}
_LONGEST_TOKEN = 4096
# How far the clocks of replicas may be apart (RFC 7519 section 4.1.4).
_LEEWAY_SECONDS = 10

FIRST_PARTY = "first-party"
"""What the service's own sign-in is called where OAuth asks for a client."""

_REQUIRED: dict[str, Any] = {
    name: {"essential": True} for name in ("exp", "iat", "sub", "sid", "jti", "scope", "client_id", "auth_time", "amr")
}


class InvalidTokenError(Exception):
    """The text is not an access token of this service that holds now."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says, once it is verified; times are in seconds since 1970."""

    user_id: UUID
    session_id: UUID
    scope: frozenset[str]
    client_id: str
    token_id: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token is made for."""

    user_id: UUID
    session_id: UUID
    scope: str
    methods: tuple[str, ...]
    authenticated_at: datetime
    client_id: str = FIRST_PARTY


class _Claims(JWTClaimsRegistry):
    """The claims of an access token: `iat` and `nbf` have a leeway, `exp` has none, so that no token lives longer."""

    def validate_exp(self, value: object) -> None:
        """Raise `ExpiredTokenError` from the second of `exp` on."""
        JWTClaimsRegistry(now=self.now).validate_exp(value)


class AccessTokens:
    """Makes and verifies access tokens. Issuer and audience are the service's public URL."""

    def __init__(self, settings: Settings, keys: KeyRing) -> None:
        self._issuer = settings.public_url
        self._lifetime = timedelta(minutes=settings.access_token_minutes)
        self._keys = [OctKey.import_key(key) for key in keys.all(TokenKey.ACCESS_TOKEN)]
        self._registry = _Claims(
            now=lambda: int(utc_now().timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            **_REQUIRED,
        )

    @property
    def issuer(self) -> str:
        """Who issues the tokens, and whom they are for."""
        return self._issuer

    @property
    def expires_in(self) -> int:
        """The lifetime of a token, in seconds."""
        return int(self._lifetime.total_seconds())

    def issue(self, grant: Grant) -> str:
        """Make a token for the grant."""
        now = utc_now()
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": str(grant.user_id),
            "sid": str(grant.session_id),
            "jti": str(uuid4()),
            "iat": int(now.timestamp()),
            "exp": int((now + self._lifetime).timestamp()),
            "auth_time": int(grant.authenticated_at.timestamp()),
            "amr": list(grant.methods),
            "scope": grant.scope,
            "client_id": grant.client_id,
        }
        return jwt.encode(_HEADER, claims, self._keys[0], algorithms=[_ALGORITHM])

    def verify(self, token: str) -> AccessClaims:
        """Verify a token with every key of the ring; raises `InvalidTokenError`."""
        if len(token) > _LONGEST_TOKEN:
            raise InvalidTokenError
        for key in self._keys:
            try:
                decoded = jwt.decode(token, key, algorithms=[_ALGORITHM])
            except (JoseError, ValueError):
                continue
            return self._read(decoded.header, decoded.claims)
        raise InvalidTokenError

    def _read(self, header: dict[str, Any], claims: dict[str, Any]) -> AccessClaims:
        # Exactly the header that is issued: no `crit`, no key that comes with the token (RFC 8725 section 3).
        # One audience: a token that is also meant for somebody else could be used by them (RFC 9068 section 4).
        if header != _HEADER or claims.get("aud") != self._issuer:
            raise InvalidTokenError
        try:
            self._registry.validate(claims)
            return AccessClaims(
                user_id=UUID(claims["sub"]),
                session_id=UUID(claims["sid"]),
                scope=frozenset(claims["scope"].split()),
                client_id=_text(claims["client_id"]),
                token_id=_text(claims["jti"]),
                issued_at=claims["iat"],
                expires_at=claims["exp"],
            )
        except (JoseError, ValueError, TypeError, AttributeError):
            raise InvalidTokenError from None


def _text(claim: object) -> str:
    if not isinstance(claim, str):
        raise TypeError("a claim is no text")
    return claim
