"""What the service's own clients may ask for without a page, and who could ask in their place."""

from collections.abc import AsyncIterator

import pytest

from app.features.authorization.requests import RefusedRequest, RequestReader, UntrustedRequest
from app.features.authorization.service import AuthorizationService
from app.features.oauth.clients.service import ClientService
from tests.conftest import StartService
from tests.features.authorization.steps import principal_of, query
from tests.support.api.oauth import Registered, register
from tests.support.service import Service

pytestmark = pytest.mark.anyio

HERE = "http://127.0.0.1:8000/docs/oauth2-redirect"


@pytest.fixture
async def developing(start: StartService) -> AsyncIterator[Service]:
    """A service as a developer runs it, at the default address."""
    async with start(public_url="http://127.0.0.1:8000", allowed_hosts=["127.0.0.1"]) as service:
        yield service


async def docs_of(service: Service) -> Registered:
    """The client of `/docs`."""
    return Registered(await service[ClientService].get("docs"), None)


@pytest.mark.asvs("10.4.1")
async def test_another_program_of_the_machine_gets_no_code_of_the_docs(developing: Service) -> None:
    """The address of `/docs` is compared with its port: on another one, anybody's program could listen."""
    docs = await docs_of(developing)
    await developing[RequestReader].read(query(docs, redirect_uri=HERE))
    for other in ("http://127.0.0.1:9999/docs/oauth2-redirect", "http://127.0.0.1/docs/oauth2-redirect"):
        with pytest.raises(UntrustedRequest):
            await developing[RequestReader].read(query(docs, redirect_uri=other))


@pytest.mark.asvs("10.4.11")
async def test_the_docs_get_what_they_name_alone(developing: Service) -> None:
    """No scope is not every scope: nobody looks at a page that would say what is given."""
    docs = await docs_of(developing)
    for scope in (None, ""):
        with pytest.raises(RefusedRequest) as refused:
            await developing[RequestReader].read(query(docs, redirect_uri=HERE, scope=scope))
        assert refused.value.error == "invalid_scope"


@pytest.mark.asvs("10.7.1")
@pytest.mark.parametrize(
    ("address", "asked"),
    [("http://127.0.0.1/cb", True), ("org.example.app:/cb", True), ("https://app.example/callback", False)],
)
async def test_a_first_party_client_that_anybody_could_pretend_to_be_is_asked_about(
    developing: Service, address: str, *, asked: bool
) -> None:
    """Any program can listen on a port or claim a scheme (RFC 8252 section 8.6): its user sees a page, each time."""
    client = await register(developing, confidential=False, first_party=True, redirect_uris=[address])
    request = await developing[RequestReader].read(query(client, redirect_uri=address))
    person = await developing.person()
    browser = await developing.sign_in(person, headers={"Host": "127.0.0.1:8000"})
    principal = await principal_of(developing, browser)
    assert await developing[AuthorizationService].needs_consent(principal, request) is asked
