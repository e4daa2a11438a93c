"""Sign-in for the service's own clients."""

from typing import Annotated

from pydantic import Field, SecretStr

from app.access.guard import GuardedRouter
from app.access.policies import Public, policy
from app.core.schemas import RequestBody
from app.core.services import provided
from app.features.accounts.passwords.hasher import GivenPassword
from app.features.factors.schemas import FactorAnswer
from app.features.sessions.devices import RequestClient
from app.features.signin.password import WRONG_CREDENTIALS, Challenge
from app.features.signin.service import SignInService, TokenResponse
from app.http.request.body_limit import KIB

router = GuardedRouter(tags=["sign-in"])

SignIns = Annotated[SignInService, provided(SignInService)]


class SignIn(RequestBody):
    """Address and password of an account."""

    email: Annotated[str, Field(min_length=1, max_length=254)]
    password: GivenPassword


class SecondStep(FactorAnswer):
    """The challenge of a sign-in, and the answer of a factor."""

    challenge: Annotated[SecretStr, Field(min_length=1, max_length=128)]


@router.post("/signin", responses={401: {"description": WRONG_CREDENTIALS}})
@policy(Public())
async def sign_in(body: SignIn, signins: SignIns, client: RequestClient) -> TokenResponse | Challenge:
    """Sign in, for the service's own clients. If the account has a second factor, the answer is a challenge."""
    return await signins.sign_in(body.email, body.password, client)


@router.post("/signin/passkey")
@policy(Public())
async def begin_with_passkey(signins: SignIns, client: RequestClient) -> Challenge:
    """Begin a sign-in with a passkey and without an address; `/signin/factor` takes its answer."""
    return await signins.ask_for_passkey(client)


@router.post("/signin/factor", max_body_size=16 * KIB, responses={401: {"description": "The answer does not hold"}})
@policy(Public())
async def answer_factor(body: SecondStep, signins: SignIns, client: RequestClient) -> TokenResponse:
    """Complete a sign-in with a second factor or a passkey; the answer is that of the sign-in."""
    return await signins.answer(body.challenge.get_secret_value(), body, client)
