"""The parameters and answers of the OAuth endpoints."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.core.schemas import ResponseBody
from app.features.accounts.passwords.hasher import GivenPassword

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
