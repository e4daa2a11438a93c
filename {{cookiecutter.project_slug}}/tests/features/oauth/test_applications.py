"""What an application that acts for a user may not do, whatever its scope: decide about the user's other ways in."""

import pytest

from app.access.roles import Role
from app.features.oauth.clients.service import ClientService
from tests.support.access import PERMISSIONS
from tests.support.api.oauth import Registered, introspect, issue_to, register, register_machine
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("7.5.2", "8.2.1")
async def test_an_application_ends_no_session_of_its_user(service: Service) -> None:
    """403 with `account:write` and a fresh sign-in, and every session is alive afterwards."""
    person = await service.person()
    own = await service.sign_in(person)
    other = await service.sign_in(person)
    app = await register(service)
    tokens = await issue_to(service, app, person)
    listed = (await service.client.get("/api/v1/sessions", headers=tokens.bearer)).json()["items"]
    for target in ("/api/v1/sessions", *(f"/api/v1/sessions/{item['id']}" for item in listed)):
        assert (await service.client.delete(target, headers=tokens.bearer)).status_code == 403
    assert [(await service.whoami(each)).status_code for each in (own, other, tokens)] == [200, 200, 200]
    assert (await service.client.delete("/api/v1/sessions", headers=own.bearer)).status_code == 204
    assert [(await service.whoami(each)).status_code for each in (own, other, tokens)] == [200, 401, 401]


@pytest.mark.asvs("7.5.2", "8.2.1")
async def test_an_application_neither_deletes_nor_demotes_its_user(service: Service) -> None:
    """403 with every permission: it administers others alone, for its user would be asked for the password."""
    await service.person(Role.ADMIN)
    person, own = await service.signed_in(Role.ADMIN)
    tokens = await issue_to(service, await register(service, scope=EVERYTHING), person, EVERYTHING)
    path, other = f"/api/v1/users/{person.id}", f"/api/v1/users/{(await service.person()).id}"
    for method, suffix, body in (
        ("PATCH", "", {"disabled": True}),
        ("PUT", "/roles", {"roles": ["member"]}),
        ("DELETE", "", None),
    ):
        answer = await service.client.request(method, path + suffix, json=body, headers=tokens.bearer)
        assert answer.status_code == 403, (method, path)
        theirs = await service.client.request(method, other + suffix, json=body, headers=tokens.bearer)
        assert theirs.is_success, (method, other)
    assert (await service.whoami(own)).json()["roles"] == ["admin"]
    assert (await service.client.delete(path, headers=own.bearer)).status_code == 204


@pytest.mark.asvs("8.2.1", "10.4.9", "10.4.10")
async def test_an_application_asks_about_and_revokes_its_own_tokens_alone(service: Service) -> None:
    """With the token of its user: those of another client and of their own sign-in are as if they did not hold."""
    person = await service.person()
    own, app = await service.sign_in(person), await register(service)
    tokens, same = await issue_to(service, app, person), await issue_to(service, app, person)
    other = await issue_to(service, await register(service), person)
    for each in (own.access, own.refresh, other.access, other.refresh):
        assert await introspect(service, each, tokens.bearer) == {"active": False}
        assert await revoke(service, each, tokens) == 200
    assert [(await service.whoami(each)).status_code for each in (own, other)] == [200, 200]
    for each in (same.refresh, same.access):
        assert (await introspect(service, each, tokens.bearer))["active"] is True
    assert await revoke(service, same.refresh, tokens) == 200
    assert [(await service.whoami(each)).status_code for each in (same, tokens)] == [401, 200]


async def revoke(service: Service, token: str, tokens: Tokens) -> int:
    """Ask for a revocation as somebody with a bearer token."""
    return (await service.client.post("/oauth/revoke", data={"token": token}, headers=tokens.bearer)).status_code


