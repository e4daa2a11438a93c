"""The code flow with clients that were written elsewhere: they make the request, and read the answer."""

from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from oauthlib.oauth2 import AccessDeniedError, WebApplicationClient

from app.features.authorization.requests import RequestReader
from app.features.authorization.service import AuthorizationService
from tests.conftest import PUBLIC_URL
from tests.features.authorization.steps import ORIGIN, principal_of
from tests.support.api.oauth import CALLBACK, register
from tests.support.service import Service

pytestmark = pytest.mark.anyio

METADATA = "/.well-known/oauth-authorization-server"
VERIFIER = "a" * 64


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_authlib_walks_through_the_code_flow(service: Service, method: str) -> None:
    """Discovery, the request with PKCE, the answer with state and issuer, tokens, a refresh, and a second use."""
    registered = await register(service, confidential=method != "none")
    person, browser = await service.signed_in()
    server = (await service.client.get(METADATA)).json()
    assert method in server["token_endpoint_auth_methods_supported"]
    async with AsyncOAuth2Client(
        client_id=registered.client_id,
        client_secret=registered.secret,
        redirect_uri=CALLBACK,
        scope="account:read",
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
        transport=httpx2.ASGITransport(app=service.app),
    ) as client:
        url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=VERIFIER)
        authorization = service[AuthorizationService]
        request = await service[RequestReader].read(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        answer = await authorization.approve(await principal_of(service, browser), request, ORIGIN, asked=True)
        assert dict(parse_qsl(urlsplit(answer).query))["iss"] == server["issuer"]
        given = {"authorization_response": answer, "code_verifier": VERIFIER, "state": state}
        token = await client.fetch_token(server["token_endpoint"], **given)
        assert token["scope"] == "account:read"
        assert (await client.get(f"{PUBLIC_URL}/api/v1/users/me")).json()["id"] == str(person.id)
        renewed = await client.refresh_token(server["token_endpoint"])
        assert renewed["refresh_token"] != token["refresh_token"]
        with pytest.raises(OAuthError) as refused:
            await client.fetch_token(server["token_endpoint"], **given)
        assert refused.value.error == "invalid_grant"
        client.token = renewed
        assert (await client.get(f"{PUBLIC_URL}/api/v1/users/me")).status_code == 401


async def test_oauthlib_reads_the_answers(service: Service) -> None:
    """A code with its state, and a refusal as the error that it is; its request is read here."""
    registered, (_, browser) = await register(service), await service.signed_in()
    client = WebApplicationClient(registered.client_id)
    client.create_code_verifier(64)
    url = client.prepare_request_uri(
        f"{PUBLIC_URL}/oauth/authorize",
        redirect_uri=CALLBACK,
        scope=["account:read"],
        state="a state",
        code_challenge=client.create_code_challenge(client.code_verifier, "S256"),
        code_challenge_method="S256",
    )
    authorization = service[AuthorizationService]
    request = await service[RequestReader].read(parse_qsl(urlsplit(url).query))
    answer = await authorization.approve(await principal_of(service, browser), request, ORIGIN, asked=True)
    assert client.parse_request_uri_response(answer, state="a state")["code"].startswith("ac_")
    with pytest.raises(AccessDeniedError):
        client.parse_request_uri_response(request.answer(error="access_denied"), state="a state")
