"""OAuth 2's endpoints: tokens, their revocation and introspection, and what the server says of itself."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from app.access.guard import GuardedRoute
from app.access.policies import ClientOrUser, Public, policy
from app.access.principal import Principal
from app.access.roles import RoleTable
from app.core.errors import Problem
from app.core.events.flow import emit_event
from app.core.services import provided, services_of
from app.core.settings.model import Settings
from app.features.oauth.clients.authentication import Caller, ClientAuthentication
from app.features.oauth.clients.registered import BUILT_IN, AnyClient, RegisteredClient
from app.features.oauth.errors import InvalidClient, InvalidTarget, UnauthorizedClient, UnsupportedGrantType
from app.features.oauth.events import ClientEvent
from app.features.oauth.grants import GrantHandler, GrantTable
from app.features.oauth.metadata import server_metadata
from app.features.oauth.resources import is_own_resource
from app.features.oauth.schemas import IntrospectionResponse, ServerMetadata, TokenForm, TokenInQuestion
from app.features.sessions.client import Client, RequestClient
from app.features.signin.schemas import TokenResponse
from app.features.signin.service import SignInService, TokenPair
from app.features.signin.tokens import TokenClaims

router = APIRouter(prefix="/oauth", tags=["oauth"], route_class=GuardedRoute)
metadata_router = APIRouter(tags=["oauth"], route_class=GuardedRoute)

_INACTIVE = IntrospectionResponse(active=False)


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Grants = Annotated[GrantTable, provided(GrantTable)]
SignIns = Annotated[SignInService, provided(SignInService)]
CurrentCaller = Annotated[Caller, Depends(_caller)]


@router.post("/token", response_model_exclude_none=True, responses={401: {"description": "The client is not known"}})
@policy(Public())
async def token(
    form: Annotated[TokenForm, Form()], request: Request, grants: Grants, origin: RequestClient
) -> TokenResponse:
    """Exchange a grant for tokens (RFC 6749 section 3.2), as a client or, without one, as the service's own sign-in."""
    client = await services_of(request.app)[ClientAuthentication](request) or BUILT_IN
    try:
        return TokenResponse.model_validate(await _exchange(form, request, grants, client, origin))
    except Problem as problem:
        # A code, a verifier or a token that was tried, in whatever way it does not hold (ASVS 16.3.1).
        refusal = {"error": problem.oauth_error, **_target_of(client)}
        emit_event(ClientEvent.TOKEN_REFUSED, outcome="denied", **refusal)
        raise


async def _exchange(
    form: TokenForm, request: Request, grants: Mapping[str, GrantHandler], client: AnyClient, origin: Client
) -> TokenPair:
    """Tokens for the grant that the form names, where the client may use it."""
    exchange = grants.get(form.grant_type)
    if exchange is None:
        raise UnsupportedGrantType("This grant type is not supported.")
    if form.grant_type not in client.grants:
        message = "The client may not use this grant."
        raise InvalidClient("This grant needs a client.") if client is BUILT_IN else UnauthorizedClient(message)
    issuer = services_of(request.app)[Settings].public_url
    if not is_own_resource(list(filter(None, form.resource)), issuer):
        raise InvalidTarget(f"The one resource is {issuer}")
    return await exchange(form, client, origin)


@router.post("/revoke", status_code=200, response_class=Response)
@policy(ClientOrUser())
async def revoke(form: Annotated[TokenInQuestion, Form()], signins: SignIns, caller: CurrentCaller) -> Response:
    """Revoke a token of the client, or of the user, that asks, and the session that it belongs to (RFC 7009)."""
    in_question = form.token.get_secret_value()
    if isinstance(caller, Principal):
        await signins.revoke(in_question, caller)
    else:
        await signins.revoke_of_client(in_question, caller.session_client)
    return Response()


@router.post("/introspect", response_model_exclude_none=True)
@policy(ClientOrUser())
async def introspect(
    form: Annotated[TokenInQuestion, Form()], signins: SignIns, caller: CurrentCaller
) -> IntrospectionResponse:
    """What a token is worth (RFC 7662): its own, for a client with a secret or the token of one; for a user theirs."""
    if not isinstance(caller, Principal) and not caller.confidential:
        # Nothing was tried, so that a flood of these is counted: a `failure` is always a row.
        emit_event(ClientEvent.CLIENT_AUTHENTICATION_FAILED, outcome="denied", **_target_of(caller))
        raise InvalidClient("Only a client with a secret may ask about tokens.")
    found = await signins.look_at(form.token.get_secret_value())
    return _active(found, signins.issuer) if found and _is_theirs(found, caller) else _INACTIVE


@metadata_router.get("/.well-known/oauth-authorization-server", response_model_exclude_none=True)
@policy(Public())
async def metadata(
    settings: Annotated[Settings, provided(Settings)], roles: Annotated[RoleTable, provided(RoleTable)], grants: Grants
) -> ServerMetadata:
    """What this authorization server can do (RFC 8414)."""
    return server_metadata(settings.public_url, grants, roles.permissions)


def _is_theirs(token: TokenClaims, caller: Caller) -> bool:
    """Whether the token is the user's, or the client's own; both, for an application that acts for a user.

    The audience of every access token is this service alone: none is meant for another client.
    """
    if isinstance(caller, Principal):
        return token.user_id == caller.user_id and caller.client_id in {None, token.client_id}
    return token.client_id == caller.client_id


def _target_of(client: AnyClient) -> dict[str, object]:
    """The client, as an event names it; the service's own sign-in has no row."""
    return {"target_type": "client", "target_id": client.id} if isinstance(client, RegisteredClient) else {}


def _active(token: TokenClaims, issuer: str) -> IntrospectionResponse:
    is_access = token.token_id is not None
    return IntrospectionResponse(
        active=True,
        scope=" ".join(sorted(token.scope)),
        client_id=token.client_id,
        token_type="Bearer" if is_access else None,
        exp=token.expires_at,
        iat=token.issued_at,
        sub=token.user_id,
        aud=issuer if is_access else None,
        iss=issuer,
        jti=token.token_id,
    )
