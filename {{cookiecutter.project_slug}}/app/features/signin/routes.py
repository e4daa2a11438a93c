"""Sign-in for the service's own clients."""

from typing import Annotated

from app.access.policies import Public, policy
from app.access.router import GuardedRouter
from app.core.errors import Unauthenticated
from app.core.services import provided
from app.features.sessions.client import RequestClient
from app.features.signin.errors import WrongCredentialsError
from app.features.signin.schemas import SignIn, TokenResponse
from app.features.signin.service import SignInService

router = GuardedRouter(tags=["sign-in"])

_WRONG = "The e-mail address or the password is wrong."

SignIns = Annotated[SignInService, provided(SignInService)]


@router.post("/signin", responses={401: {"description": _WRONG}})
@policy(Public())
async def sign_in(body: SignIn, signins: SignIns, client: RequestClient) -> TokenResponse:
    """Sign in with address and password: for the service's own clients. Others use OAuth 2."""
    try:
        return TokenResponse.model_validate(await signins.sign_in(body.email, body.password, client))
    except WrongCredentialsError:
        raise Unauthenticated(_WRONG) from None
