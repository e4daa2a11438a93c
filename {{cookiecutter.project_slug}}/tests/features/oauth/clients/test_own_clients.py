"""The service's own pages are clients without anybody registering them."""

import asyncio

import pytest

from app.access.roles import Role, RoleTable
from app.features.oauth.clients.service import ClientService
from tests.conftest import StartService
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ADDRESS = "https://service.example/own"


async def keep(service: Service, redirect_uri: str = ADDRESS) -> None:
    """Do what a process does when it starts."""
    scope = frozenset(service[RoleTable].permissions)
    await service[ClientService].keep_own("own", name="Our own", redirect_uri=redirect_uri, scope=scope)


async def test_is_there_once_and_public(service: Service) -> None:
    """It has no secret, one address, every scope and no other grant; a second start, or ten at once, change nothing."""
    await asyncio.gather(*(keep(service) for _ in range(10)))
    first = await service[ClientService].get("own")
    await keep(service)
    assert await service[ClientService].get("own") == first
    assert (first.confidential, first.first_party, first.user_id) == (False, True, None)
    assert (first.redirect_uris, first.grants) == ((ADDRESS,), frozenset({"authorization_code"}))
    assert first.scope == set(service[RoleTable].permissions)


async def test_another_address_takes_the_place(service: Service) -> None:
    """After a move of the service, what the old address could get is over."""
    await keep(service)
    first = await service[ClientService].get("own")
    await keep(service, "https://moved.example/own")
    second = await service[ClientService].get("own")
    assert second.redirect_uris == ("https://moved.example/own",)
    assert second.id != first.id


@pytest.mark.asvs("10.4.1")
async def test_the_description_of_the_api_is_one(start: StartService) -> None:
    """`/docs` can get codes at its own address, which is made of `PUBLIC_URL`, and at no other."""
    for url in ("https://service.example", "https://moved.example"):
        async with start(public_url=url, allowed_hosts=["service.example", "moved.example"]) as service:
            client = await service[ClientService].get("docs")
            assert client.redirect_uris == (f"{url}/docs/oauth2-redirect",)


@pytest.mark.asvs("8.2.1", "10.4.1")
async def test_nobody_changes_a_client_of_the_service(start: StartService) -> None:
    """404 for another secret and for removing, also for an administrator: no list has it, and `/docs` needs it."""
    async with start() as service:
        docs = await service[ClientService].get("docs")
        _, admin = await service.signed_in(Role.ADMIN)
        path = f"/api/v1/clients/{docs.id}"
        assert (await service.client.post(f"{path}/secret", headers=admin.bearer)).status_code == 404
        assert (await service.client.delete(path, headers=admin.bearer)).status_code == 404
        assert await service[ClientService].get("docs") == docs


async def test_replacing_it_is_no_event(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that has moved to another port has removed nobody's client."""
    await keep(service)
    await keep(service, "https://moved.example/own")
    assert "client_removed" not in capsys.readouterr().out
