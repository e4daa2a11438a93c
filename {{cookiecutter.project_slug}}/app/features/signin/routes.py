"""Signing in: for the service's own clients, and OAuth 2's token endpoints."""

from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Form, Request, Response

from app.access.guard import GuardedRoute
from app.access.policies import Authenticated, Public, policy
from app.access.principal import CurrentPrincipal
from app.core.errors import BadRequest, Unauthenticated
from app.features.sessions.client import RequestClient
from app.features.signin.errors import InvalidGrant, UnsupportedGrantType
from app.features.signin.schemas import RevocationForm, SignIn, TokenAnswer, TokenForm
from app.features.signin.service import SignInService, TokenPair, WrongCredentials

router = APIRouter(tags=["sign-in"], route_class=GuardedRoute)
oauth_router = APIRouter(prefix="/oauth", tags=["oauth"], route_class=GuardedRoute)

_WRONG = "The e-mail address or the password is wrong."
_Value = TypeVar("_Value")


async def _service(request: Request) -> SignInService:
    service: SignInService = request.app.state.signin
    return service


SignIns = Annotated[SignInService, Depends(_service)]


@router.post("/signin", responses={401: {"description": _WRONG}})
@policy(Public())
async def sign_in(body: SignIn, signins: SignIns, client: RequestClient) -> TokenAnswer:
    """Sign in with address and password: for the service's own clients. Others use OAuth 2."""
    try:
        return _answer(await signins.sign_in(body.email, body.password, client))
    except WrongCredentials:
        raise Unauthenticated(_WRONG) from None


@oauth_router.post("/token")
@policy(Public())
async def token(
    form: Annotated[TokenForm, Form()], request: Request, signins: SignIns, client: RequestClient
) -> TokenAnswer:
    """Exchange a grant for tokens (RFC 6749 section 3.2)."""
    if form.grant_type == "refresh_token":
        return _answer(await signins.renew(_required(form.refresh_token, "refresh_token"), form.scope))
    if form.grant_type == "password" and request.app.state.settings.oauth_password_grant:
        username = _required(form.username, "username")
        password = _required(form.password, "password")
        try:
            return _answer(await signins.sign_in(username, password, client))
        except WrongCredentials:
            raise InvalidGrant(_WRONG) from None
    message = "This grant type is not supported."
    raise UnsupportedGrantType(message)


@oauth_router.post("/revoke", status_code=200, response_class=Response)
@policy(Authenticated())
async def revoke(form: Annotated[RevocationForm, Form()], signins: SignIns, principal: CurrentPrincipal) -> Response:
    """Revoke one of my tokens, and the session that it belongs to (RFC 7009)."""
    await signins.revoke(form.token, principal)
    return Response()


def _answer(pair: TokenPair) -> TokenAnswer:
    return TokenAnswer.model_validate(pair)


def _required(value: _Value | None, name: str) -> _Value:
    if not value:
        message = f"The parameter {name} is missing."
        raise BadRequest(message)
    return value
