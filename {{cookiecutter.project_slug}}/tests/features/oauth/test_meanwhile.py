"""What changes between a client's authentication and its token: the token is not given."""

from typing import Any

import pytest
from pydantic import SecretStr

from app.core.errors import Unprocessable
from app.features.oauth.clients.registered import InvalidClient
from app.features.oauth.clients.schemas import ClientCreate
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import GrantTable
from app.features.oauth.schemas import TokenForm
from app.features.sessions.devices import Client
from app.features.signin.service import RefusedGrant, SignInService
from tests.support.api.oauth import basic, issue_to, machine_token, register, register_machine
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


@pytest.mark.asvs("15.4.2")
async def test_the_old_secret_refreshes_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is rotated between the check of the old one and the exchange; the token is not used up, either."""
    client, person = await register(service), await service.person()
    tokens, renew = await issue_to(service, client, person), SignInService.renew

    async def after_rotation(self: SignInService, *arguments: Any) -> Any:
        monkeypatch.undo()
        rotated.append((await service[ClientService].rotate_secret(None, client.client.id))[1])
        return await renew(self, *arguments)

    rotated: list[SecretStr] = []
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
    monkeypatch.setattr(SignInService, "renew", after_rotation)
    answer = await service.client.post("/oauth/token", data=form, headers=client.basic)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    with_new = basic(client.client_id, rotated[0].get_secret_value())
    assert (await service.client.post("/oauth/token", data=form, headers=with_new)).status_code == 200
