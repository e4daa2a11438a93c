"""`/.well-known/oauth-authorization-server`: what is said is what there is (RFC 8414)."""

from typing import Any

import pytest

from tests.conftest import PUBLIC_URL, StartService
from tests.support.access import PERMISSIONS
from tests.support.api.oauth import ask_token, register_machine
from tests.support.service import Service

pytestmark = pytest.mark.anyio

URL = "/.well-known/oauth-authorization-server"


async def metadata(service: Service) -> dict[str, Any]:
    """What the server says."""
    answer = await service.client.get(URL)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


async def test_names_issuer_endpoints_and_methods(service: Service) -> None:
    """The issuer is the public URL, whatever `Host` says, and every endpoint is there."""
    found = await metadata(service)
    assert found["issuer"] == PUBLIC_URL
    assert found["scopes_supported"] == sorted(PERMISSIONS)
    methods = {"client_secret_basic", "client_secret_post"}
    for endpoint, further in (("token", {"none"}), ("revocation", {"none"}), ("introspection", {"Bearer"})):
        path = found[f"{endpoint}_endpoint"].removeprefix(PUBLIC_URL)
        assert (await service.client.post(path, data={"x": "y"})).status_code in {400, 401}
        assert set(found[f"{endpoint}_endpoint_auth_methods_supported"]) == methods | further
    answer = await service.client.get(URL, headers={"Host": "evil.example"})
    assert answer.status_code == 400


async def test_the_grants_are_those_that_the_token_endpoint_knows(start: StartService) -> None:
    """Each that is named is not `unsupported_grant_type`, and each that is not named is."""
    known = {"authorization_code", "client_credentials", "refresh_token", "password", "implicit", "urn:x"}
    for setting in (False, True):
        async with start(oauth_password_grant=setting) as service:
            named = set((await metadata(service))["grant_types_supported"])
            assert ("password" in named) is setting
            machine = await register_machine(service)
            errors = {
                grant: (await ask_token(service, machine.basic, grant_type=grant)).json().get("error")
                for grant in known
            }
            assert {grant for grant, error in errors.items() if error != "unsupported_grant_type"} == named


@pytest.mark.asvs("10.4.4")
async def test_the_code_flow_is_described_where_it_is_there(service: Service) -> None:
    """PKCE with S256, the issuer in the answer, the response type `code`; or nothing of it."""
    found = await metadata(service)
    expected = {
        "authorization_endpoint": f"{PUBLIC_URL}/oauth/authorize",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    if "authorization_code" not in found["grant_types_supported"]:
        expected = {"response_types_supported": []}
    about = ("authorization_", "response_", "code_challenge_")
    assert {name: value for name, value in found.items() if name.startswith(about)} == expected
