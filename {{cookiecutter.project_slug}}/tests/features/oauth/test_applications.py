"""What an application that acts for a user may not do, whatever its scope: decide about the user's other ways in."""

import pytest

from app.access.roles import Role
from tests.support.oauth import issue_to, register, register_machine
from tests.support.service import Service

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
