"""The clients as the endpoints see them, and the grants that they may use."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.core.errors import Unauthenticated
from app.features.signin.tokens import FIRST_PARTY


class GrantType(StrEnum):
    """The grants that a client can be registered for."""

    AUTHORIZATION_CODE = "authorization_code"
    CLIENT_CREDENTIALS = "client_credentials"
    REFRESH_TOKEN = "refresh_token"


PASSWORD_GRANT = "password"
"""For the service's own sign-in alone, if a setting allows it."""

DOCS_CLIENT = "docs"
"""The `client_id` of the page that describes the API."""

OWN_CLIENTS = frozenset({DOCS_CLIENT})
"""Parts of the service itself: nobody registered them, and no list has them."""


CHALLENGE = 'Basic realm="OAuth clients", charset="UTF-8"'


class InvalidClient(Unauthenticated):
    """The client is unknown, or its credentials are wrong or missing (RFC 6749 section 5.2)."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, challenge=CHALLENGE)


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that was registered."""

    id: UUID
    client_id: str
    name: str
    first_party: bool
    grants: frozenset[str]
    redirect_uris: tuple[str, ...]
    scope: frozenset[str]
    user_id: UUID | None
    created_at: datetime
    secret_issued_at: datetime | None
    secret_hash: bytes | None = field(repr=False)

    @property
    def confidential(self) -> bool:
        """Whether it has a secret."""
        return self.secret_hash is not None

    @property
    def own(self) -> bool:
        """Whether it is a part of the service itself, which nobody changes."""
        return self.client_id in OWN_CLIENTS


@dataclass(frozen=True, slots=True)
class BuiltInClient:
    """The service's own sign-in as a public client that nobody has to register."""

    client_id: str = FIRST_PARTY
    grants: frozenset[str] = frozenset({GrantType.REFRESH_TOKEN, PASSWORD_GRANT})
    confidential: bool = False


AnyClient = RegisteredClient | BuiltInClient

BUILT_IN = BuiltInClient()
