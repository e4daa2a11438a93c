"""Sign-in for the service's own clients."""

from typing import Annotated, Literal

from pydantic import Field

from app.access.guard import GuardedRouter
from app.access.policies import Public, policy
from app.core.errors import Unauthenticated
from app.core.schemas import RequestBody, ResponseBody
from app.core.services import provided
from app.features.accounts.passwords.hasher import GivenPassword
from app.features.sessions.client import RequestClient
from app.features.signin.errors import WrongCredentialsError
from app.features.signin.service import SignInService

router = GuardedRouter(tags=["sign-in"])

_WRONG = "The e-mail address or the password is wrong."

SignIns = Annotated[SignInService, provided(SignInService)]


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


@router.post("/signin", responses={401: {"description": _WRONG}})
@policy(Public())
async def sign_in(body: SignIn, signins: SignIns, client: RequestClient) -> TokenResponse:
    """Sign in with address and password: for the service's own clients. Others use OAuth 2."""
    try:
        return TokenResponse.model_validate(await signins.sign_in(body.email, body.password, client))
    except WrongCredentialsError:
        raise Unauthenticated(_WRONG) from None
