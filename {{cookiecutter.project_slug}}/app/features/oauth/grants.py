"""The grants of the token endpoint. Features add theirs to one table, which the metadata lists."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TypeVar

from app.access.policies import CLIENT_SECRET
from app.core.database.database import Database
from app.core.errors import BadRequest, Unauthenticated
from app.core.services import Services
from app.features.accounts.service import AccountService
from app.features.oauth.clients.registered import AnyClient, GrantType, InvalidClient, RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.oauth.schemas import TokenForm
from app.features.sessions.devices import Client
from app.features.sessions.service import SessionOptions
from app.features.signin.password import GRANT
from app.features.signin.service import RefusedGrant, SignInService, TokenResponse

_Value = TypeVar("_Value")


class GrantTable(dict[str, Callable[[TokenForm, AnyClient, Client], Awaitable[TokenResponse]]]):
    """What exchanges each grant, by `grant_type`, for an authenticated client that may use it; raises a `Problem`."""


class OwnGrants:
    """The grants that need no page."""

    def __init__(self, services: Services) -> None:
        self._database, self._accounts = services[Database], services[AccountService]
        self._clients, self._signin = services[ClientService], services[SignInService]

    async def refresh_token(self, form: TokenForm, client: AnyClient, _: Client) -> TokenResponse:
        """Exchange a refresh token (RFC 6749 section 6)."""
        token = required(form.refresh_token, "refresh_token").get_secret_value()
        if not isinstance(client, RegisteredClient):
            return await self._signin.renew(token, form.scope)
        return await self._signin.renew(token, form.scope, client.client_id, partial(self._clients.hold, client=client))

    async def password(self, form: TokenForm, _: AnyClient, origin: Client) -> TokenResponse:
        """Exchange a password (RFC 6749 section 4.3), which RFC 9700 bans: only a setting switches it on."""
        username, password = required(form.username, "username"), required(form.password, "password")
        try:
            result = await self._signin.sign_in(username, password, origin, GRANT)
        except Unauthenticated as wrong:
            raise RefusedGrant("invalid_grant", wrong.detail) from None
        if not isinstance(result, TokenResponse):
            raise RefusedGrant("invalid_grant", "The account needs a second factor, which this grant cannot ask for.")
        return result

    async def client_credentials(self, form: TokenForm, client: AnyClient, origin: Client) -> TokenResponse:
        """Let a client act as its service account, for one access token's life (RFC 6749 section 4.4)."""
        if not isinstance(client, RegisteredClient) or not client.confidential or client.user_id is None:
            raise RefusedGrant("unauthorized_client", "The client has no account to act as.")
        asked = client.scope if form.scope is None else frozenset(form.scope.split())
        if not asked or not asked <= client.scope:
            raise RefusedGrant("invalid_scope", "The scope asks for more than the client may have.")
        async with self._database.transaction() as db:
            roles = await self._accounts.active_roles(db, client.user_id, lock=True)
            if roles is None:
                raise RefusedGrant("unauthorized_client", "The account of the client is disabled.")
            if not await self._clients.hold(db, client):
                raise InvalidClient("The client was changed meanwhile.")
            scope, lifetime = granted_scope(asked & self._accounts.permissions_of(roles)), self._signin.shortest_session
            options = SessionOptions(scope, CLIENT_SECRET, client.client_id, lifetime=lifetime)
            return await self._signin.open(db, client.user_id, options, origin, GrantType.CLIENT_CREDENTIALS)


def required(value: _Value | None, name: str) -> _Value:
    """Return the value of a parameter; raises `BadRequest` if it is missing or empty."""
    if not value:
        raise BadRequest(f"The parameter {name} is missing.")
    return value


def granted_scope(granted: frozenset[str]) -> str:
    """Return the scope as tokens have it; raises `RefusedGrant` if nothing is left of it."""
    if not granted:
        raise RefusedGrant("invalid_scope", "Nothing of the scope is allowed to the account.")
    return " ".join(sorted(granted))


def is_own_resource(resources: Collection[str], issuer: str) -> bool:
    """Return whether every resource that is asked for is this service, the one audience of its tokens (RFC 8707)."""
    return all(resource.removesuffix("/") == issuer for resource in resources)
