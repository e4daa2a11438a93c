"""Clients that were written elsewhere, Authlib and requests-oauthlib: they get tokens, use, check and revoke them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidGrantError, LegacyApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from app.access.roles import Role
from tests.conftest import PUBLIC_URL, StartService
from tests.support.api.oauth import Registered, issue_to, register, register_machine
from tests.support.database.databases import Databases
from tests.support.processes.replicas import EMAIL, PASSWORD, running_replicas, sign_in
from tests.support.service import Service

pytestmark = pytest.mark.anyio

TOKEN_URL = f"{PUBLIC_URL}/oauth/token"
REVOKE_URL = f"{PUBLIC_URL}/oauth/revoke"
INTROSPECT_URL = f"{PUBLIC_URL}/oauth/introspect"
METADATA = "/.well-known/oauth-authorization-server"
ME = f"{PUBLIC_URL}/api/v1/users/me"


def authlib_client(service: Service, registered: Registered | None = None, method: str = "none", **options: Any) -> Any:
    """Authlib's client, connected to the application: the service's own public one, or one that is registered."""
    return AsyncOAuth2Client(
        client_id=registered.client_id if registered else "first-party",
        client_secret=registered and registered.secret,
        transport=httpx2.ASGITransport(app=service.app),
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        **options,
    )


async def test_authlib_lives_through_a_session(start: StartService) -> None:
    """Password grant, a call with the token, a refresh, revocation, and what is dead is an OAuth error."""
    async with start(oauth_password_grant=True) as service, authlib_client(service) as client:
        person = await service.person()
        credentials = {"username": person.email, "password": person.password}
        first = await client.fetch_token(TOKEN_URL, grant_type="password", **credentials)
        assert (await client.get(ME)).json()["email"] == person.email
        second = await client.refresh_token(TOKEN_URL)
        assert second["refresh_token"] != first["refresh_token"]
        assert (await client.get(ME)).status_code == 200
        await client.post(REVOKE_URL, data={"token": second["refresh_token"]})
        assert (await client.get(ME)).status_code == 401
        with pytest.raises(OAuthError) as refused:
            await client.refresh_token(TOKEN_URL)
        assert refused.value.error == "invalid_grant"


async def test_authlib_understands_a_refusal(service: Service) -> None:
    """The grant that is off is named as RFC 6749 names it."""
    async with authlib_client(service) as client:
        with pytest.raises(OAuthError) as refused:
            await client.fetch_token(TOKEN_URL, grant_type="password", username="a@b.example", password="x")
        assert refused.value.error == "unsupported_grant_type"


async def test_the_metadata_is_valid(service: Service) -> None:
    """Every rule of RFC 8414 that Authlib knows; a pure API has no response type, and Authlib wants one."""
    found = (await service.client.get(METADATA)).json()
    if "authorization_endpoint" not in found:
        found |= {"response_types_supported": ["code"], "authorization_endpoint": f"{PUBLIC_URL}/oauth/authorize"}
    AuthorizationServerMetadata(found).validate()


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_authlib_acts_for_itself(service: Service, method: str) -> None:
    """Credentials of a client in both ways, a call, introspection, revocation."""
    machine = await register_machine(service, Role.AUDITOR, scope="account:read audit:read")
    async with authlib_client(service, machine, method) as client:
        token = await client.fetch_token(TOKEN_URL, grant_type="client_credentials", scope="account:read")
        assert "refresh_token" not in token
        assert (await client.get(ME)).json()["roles"] == ["auditor"]
        assert (await client.get(f"{PUBLIC_URL}/api/v1/audit")).status_code == 403
        found = (await client.introspect_token(INTROSPECT_URL, token["access_token"])).json()
        assert (found["active"], found["client_id"]) == (True, machine.client_id)
        assert (await client.revoke_token(REVOKE_URL, token["access_token"])).status_code == 200
        assert (await client.introspect_token(INTROSPECT_URL, token["access_token"])).json() == {"active": False}
        assert (await client.get(ME)).status_code == 401


async def test_authlib_refreshes_for_a_user(service: Service) -> None:
    """A refresh token that a confidential client has of somebody; one that was used ends it all."""
    registered, person = await register(service), await service.person()
    tokens = await issue_to(service, registered, person)
    async with authlib_client(service, registered, "client_secret_basic") as client:
        first = await client.refresh_token(TOKEN_URL, refresh_token=tokens.refresh)
        assert (await client.get(ME)).json()["email"] == person.email
        with pytest.raises(OAuthError) as refused:
            await client.refresh_token(TOKEN_URL, refresh_token=tokens.refresh)
        assert refused.value.error == "invalid_grant"
        assert (
            await service.client.post(INTROSPECT_URL, data={"token": first["access_token"]} | registered.form)
        ).json() == {"active": False}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[httpx2.Client]:
    """The service as a process, for a client that speaks over sockets alone."""
    folder: Path = tmp_path_factory.mktemp("oauth-clients")
    settings = {"OAUTH_PASSWORD_GRANT": "true"}
    with databases.empty(folder) as url, running_replicas(folder, url, count=1, **settings) as (client,):
        yield client


@pytest.fixture
def base_url(server: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where it listens; on loopback without TLS, which the library asks to be told of."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    return str(server.base_url).rstrip("/")


def test_requests_oauthlib_acts_for_itself(server: httpx2.Client, base_url: str) -> None:
    """With a client that an administrator registered over HTTP: a token, a call, introspection, revocation."""
    bearer = {"Authorization": f"Bearer {sign_in(server).json()['access_token']}"}
    body = {"name": "Job", "scope": "account:read", "grants": ["client_credentials"], "roles": ["member"]}
    client = server.post("/api/v1/clients", json=body, headers=bearer).json()
    basic = HTTPBasicAuth(client["client_id"], client["client_secret"])
    session = OAuth2Session(client=BackendApplicationClient(client_id=client["client_id"]))
    token = session.fetch_token(f"{base_url}/oauth/token", auth=basic, scope=["account:read"])
    assert token["scope"] == ["account:read"]
    assert session.get(f"{base_url}/api/v1/users/me").json()["display_name"] == "Job"
    form = {"token": token["access_token"]}
    found = session.post(f"{base_url}/oauth/introspect", data=form, auth=basic, withhold_token=True).json()
    assert (found["active"], found["client_id"]) == (True, client["client_id"])
    answer = session.post(f"{base_url}/oauth/revoke", data=form, auth=basic, withhold_token=True)
    assert answer.status_code == 200
    assert session.get(f"{base_url}/api/v1/users/me").status_code == 401
    with pytest.raises(InvalidClientError):
        session.fetch_token(f"{base_url}/oauth/token", auth=HTTPBasicAuth(client["client_id"], "wrong"))


def test_requests_oauthlib_refreshes(base_url: str) -> None:
    """As the service's own public client; one that was used is `invalid_grant`."""
    session = OAuth2Session(client=LegacyApplicationClient(client_id="first-party"))
    who = {"username": EMAIL, "password": PASSWORD}
    first = session.fetch_token(f"{base_url}/oauth/token", include_client_id=True, **who)
    second = session.refresh_token(f"{base_url}/oauth/token", client_id="first-party")
    assert second["refresh_token"] != first["refresh_token"]
    assert session.get(f"{base_url}/api/v1/users/me").status_code == 200
    with pytest.raises(InvalidGrantError):
        session.refresh_token(f"{base_url}/oauth/token", refresh_token=first["refresh_token"])
