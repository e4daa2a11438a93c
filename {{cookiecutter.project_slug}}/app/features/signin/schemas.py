"""What signing in takes and gives."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.schemas import Answer, RequestBody
from app.features.accounts.passwords import GivenPassword

_LONGEST_PARAMETER = 4096

Parameter = Annotated[str, Field(max_length=_LONGEST_PARAMETER)]


class SignIn(RequestBody):
    """Address and password of an account."""

    email: Annotated[str, Field(min_length=1, max_length=254)]
    password: GivenPassword


class TokenAnswer(Answer):
    """RFC 6749 section 5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # RFC 6750's name of the type
    expires_in: int
    refresh_token: str
    scope: str


class OAuthForm(BaseModel):
    """The parameters of an OAuth 2 endpoint. Unknown ones are ignored, as RFC 6749 section 3.2 demands."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    client_id: Parameter | None = None


class TokenForm(OAuthForm):
    """The parameters of every grant; each needs its own."""

    grant_type: Parameter
    refresh_token: Parameter | None = None
    username: Parameter | None = None
    password: GivenPassword | None = None
    scope: Parameter | None = None


class RevocationForm(OAuthForm):
    """RFC 7009 section 2.1. The hint changes nothing: a token tells its own kind."""

    token: Parameter
    token_type_hint: Parameter | None = None
