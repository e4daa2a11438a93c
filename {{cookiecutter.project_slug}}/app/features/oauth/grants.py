"""The grants of the token endpoint. Features add theirs to one table, which the metadata lists."""

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from app.access.principal import CLIENT_SECRET
from app.core.database.database import Database
from app.core.errors import BadRequest
from app.features.accounts.service import AccountService
from app.features.oauth.clients.registered import AnyClient, GrantType, RegisteredClient
from app.features.oauth.clients.service import ClientService
from app.features.oauth.errors import InvalidClient, UnauthorizedClient
from app.features.oauth.schemas import TokenForm
from app.features.sessions.client import Client
from app.features.signin.errors import InvalidGrant, InvalidScope, WrongCredentialsError
from app.features.signin.service import ClientGrant, SignInService, TokenPair

GrantHandler = Callable[[TokenForm, AnyClient, Client], Awaitable[TokenPair]]
"""Exchanges a grant for tokens; the client is authenticated, and may use the grant. Raises a `Problem`."""

_Value = TypeVar("_Value")


class GrantTable(dict[str, GrantHandler]):
    """The grants that this service has, by the name of their `grant_type`."""


def refresh_token_grant(signin: SignInService) -> GrantHandler:
    """Make the grant of RFC 6749 section 6."""

    async def exchange(form: TokenForm, client: AnyClient, _: Client) -> TokenPair:
        token = required(form.refresh_token, "refresh_token")
        return await signin.renew(token.get_secret_value(), form.scope, client.session_client)

    return exchange


def password_grant(signin: SignInService) -> GrantHandler:
    """Make the grant of RFC 6749 section 4.3, which RFC 9700 bans: only a setting switches it on."""

    async def exchange(form: TokenForm, _: AnyClient, origin: Client) -> TokenPair:
        username, password = required(form.username, "username"), required(form.password, "password")
        try:
            return await signin.sign_in(username, password, origin)
        except WrongCredentialsError:
            raise InvalidGrant("The e-mail address or the password is wrong.") from None

    return exchange


def client_credentials_grant(
    database: Database, accounts: AccountService, clients: ClientService, signin: SignInService
) -> GrantHandler:
    """Make the grant of RFC 6749 section 4.4: the client acts as its service account, for one access token's life."""

    async def exchange(form: TokenForm, client: AnyClient, origin: Client) -> TokenPair:
        if not isinstance(client, RegisteredClient) or not client.confidential or client.user_id is None:
            raise UnauthorizedClient("The client has no account to act as.")
        asked = client.scope if form.scope is None else frozenset(form.scope.split())
        if not asked or not asked <= client.scope:
            raise InvalidScope("The scope asks for more than the client may have.")
        async with database.transaction() as db:
            roles = await accounts.active_roles(db, client.user_id, lock=True)
            if roles is None:
                raise UnauthorizedClient("The account of the client is disabled.")
            if not await clients.hold(db, client):
                raise InvalidClient("The client was changed meanwhile.")
            grant = ClientGrant(
                grant_type=GrantType.CLIENT_CREDENTIALS,
                client_id=client.client_id,
                user_id=client.user_id,
                scope=granted_scope(asked & accounts.permissions_of(roles)),
                methods=CLIENT_SECRET,
                authenticated_at=None,
                refreshable=False,
            )
            return await signin.open(db, grant, origin)

    return exchange


def required(value: _Value | None, name: str) -> _Value:
    """Return the value of a parameter; raises `BadRequest` if it is missing or empty."""
    if not value:
        raise BadRequest(f"The parameter {name} is missing.")
    return value


def granted_scope(granted: frozenset[str]) -> str:
    """Return the scope as tokens have it; raises `InvalidScope` if nothing is left of it."""
    if not granted:
        raise InvalidScope("Nothing of the scope is allowed to the account.")
    return " ".join(sorted(granted))


def is_own_resource(resources: Collection[str], issuer: str) -> bool:
    """Return whether every resource that is asked for is this service, the one audience of its tokens (RFC 8707)."""
    return all(resource.removesuffix("/") == issuer for resource in resources)
