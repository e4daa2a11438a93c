"""What administrators do with keys: they see all, end any, and make those of service accounts."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from alembic import command
from sqlalchemy import select, update

from app.access.roles import Role
from app.core.database.database import Database
from app.core.database.migrations import alembic_config
from app.features.api_keys.models import ApiKey
from tests.conftest import StartService
from tests.features.api_keys.steps import PATH, SCOPES, bearer, created, opens, report, rotate
from tests.features.factors.steps import enrol, sign_in_with_app
from tests.support.api.oauth import Registered, issue_to, register, register_machine
from tests.support.database.databases import dsn_of
from tests.support.records.mail import Mailbox, bodies, read_mail
from tests.support.records.trail import execute, stored
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

ALL = f"{PATH}/all"
READS_USERS = ["users:read"]


def of(user_id: object, key_id: object = "", action: str = "") -> str:
    """The path of the keys of an account, or of one of them."""
    return "/".join(str(part) for part in (f"/api/v1/users/{user_id}/api-keys", key_id, action) if part)


async def made(service: Service, admin: Tokens, machine: Registered, **fields: Any) -> httpx2.Response:
    """The answer to an administrator who asks for a key of a service account."""
    body = {"name": "nightly", "scopes": READS_USERS} | fields
    return await service.client.post(of(machine.client.user_id), json=body, headers=admin.bearer)


async def sees_users(service: Service, key: str) -> int:
    """The status of a request that lists accounts with a key."""
    return (await service.client.get("/api/v1/users", headers=bearer(key))).status_code


@pytest.mark.asvs("8.2.1", "14.2.6")
async def test_administrators_see_the_keys_of_all_without_the_keys(service: Service) -> None:
    """Newest first, in parts, or those of one account; nobody else sees any but their own."""
    (one, tokens), (other, theirs) = await service.signed_in(), await service.signed_in()
    _, admin = await service.signed_in(Role.ADMIN)
    keys = [await created(service, who) for who in (tokens, theirs, tokens)]
    first = (await service.client.get(ALL, params={"limit": 2}, headers=admin.bearer)).json()
    following = {"limit": 2, "cursor": first["next_cursor"]}
    rest = (await service.client.get(ALL, params=following, headers=admin.bearer)).json()
    shown = first["items"] + rest["items"]
    assert [(row["id"], row["user_id"]) for row in shown] == [(key["id"], key["user_id"]) for key in reversed(keys)]
    assert [row["user_id"] for row in shown] == [str(one.id), str(other.id), str(one.id)]
    assert all("key" not in row for row in shown)
    assert [key["key"] for key in keys if key["key"][35:60] in str(shown)] == []
    of_one = (await service.client.get(of(other.id), headers=admin.bearer)).json()["items"]
    assert [row["id"] for row in of_one] == [keys[1]["id"]]
    for who in (tokens, (await service.signed_in(Role.AUDITOR))[1]):
        for path in (ALL, of(one.id)):
            assert (await service.client.get(path, headers=who.bearer)).status_code == 403


@pytest.mark.asvs("7.4.5", "16.3.1")
async def test_an_administrator_ends_a_key_of_somebody_who_is_told(service: Service, mailbox: Mailbox) -> None:
    """It is refused from then on; the trail says who did it, and whose it was; a second time there is none."""
    person, tokens = await service.signed_in()
    boss, admin = await service.signed_in(Role.ADMIN)
    ended, kept = [await created(service, tokens) for _ in range(2)]
    path = of(person.id, ended["id"])
    assert (await service.client.delete(path, headers=admin.bearer)).status_code == 204
    assert [await opens(service, key["key"]) for key in (ended, kept)] == [401, 200]
    assert (await service.client.delete(path, headers=admin.bearer)).status_code == 404
    assert (await service.client.delete(of(boss.id, kept["id"]), headers=admin.bearer)).status_code == 404
    (*_, told) = await mailbox.wait(person.email, 3)
    assert all("An administrator has ended" in body for body in bodies(told))
    (row,) = [row for row in await stored(service) if row["action"] == "api_key_revoked"]
    assert (str(row["actor_id"]), row["target_id"]) == (str(boss.id), ended["id"])
    assert str(person.id) in str(row["details"])


@pytest.mark.asvs("8.2.1", "7.5.1", "8.3.1")
async def test_nobody_else_manages_keys_of_others(service: Service) -> None:
    """Neither members, auditors, applications, nor a key that may all that its administrator may."""
    person, tokens = await service.signed_in()
    boss, admin = await service.signed_in(Role.ADMIN)
    machine = await register_machine(service, Role.AUDITOR, scope="users:read")
    key = await created(service, tokens)
    permissions = (await service.whoami(admin)).json()["permissions"]
    assert {"keys:read", "keys:write"} <= set(permissions)
    strong = bearer((await created(service, admin, scopes=permissions))["key"])
    client = await register(service, scope=" ".join(permissions))
    application = (await issue_to(service, client, boss, " ".join(permissions))).bearer
    new = {"name": "mine", "scopes": READS_USERS}
    _, auditor = await service.signed_in(Role.AUDITOR)
    for headers in (tokens.bearer, auditor.bearer, strong, application):
        post, delete = service.client.post, service.client.delete
        assert (await post(of(machine.client.user_id), json=new, headers=headers)).status_code == 403
        assert (await post(of(person.id, key["id"], "rotate"), json={}, headers=headers)).status_code == 403
        assert (await delete(of(person.id, key["id"]), headers=headers)).status_code == 403
    assert await opens(service, key["key"]) == 200
    assert (await service.client.get(ALL, headers=strong)).status_code == 200


@pytest.mark.asvs("8.2.2", "8.3.2")
async def test_no_administrator_makes_a_key_of_a_person(service: Service) -> None:
    """Neither a new one nor a successor, not even of their own account here; nor one of nobody."""
    person, tokens = await service.signed_in()
    boss, admin = await service.signed_in(Role.ADMIN)
    key = await created(service, tokens)
    new = {"name": "yours", "scopes": SCOPES}
    for owner, status in ((person.id, 403), (boss.id, 403), (uuid4(), 404)):
        assert (await service.client.post(of(owner), json=new, headers=admin.bearer)).status_code == status
    answer = await service.client.post(of(person.id, key["id"], "rotate"), json={}, headers=admin.bearer)
    assert answer.status_code == 403
    assert len((await service.client.get(ALL, headers=admin.bearer)).json()["items"]) == 1


@pytest.mark.asvs("8.2.1", "6.3.4", "7.4.2")
async def test_a_service_account_has_keys_for_as_long_as_it_may(service: Service, mailbox: Mailbox) -> None:
    """Within its roles at each use, while it is enabled, and until its client is removed; its maker gets the mail."""
    boss, admin = await service.signed_in(Role.ADMIN)
    machine = await register_machine(service, Role.AUDITOR, scope="users:read")
    assert (await made(service, admin, machine, scopes=["users:write"])).status_code == 403
    key = (await made(service, admin, machine)).json()
    assert (key["user_id"], await sees_users(service, key["key"])) == (str(machine.client.user_id), 200)
    (mail,) = await mailbox.wait(boss.email)
    assert all("may act for a service account" in body and "/api-keys" in body for body in bodies(mail))
    account = f"/api/v1/users/{machine.client.user_id}"
    for change, status in (({"disabled": True}, 401), ({"disabled": False}, 200)):
        await service.client.patch(account, json=change, headers=admin.bearer)
        assert await sees_users(service, key["key"]) == status
    for roles, status in ((["member"], 403), (["auditor"], 200)):
        await service.client.put(f"{account}/roles", json={"roles": roles}, headers=admin.bearer)
        assert await sees_users(service, key["key"]) == status
    rotation = await service.client.post(of(key["user_id"], key["id"], "rotate"), json={}, headers=admin.bearer)
    new = rotation.json()["key"]
    assert [await sees_users(service, each) for each in (key["key"], new)] == [200, 200]
    await service.client.delete(f"/api/v1/clients/{machine.client.id}", headers=admin.bearer)
    assert [await sees_users(service, each) for each in (key["key"], new)] == [401, 401]


@pytest.mark.asvs("6.3.3")
async def test_a_key_of_a_service_account_has_no_second_factor_to_use(start: StartService) -> None:
    """A role that demands one of people opens as much for a program as its client secret does."""
    async with start(require_second_factor_for="admin,auditor") as service:
        boss, tokens = await service.signed_in(Role.ADMIN)
        admin = await sign_in_with_app(service, await enrol(service, boss, tokens))
        machine = await register_machine(service, Role.AUDITOR, scope="users:read")
        key = (await made(service, admin, machine)).json()["key"]
        assert await sees_users(service, key) == 200


async def test_a_leak_of_a_key_of_a_service_account_is_told_to_its_maker(service: Service, mailbox: Mailbox) -> None:
    """The account has no mailbox; another administrator who ends a key has its maker told, too."""
    boss, admin = await service.signed_in(Role.ADMIN)
    _, other = await service.signed_in(Role.ADMIN)
    machine = await register_machine(service, Role.AUDITOR, scope="users:read")
    leaked, ended = [(await made(service, admin, machine)).json() for _ in range(2)]
    await report(service, leaked["key"])
    await service.client.delete(of(ended["user_id"], ended["id"]), headers=other.bearer)
    assert [await sees_users(service, key["key"]) for key in (leaked, ended)] == [401, 401]
    texts = [bodies(mail)[0] for mail in await mailbox.wait(boss.email, 4)]
    assert [sum(said in text for text in texts) for said in ("told us", "An administrator has ended")] == [1, 1]


@pytest.mark.asvs("14.2.7")
async def test_a_key_outlives_whoever_made_it_and_then_names_nobody(service: Service, mailbox: Mailbox) -> None:
    """It is in the copy of their data, works on when they are deleted, and nobody is told of its end; an owner is."""
    boss, admin = await service.signed_in(Role.ADMIN)
    _, other = await service.signed_in(Role.ADMIN)
    machine = await register_machine(service, Role.AUDITOR, scope="users:read")
    leaked, ended = [(await made(service, admin, machine)).json() for _ in range(2)]
    exported = (await service.client.get("/api/v1/users/me/export", headers=admin.bearer)).json()
    assert {row["id"] for row in exported["api_keys_made"]} == {leaked["id"], ended["id"]}
    assert exported["api_keys"] == []
    assert (await service.client.delete(f"/api/v1/users/{boss.id}", headers=other.bearer)).status_code == 204
    async with service[Database].read() as db:
        assert (await db.scalars(select(ApiKey.made_by))).all() == [None, None]
    assert [await sees_users(service, key["key"]) for key in (leaked, ended)] == [200, 200]
    await report(service, leaked["key"])
    await service.client.delete(of(ended["user_id"], ended["id"]), headers=other.bearer)
    assert [await sees_users(service, key["key"]) for key in (leaked, ended)] == [401, 401]
    person, tokens = await service.signed_in()
    own = await created(service, tokens)
    await execute(service, update(ApiKey).values(made_by=None))
    await report(service, own["key"])
    await mailbox.wait(person.email, 2)
    written = [read_mail(path.read_bytes()) for path in mailbox.folder.glob("*.eml")]
    assert [mail["To"] for mail in written if "ended" in mail["Subject"]] == [person.email]


async def test_the_migration_forgets_makers_who_are_gone_and_no_others(
    start: StartService, empty_database_url: str
) -> None:
    """A key that was made before it, by somebody who was deleted before it, names nobody after it."""
    config = alembic_config(dsn_of(empty_database_url))
    async with start(database_url=empty_database_url) as service:
        (_, tokens), (person, theirs) = await service.signed_in(), await service.signed_in()
        gone, kept = await created(service, tokens), await created(service, theirs)
    await asyncio.to_thread(command.downgrade, config, "0021")
    database = Database(dsn_of(empty_database_url))
    async with database.transaction() as db:
        await db.execute(update(ApiKey).where(ApiKey.id == UUID(gone["id"])).values(made_by=uuid4()))
    await database.close()
    async with start(database_url=empty_database_url) as service, service[Database].read() as db:
        makers = dict((await db.execute(select(ApiKey.id, ApiKey.made_by))).all())
    assert makers == {UUID(gone["id"]): None, UUID(kept["id"]): person.id}


@pytest.mark.asvs("2.3.2", "2.3.4")
async def test_a_service_account_has_no_more_keys_than_a_user(start: StartService) -> None:
    """However many administrators ask at once."""
    async with start(items_per_user=2) as service:
        admins = [(await service.signed_in(Role.ADMIN))[1] for _ in range(2)]
        machine = await register_machine(service, Role.AUDITOR, scope="users:read")
        answers = await asyncio.gather(*(made(service, admin, machine) for admin in admins * 3))
        assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 4


@pytest.mark.asvs("15.4.2", "2.3.4")
async def test_owner_and_administrators_end_a_key_once(service: Service) -> None:
    """All at the same time, while it is used and replaced: nothing locks up, one ends it, and it is refused after."""
    person, tokens = await service.signed_in()
    admins = [(await service.signed_in(Role.ADMIN))[1] for _ in range(3)]
    key = await created(service, tokens)
    ends = [service.client.delete(of(person.id, key["id"]), headers=admin.bearer) for admin in admins]
    ends.append(service.client.delete(f"{PATH}/{key['id']}", headers=tokens.bearer))
    uses = [opens(service, key["key"]) for _ in range(10)]
    answers = await asyncio.gather(*ends, rotate(service, tokens, key["id"]), *uses)
    ended = sorted(answer.status_code for answer in answers[:4] if isinstance(answer, httpx2.Response))
    assert ended == [204, 404, 404, 404]
    assert set(answers[5:]) <= {200, 401}
    assert await opens(service, key["key"]) == 401


async def test_who_made_a_key_of_a_service_account_does_not_see_its_use(service: Service) -> None:
    """When and from where it was used last is not about them, and not in the copy of their data."""
    _, admin = await service.signed_in(Role.ADMIN)
    key = (await made(service, admin, await register_machine(service, Role.AUDITOR, scope="users:read"))).json()
    assert await sees_users(service, key["key"]) == 200
    (kept,) = (await service.client.get("/api/v1/users/me/export", headers=admin.bearer)).json()["api_keys_made"]
    assert kept["id"] == key["id"]
    assert not {"last_used_at", "last_used_ip"} & set(kept)
