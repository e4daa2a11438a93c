"""The grants of the token endpoint. Features add theirs to one table; the metadata lists what is in it."""

from collections.abc import Awaitable, Callable
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


class RefreshTokenGrant:
    """RFC 6749 section 6."""

    def __init__(self, signin: SignInService) -> None:
        self._signin = signin

    async def __call__(self, form: TokenForm, client: AnyClient, _: Client) -> TokenPair:
        """New tokens for a refresh token of the client."""
        token = required(form.refresh_token, "refresh_token")
        return await self._signin.renew(token.get_secret_value(), form.scope, client.session_client)


class PasswordGrant:
    """RFC 6749 section 4.3, which RFC 9700 bans: for the service's own clients, where a setting wants it."""

    def __init__(self, signin: SignInService) -> None:
        self._signin = signin

    async def __call__(self, form: TokenForm, _: AnyClient, origin: Client) -> TokenPair:
        """Sign in."""
        username, password = required(form.username, "username"), required(form.password, "password")
        try:
            return await self._signin.sign_in(username, password, origin)
        except WrongCredentialsError:
            raise InvalidGrant("The e-mail address or the password is wrong.") from None


class ClientCredentialsGrant:
    """RFC 6749 section 4.4: the client acts as its service account, for as long as one access token lives."""

    def __init__(
        self, database: Database, accounts: AccountService, clients: ClientService, signin: SignInService
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._clients = clients
        self._signin = signin

    async def __call__(self, form: TokenForm, client: AnyClient, origin: Client) -> TokenPair:
        """A token for what the client's scope names and the roles of its account allow."""
        if not isinstance(client, RegisteredClient) or not client.confidential or client.user_id is None:
            raise UnauthorizedClient("The client has no account to act as.")
        asked = asked_scope(form.scope, client)
        async with self._database.transaction() as db:
            roles = await self._accounts.active_roles(db, client.user_id, lock=True)
            if roles is None:
                raise UnauthorizedClient("The account of the client is disabled.")
            if not await self._clients.hold(db, client):
                raise InvalidClient("The client was changed meanwhile.")
            grant = ClientGrant(
                grant_type=GrantType.CLIENT_CREDENTIALS,
                client_id=client.client_id,
                user_id=client.user_id,
                scope=granted_scope(asked & self._accounts.permissions_of(roles)),
                methods=CLIENT_SECRET,
                authenticated_at=None,
                refreshable=False,
            )
            return await self._signin.open(db, grant, origin)


def required(value: _Value | None, name: str) -> _Value:
    """The value of a parameter; raises `BadRequest` where it is missing or empty."""
    if not value:
        raise BadRequest(f"The parameter {name} is missing.")
    return value


def asked_scope(text: str | None, client: RegisteredClient) -> frozenset[str]:
    """What a client asks for, which is all it may have unless it says so; raises `InvalidScope` beyond that."""
    asked = client.scope if text is None else frozenset(text.split())
    if not asked or not asked <= client.scope:
        raise InvalidScope("The scope asks for more than the client may have.")
    return asked


def granted_scope(granted: frozenset[str]) -> str:
    """The scope as tokens have it; raises `InvalidScope` where nothing is left of it."""
    if not granted:
        raise InvalidScope("Nothing of the scope is allowed to the account.")
    return " ".join(sorted(granted))
