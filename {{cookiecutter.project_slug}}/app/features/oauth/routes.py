"""OAuth 2's endpoints: tokens, their revocation and introspection, and the server's metadata."""

from typing import Annotated

from fastapi import Depends, Form, Request, Response

from app.access.guard import GuardedRouter
from app.access.policies import ClientOrUser, Principal, Public, policy
from app.core.errors import Problem
from app.core.events import emit_event
from app.core.services import provided
from app.features.accounts.routes import CurrentSettings, Roles
from app.features.oauth.clients.authentication import Caller, ClientAuthentication
from app.features.oauth.clients.registered import BUILT_IN, AnyClient, GrantType, InvalidClient, RegisteredClient
from app.features.oauth.events import ClientEvent
from app.features.oauth.grants import GrantTable, is_own_resource
from app.features.oauth.schemas import IntrospectionResponse, ServerMetadata, TokenForm, TokenInQuestion
from app.features.sessions.devices import Client, RequestClient
from app.features.signin.routes import SignIns
from app.features.signin.service import RefusedGrant, TokenResponse
from app.features.signin.tokens import TokenClaims, acr_of

router = GuardedRouter(prefix="/oauth", tags=["oauth"])
metadata_router = GuardedRouter(tags=["oauth"])

_WITH_SECRET = ["client_secret_basic", "client_secret_post"]
_PUBLIC_TOO = [*_WITH_SECRET, "none"]


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Grants = Annotated[GrantTable, provided(GrantTable)]
CurrentCaller = Annotated[Caller, Depends(_caller)]


@router.post("/token", response_model_exclude_none=True, responses={401: {"description": "The client is not known"}})
@policy(Public())
async def token(
    form: Annotated[TokenForm, Form()],
    request: Request,
    grants: Grants,
    clients: Annotated[ClientAuthentication, provided(ClientAuthentication)],
    settings: CurrentSettings,
    origin: RequestClient,
) -> TokenResponse:
    """Exchange a grant for tokens (RFC 6749 section 3.2), as a client or, without one, as the service's own sign-in."""
    client = await clients(request) or BUILT_IN
    try:
        return await _exchange(form, settings.public_url, grants, client, origin)
    except Problem as problem:
        # Any code, verifier or token that does not hold (ASVS 16.3.1).
        emit_event(ClientEvent.TOKEN_REFUSED, outcome="denied", error=problem.oauth_error, **_target_of(client))
        raise


async def _exchange(form: TokenForm, iss: str, grants: GrantTable, client: AnyClient, origin: Client) -> TokenResponse:
    exchange = grants.get(form.grant_type)
    if exchange is None:
        raise RefusedGrant("unsupported_grant_type", "This grant type is not supported.")
    if form.grant_type not in client.grants:
        if client is BUILT_IN:
            raise InvalidClient("This grant needs a client.")
        raise RefusedGrant("unauthorized_client", "The client may not use this grant.")
    if not is_own_resource(list(filter(None, form.resource)), iss):
        raise RefusedGrant("invalid_target", f"The one resource is {iss}")
    return await exchange(form, client, origin)


@router.post("/revoke", status_code=200, response_class=Response)
@policy(ClientOrUser(enrols=True))
async def revoke(form: Annotated[TokenInQuestion, Form()], signins: SignIns, caller: CurrentCaller) -> Response:
    """Revoke a token of the calling client or user, and the session that it belongs to (RFC 7009)."""
    client_id = None if caller is BUILT_IN else caller.client_id
    await signins.revoke(form.token.get_secret_value(), client_id, caller if isinstance(caller, Principal) else None)
    return Response()


@router.post("/introspect", response_model_exclude_none=True)
@policy(ClientOrUser())
async def introspect(
    form: Annotated[TokenInQuestion, Form()], signins: SignIns, settings: CurrentSettings, caller: CurrentCaller
) -> IntrospectionResponse:
    """Tell whether a token is valid (RFC 7662).

    A client with a secret asks about its own tokens, a user about theirs, an application with a token of theirs about
    those that it got for them.
    """
    if not isinstance(caller, Principal) and not caller.confidential:
        # Nothing was tried, so that a flood of these is counted: a `failure` is always a row.
        emit_event(ClientEvent.CLIENT_AUTHENTICATION_FAILED, outcome="denied", **_target_of(caller))
        raise InvalidClient("Only a client with a secret may ask about tokens.")
    found = await signins.look_at(form.token.get_secret_value())
    if found is None or not _is_theirs(found, caller):
        return IntrospectionResponse(active=False)
    is_access = found.token_id is not None
    return IntrospectionResponse(
        active=True,
        scope=" ".join(sorted(found.scope)),
        client_id=found.client_id,
        token_type="Bearer" if is_access else None,
        exp=found.expires_at,
        iat=found.issued_at,
        sub=found.user_id,
        aud=settings.public_url if is_access else None,
        iss=settings.public_url,
        jti=found.token_id,
        auth_time=found.authenticated_at,
        amr=list(found.methods),
        acr=acr_of(found.methods),
    )


@metadata_router.get("/.well-known/oauth-authorization-server", response_model_exclude_none=True)
@policy(Public())
async def metadata(settings: CurrentSettings, roles: Roles, grants: Grants) -> ServerMetadata:
    """Return what this authorization server can do (RFC 8414)."""
    issuer, with_code = settings.public_url, GrantType.AUTHORIZATION_CODE in grants
    return ServerMetadata(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/oauth/authorize" if with_code else None,
        token_endpoint=f"{issuer}/oauth/token",
        revocation_endpoint=f"{issuer}/oauth/revoke",
        introspection_endpoint=f"{issuer}/oauth/introspect",
        scopes_supported=sorted(roles.permissions),
        response_types_supported=["code"] if with_code else [],
        response_modes_supported=["query"] if with_code else None,
        grant_types_supported=sorted(grants),
        code_challenge_methods_supported=["S256"] if with_code else None,
        authorization_response_iss_parameter_supported=True if with_code else None,
        token_endpoint_auth_methods_supported=_PUBLIC_TOO,
        revocation_endpoint_auth_methods_supported=_PUBLIC_TOO,
        # RFC 8414 section 2: an access token type stands beside the methods of clients.
        introspection_endpoint_auth_methods_supported=[*_WITH_SECRET, "Bearer"],
    )


def _is_theirs(token: TokenClaims, caller: Caller) -> bool:
    """Return whether the token is the user's, or the client's own; both, for an application that acts for a user."""
    if isinstance(caller, Principal):
        return token.user_id == caller.user_id and caller.client_id in {None, token.client_id}
    return token.client_id == caller.client_id


def _target_of(client: AnyClient) -> dict[str, object]:
    """Return the client as an event names it; the service's own sign-in has no row."""
    return {"target_type": "client", "target_id": client.id} if isinstance(client, RegisteredClient) else {}
