"""The request and the response of a sign-in."""

from typing import Annotated, Literal

from pydantic import Field

from app.core.schemas import RequestBody, ResponseBody
from app.features.accounts.passwords.hasher import GivenPassword


class SignIn(RequestBody):
    """Address and password of an account."""

    email: Annotated[str, Field(min_length=1, max_length=254)]
    password: GivenPassword


class TokenResponse(ResponseBody):
    """RFC 6749 section 5.1; `refresh_token` is left out if there is none."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # RFC 6750's name of the type
    expires_in: int
    refresh_token: str | None = None
    scope: str
