"""What comes in about clients, and what goes out."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from app.access.roles import Role
from app.core.schemas import DisplayName, RequestBody, ResponseBody, Timestamp
from app.features.oauth.clients.redirect_uris import LONGEST_URI, check_redirect_uri
from app.features.oauth.clients.registered import GrantType, RegisteredClient


def _scope(text: str) -> str:
    """Put scopes in one order, each once. The service checks that there are such permissions."""
    names = text.split(" ")
    if not all(names):
        raise ValueError("must be permissions, separated by one space")
    return " ".join(sorted(set(names)))


class ClientCreate(RequestBody):
    """A client to register. With `client_credentials`, it acts as a service account of its own with these roles."""

    name: DisplayName
    scope: Annotated[str, Field(max_length=2000), AfterValidator(_scope)]
    # Not strict: a JSON string is the grant, or the role, of that name.
    grants: Annotated[
        list[Annotated[GrantType, Field(strict=False)]], Field(min_length=1, max_length=len(GrantType))
    ] = Field(default=[GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN])
    redirect_uris: Annotated[
        list[Annotated[str, Field(max_length=LONGEST_URI), AfterValidator(check_redirect_uri)]], Field(max_length=10)
    ] = Field(default=[])
    confidential: bool = True
    first_party: bool = False
    roles: Annotated[list[Annotated[Role, Field(strict=False)]], Field(max_length=len(Role))] = Field(default=[])

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        with_code = GrantType.AUTHORIZATION_CODE in self.grants
        for_itself = GrantType.CLIENT_CREDENTIALS in self.grants
        rules = (
            (with_code or GrantType.REFRESH_TOKEN not in self.grants, "refresh_token needs authorization_code"),
            (with_code == bool(self.redirect_uris), "authorization_code needs redirect_uris, and nothing else does"),
            (for_itself == bool(self.roles), "client_credentials needs roles, and nothing else does"),
            (self.confidential or not for_itself, "client_credentials needs a confidential client"),
        )
        for holds, message in rules:
            if not holds:
                raise ValueError(message)
        return self


class ClientRead(ResponseBody):
    """A client, without its secret. `user_id` is its service account."""

    id: UUID
    client_id: str
    name: str
    confidential: bool
    first_party: bool
    grants: Annotated[list[str], BeforeValidator(sorted)]
    redirect_uris: list[str]
    scope: Annotated[str, BeforeValidator(lambda scope: scope if isinstance(scope, str) else " ".join(sorted(scope)))]
    user_id: UUID | None
    created_at: Timestamp
    secret_issued_at: Timestamp | None


class ClientCreated(ClientRead):
    """A client with its secret, which no other answer has; null for a public client."""

    client_secret: str | None = None

    @classmethod
    def with_secret(cls, client: RegisteredClient, secret: SecretStr | None) -> Self:
        """Make the answer for a client that has just got its secret."""
        answer = cls.model_validate(client)
        answer.client_secret = None if secret is None else secret.get_secret_value()
        return answer
