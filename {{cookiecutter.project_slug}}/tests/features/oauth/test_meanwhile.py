"""What changes between a client's authentication and its token: the token is not given."""

import pytest

from app.core.errors import Unprocessable
from app.features.oauth.clients.registered import InvalidClient
from app.features.oauth.clients.schemas import ClientCreate
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import GrantTable
from app.features.oauth.schemas import TokenForm
from app.features.sessions.devices import Client
from app.features.signin.service import RefusedGrant
from tests.support.api.oauth import machine_token, register_machine
from tests.support.records.trail import actions
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ORIGIN = Client("127.0.0.1", "test")


@pytest.mark.asvs("15.4.2")
@pytest.mark.parametrize("change", ["rotate_secret", "remove"])
async def test_a_client_that_was_changed_gets_no_token(service: Service, change: str) -> None:
    """Whoever showed the old secret a moment ago comes too late, and no session is left behind."""
    machine = await register_machine(service)
    await machine_token(service, machine)
    stale = machine.client
    grant = service[GrantTable]["client_credentials"]
    await getattr(service[ClientService], change)(None, stale.id)
    # With a client that is removed its account goes too.
    with pytest.raises(InvalidClient if change == "rotate_secret" else RefusedGrant):
        await grant(TokenForm(grant_type="client_credentials"), stale, ORIGIN)
    assert (await actions(service)).count("token_issued") == 1


async def test_a_client_is_not_registered_for_a_grant_that_is_not_there(service: Service) -> None:
    """Where the code flow was left out, no client waits for it."""
    service[GrantTable].pop("authorization_code", None)
    clients = service[ClientService]
    new = ClientCreate(name="Web", scope="account:read", redirect_uris=["https://app.example/cb"])
    with pytest.raises(Unprocessable, match=r"has the grants client_credentials, refresh_token\."):
        await clients.add(None, new)
    assert "client_created" not in await actions(service)