@pytest.mark.asvs("7.5.3")
async def test_a_client_secret_is_no_recent_sign_in(service: Service) -> None:
    """With every permission of an administrator, a program registers no client, disables nobody and gives no role."""
    machine = await register_machine(service, Role.ADMIN, scope="clients:write roles:assign users:write")
    tokens = await service.client.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=machine.basic)
    bearer = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    person = await service.person()
    for method, path, body in (
        ("POST", "/api/v1/clients", {"name": "Mine", "scope": "users:write", "redirect_uris": ["https://a.example/"]}),
        ("DELETE", f"/api/v1/clients/{machine.client.id}", None),
        ("PATCH", f"/api/v1/users/{person.id}", {"disabled": True}),
        ("DELETE", f"/api/v1/users/{person.id}", None),
        ("PUT", f"/api/v1/users/{person.id}/roles", {"roles": ["admin"]}),
        ("POST", "/api/v1/invitations", {"email": "new@example.com", "roles": ["member"]}),
    ):
        answer = await service.client.request(method, path, json=body, headers=bearer)
        assert answer.status_code == 403, (method, path)
    assert (await service.whoami(await service.sign_in(person))).status_code == 200


CLIENTS = "/api/v1/clients"
EVERYTHING = " ".join(PERMISSIONS)
NEW = {"name": "Mine", "redirect_uris": ["https://mine.example/cb"], "confidential": False}


async def third_party(service: Service, scope: str = "clients:write") -> Tokens:
    """The token of an application that an administrator has just allowed to do one thing."""
    person, _ = await service.signed_in(Role.ADMIN)
    return await issue_to(service, await register(service, scope=scope), person, scope=scope)


@pytest.mark.asvs("8.2.1", "8.3.1", "10.4.11")
async def test_an_application_registers_no_client_that_may_do_more_than_it_may(service: Service) -> None:
    """403 for a wider scope, and for a first-party client, which would get it without a page; 201 for what it has."""
    tokens = await third_party(service, "clients:write account:read")
    for refused in (
        {"scope": EVERYTHING},
        {"scope": EVERYTHING, "first_party": True},
        {"scope": "clients:write users:write"},
        {"scope": "clients:write", "first_party": True},
        {"scope": "account:read", "first_party": True},
    ):
        answer = await service.client.post(CLIENTS, json=NEW | refused, headers=tokens.bearer)
        assert answer.status_code == 403, refused
    equal = await service.client.post(CLIENTS, json=NEW | {"scope": "account:read"}, headers=tokens.bearer)
    assert equal.status_code == 201
    _, admin = await service.signed_in(Role.ADMIN)
    own = await service.client.post(
        CLIENTS, json=NEW | {"scope": EVERYTHING, "first_party": True}, headers=admin.bearer
    )
    assert own.status_code == 201


@pytest.mark.asvs("7.5.3", "8.2.1")
async def test_an_application_changes_no_client(service: Service) -> None:
    """403 for another secret, which it would see, and for removing, whatever its scope; a person does both."""
    tokens = await third_party(service, EVERYTHING)
    clients = [
        await register_machine(service, Role.AUDITOR, scope="users:read"),
        await register(service, scope="clients:write"),
        await register(service, scope="users:read users:write"),
        await register(service, scope="clients:write", first_party=True),
    ]
    _, admin = await service.signed_in(Role.ADMIN)
    for client in clients:
        path = f"{CLIENTS}/{client.client.id}"
        assert (await service.client.post(f"{path}/secret", headers=tokens.bearer)).status_code == 403
        assert (await service.client.delete(path, headers=tokens.bearer)).status_code == 403
        assert await still_there(service, client)
        assert (await service.client.post(f"{path}/secret", headers=admin.bearer)).status_code == 200
        assert (await service.client.delete(path, headers=admin.bearer)).status_code == 204


async def still_there(service: Service, client: Registered) -> bool:
    """Whether the client is as it was, with its secret."""
    found: object = await service[ClientService].get(client.client_id)
    return found == client.client
