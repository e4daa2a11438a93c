"""A client that was written elsewhere: Authlib gets tokens, refreshes and revokes them."""

from typing import Any

import httpx2
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from tests.conftest import PUBLIC_URL, StartService
from tests.support.service import Service

pytestmark = pytest.mark.anyio

TOKEN_URL = f"{PUBLIC_URL}/oauth/token"
REVOKE_URL = f"{PUBLIC_URL}/oauth/revoke"
ME = f"{PUBLIC_URL}/api/v1/users/me"


def authlib_client(service: Service) -> Any:
    """Authlib's client, a public one, connected to the application."""
    transport = httpx2.ASGITransport(app=service.app)
    return AsyncOAuth2Client(client_id="first-party", transport=transport, token_endpoint_auth_method="none")


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
