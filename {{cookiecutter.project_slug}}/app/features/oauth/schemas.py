"""The parameters and answers of the OAuth endpoints, and of the administration of clients."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from app.access.roles import Role
from app.core.schemas import DisplayName, RequestBody, ResponseBody, Timestamp
from app.features.accounts.passwords.hasher import GivenPassword
from app.features.oauth.clients.redirect_uris import LONGEST_URI, check_redirect_uri
from app.features.oauth.clients.registered import GrantType, RegisteredClient

_LONGEST_PARAMETER = 4096

Parameter = Annotated[str, Field(max_length=_LONGEST_PARAMETER)]
SecretParameter = Annotated[SecretStr, Field(max_length=_LONGEST_PARAMETER)]


class OAuthForm(BaseModel):
    """The parameters of an OAuth 2 endpoint. Unknown ones are ignored, as RFC 6749 section 3.2 demands."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    client_id: Parameter | None = None
    client_secret: SecretParameter | None = None


class TokenForm(OAuthForm):
    """The parameters of every grant; each needs its own."""

    grant_type: Parameter
    scope: Parameter | None = None
    refresh_token: SecretParameter | None = None
    username: Parameter | None = None
    password: GivenPassword | None = None
    code: SecretParameter | None = None
    redirect_uri: Parameter | None = None
    code_verifier: SecretParameter | None = None
    # RFC 8707 section 2.2: once or several times.
    resource: list[Parameter] = Field(default=[], max_length=50)


class TokenInQuestion(OAuthForm):
    """RFC 7009 and RFC 7662, section 2.1 of each. The hint is ignored: a token tells its own kind."""

    token: SecretParameter
    token_type_hint: Parameter | None = None


class IntrospectionResponse(ResponseBody):
    """RFC 7662 section 2.2; `active` alone for a token that is not valid. A refresh token has no `token_type`."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    token_type: Literal["Bearer"] | None = None
    exp: int | None = None
    iat: int | None = None
    sub: UUID | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None
    auth_time: int | None = None
    amr: list[str] | None = None
    acr: str | None = None


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


def _joined(scope: object) -> object:
    return " ".join(sorted(scope)) if isinstance(scope, frozenset) else scope


class ClientRead(ResponseBody):
    """A client, without its secret. `user_id` is its service account."""

    id: UUID
    client_id: str
    name: str
    confidential: bool
    first_party: bool
    grants: Annotated[list[str], BeforeValidator(sorted)]
    redirect_uris: list[str]
    scope: Annotated[str, BeforeValidator(_joined)]
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


class ServerMetadata(ResponseBody):
    """RFC 8414 section 2."""

    issuer: str
    authorization_endpoint: str | None
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    response_modes_supported: list[str] | None
    grant_types_supported: list[str]
    code_challenge_methods_supported: list[str] | None
    authorization_response_iss_parameter_supported: bool | None
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
