"""The administration of clients over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import time_machine

from app.access.roles import Role
from app.core.clock import utc_now
from app.features.accounts.permissions import UserPermission
from app.features.oauth.permissions import ClientPermission
from app.features.sessions.permissions import AccountPermission
from tests.support.api.oauth import (
    CALLBACK,
    Registered,
    ask_token,
    basic,
    error_of,
    introspect,
    issue_to,
    machine_token,
    register,
    register_machine,
)
from tests.support.records.trail import stored
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

URL = "/api/v1/clients"
WEB: dict[str, Any] = {"name": "Web", "scope": "account:read", "redirect_uris": [CALLBACK]}
MACHINE: dict[str, Any] = {
    "name": "Job",
    "scope": "account:read",
    "grants": ["client_credentials"],
    "roles": ["member"],
}
FIELDS = {
    "id",
    "client_id",
    "name",
    "confidential",
    "first_party",
    "grants",
    "redirect_uris",
    "scope",
    "user_id",
    "created_at",
    "secret_issued_at",
}


async def add(service: Service, tokens: Tokens, body: dict[str, Any]) -> httpx2.Response:
    """Ask for a registration."""
    return await service.client.post(URL, json=body, headers=tokens.bearer)


async def test_a_client_is_registered_and_its_secret_shown_once(service: Service) -> None:
    """The answer has the secret, which works; the list has everything else."""
    admin_person, admin = await service.signed_in(Role.ADMIN)
    answer = await add(service, admin, MACHINE)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == FIELDS | {"client_secret"}
    token = await ask_token(service, basic(body["client_id"], body["client_secret"]), grant_type="client_credentials")
    assert token.status_code == 200
    listed = await service.client.get(URL, headers=admin.bearer)
    assert set(listed.json()["items"][0]) == FIELDS
    assert body["client_secret"] not in listed.text
    row = next(row for row in await stored(service) if row["action"] == "client_created")
    assert (row["actor_id"], row["target_type"], row["target_id"]) == (admin_person.id, "client", body["id"])
    assert body["client_secret"] not in str(await stored(service))


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "two\nlines"},
        {"name": "x" * 101},
        {"scope": ""},
        {"scope": "account:read  account:write"},
        {"scope": "everything"},
        {"scope": "openid account:read"},
        {"grants": []},
        {"grants": ["password"]},
        {"grants": ["implicit"]},
        {"grants": ["refresh_token"], "redirect_uris": []},
        {"grants": ["authorization_code"] * 4},
        {"redirect_uris": []},
        {"redirect_uris": ["https://app.example/*"]},
        {"redirect_uris": ["http://app.example/"]},
        {"redirect_uris": [f"{CALLBACK}{n}" for n in range(11)]},
        {"roles": ["member"]},
        {"roles": ["root"]},
        {"grants": ["client_credentials"], "redirect_uris": []},
        {"grants": ["client_credentials"], "redirect_uris": [CALLBACK], "roles": ["member"]},
        {"grants": ["client_credentials"], "redirect_uris": [], "roles": ["member"], "confidential": False},
        {"client_id": "mine"},
        {"client_secret": "mine"},
        {"user_id": str(UUID(int=1))},
        {"confidential": "yes"},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused(service: Service, change: dict[str, Any]) -> None:
    """422, nothing is echoed, and nothing is registered."""
    _, admin = await service.signed_in(Role.ADMIN)
    answer = await add(service, admin, WEB | change)
    assert answer.status_code == 422
    assert "app.example" not in answer.text
    assert (await service.client.get(URL, headers=admin.bearer)).json()["items"] == []


@pytest.mark.asvs("8.2.1", "8.3.1")
async def test_nobody_gives_a_client_more_than_they_have(service: Service) -> None:
    """A token without the permission, or without all that the roles allow, neither adds, rotates nor removes."""
    _, admin = await service.signed_in(Role.ADMIN)
    machine = await register_machine(service, Role.ADMIN, scope="account:read")
    person = await service.person(Role.ADMIN)
    narrow = f"{ClientPermission.CLIENTS_WRITE} {AccountPermission.ACCOUNT_READ}"
    for scope in (narrow, f"{narrow} {UserPermission.ROLES_ASSIGN}"):
        tokens = await service.sign_in(person)
        refreshed = (await service.refresh(tokens.refresh, scope=scope)).json()["access_token"]
        bearer = Tokens(refreshed, "").bearer
        path = f"{URL}/{machine.client.id}"
        for method, target, body in (
            ("POST", URL, MACHINE | {"roles": ["admin"]}),
            ("POST", f"{path}/secret", None),
            ("DELETE", path, None),
        ):
            answer = await service.client.request(method, target, json=body, headers=bearer)
            assert answer.status_code == 403, (method, target)
    assert (await ask_token(service, machine.basic, grant_type="client_credentials")).status_code == 200
    assert (await add(service, admin, MACHINE | {"roles": ["admin"]})).status_code == 201


async def rotate(service: Service, client: Registered) -> str:
    """Give a client another secret, as an administrator."""
    _, admin = await service.signed_in(Role.ADMIN)
    answer = await service.client.post(f"{URL}/{client.client.id}/secret", headers=admin.bearer)
    assert answer.status_code == 200, answer.text
    secret: str = answer.json()["client_secret"]
    return secret


@pytest.mark.asvs("13.3.4", "7.4.3")
async def test_another_secret_ends_what_the_old_one_got(service: Service) -> None:
    """The old secret is dead, and so is the token that the client got for itself; the sessions of users go on."""
    machine = await register_machine(service)
    tokens = await machine_token(service, machine)
    secret = await rotate(service, machine)
    assert secret != machine.secret
    assert (await service.whoami(tokens)).status_code == 401
    grant = {"grant_type": "client_credentials"}
    assert error_of(await ask_token(service, machine.basic, **grant)) == (401, "invalid_client")
    assert (await ask_token(service, basic(machine.client_id, secret), **grant)).status_code == 200
    app = await register(service)
    theirs = await issue_to(service, app, await service.person())
    secret = await rotate(service, app)
    assert (await service.whoami(theirs)).status_code == 200
    form = {"grant_type": "refresh_token", "refresh_token": theirs.refresh}
    assert error_of(await ask_token(service, app.basic, **form)) == (401, "invalid_client")
    assert (await ask_token(service, basic(app.client_id, secret), **form)).status_code == 200


@pytest.mark.asvs("7.4.3")
async def test_removing_a_client_ends_everything_that_it_has(service: Service) -> None:
    """Every session of every user, its own account, and no session that is not its own."""
    app, machine, other = await register(service), await register_machine(service), await register(service)
    person = await service.person()
    theirs, itself = await issue_to(service, app, person), await machine_token(service, machine)
    kept, own = await issue_to(service, other, person), await service.sign_in(person)
    _, admin = await service.signed_in(Role.ADMIN)
    for client in (app, machine):
        target = f"{URL}/{client.client.id}"
        assert (await service.client.delete(target, headers=admin.bearer)).status_code == 204
        assert (await service.client.delete(target, headers=admin.bearer)).status_code == 404
        answer = await service.client.post("/oauth/introspect", data={"token": own.access}, headers=client.basic)
        assert error_of(answer) == (401, "invalid_client")
    statuses = [(await service.whoami(tokens)).status_code for tokens in (theirs, itself, kept, own)]
    assert statuses == [401, 401, 200, 200]
    users = (await service.client.get("/api/v1/users?q=clients.invalid", headers=admin.bearer)).json()
    assert users["items"] == []
    told = [row["action"] for row in await stored(service)]
    assert (told.count("client_removed"), told.count("session_ended")) == (2, 2)
    assert (await introspect(service, theirs.access, other.basic)) == {"active": False}


async def test_a_client_that_is_not_there(service: Service) -> None:
    """404, for a removal and for a rotation."""
    _, admin = await service.signed_in(Role.ADMIN)
    target = f"{URL}/{uuid4()}"
    assert (await service.client.delete(target, headers=admin.bearer)).status_code == 404
    assert (await service.client.post(f"{target}/secret", headers=admin.bearer)).status_code == 404


@pytest.mark.asvs("7.5.3")
async def test_a_new_secret_needs_a_recent_sign_in(service: Service) -> None:
    """A token that somebody stole an hour ago makes itself no way in that lasts."""
    _, admin = await service.signed_in(Role.ADMIN)
    machine = await register_machine(service)
    with time_machine.travel(utc_now() + timedelta(minutes=16), tick=False):
        renewed = Tokens((await service.refresh(admin.refresh)).json()["access_token"], "")
        for answer in (
            await add(service, renewed, MACHINE),
            await service.client.post(f"{URL}/{machine.client.id}/secret", headers=renewed.bearer),
        ):
            assert answer.status_code == 401
            assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
        assert (await service.client.get(URL, headers=renewed.bearer)).status_code == 200


async def test_a_list_comes_in_parts(service: Service) -> None:
    """Newest first, each once."""
    _, admin = await service.signed_in(Role.ADMIN)
    names = [(await register(service, name=f"App {n}")).client.name for n in range(5)]
    seen: list[str] = []
    query: dict[str, str] | None = {"limit": "2"}
    while query is not None:
        body = (await service.client.get(URL, params=query, headers=admin.bearer)).json()
        seen += [item["name"] for item in body["items"]]
        query = {"limit": "2", "cursor": body["next_cursor"]} if body["next_cursor"] else None
    assert seen == names[::-1]
