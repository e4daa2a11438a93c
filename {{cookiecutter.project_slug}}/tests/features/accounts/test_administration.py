"""The administration of accounts."""

import asyncio
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import select

from app.access.roles import Role
from app.core.database.database import Database
from app.features.accounts.models import User
from app.features.accounts.permissions import UserPermission
from tests.support.access import permissions_of
from tests.support.service import Person, Service, Tokens

pytestmark = pytest.mark.anyio


async def assign(service: Service, admin: Tokens, person: Person, *roles: str) -> httpx2.Response:
    """Set the roles of somebody."""
    path = f"/api/v1/users/{person.id}/roles"
    return await service.client.put(path, json={"roles": list(roles)}, headers=admin.bearer)


async def patch(service: Service, admin: Tokens, person: Person, **change: object) -> httpx2.Response:
    """Change somebody's account."""
    return await service.client.patch(f"/api/v1/users/{person.id}", json=change, headers=admin.bearer)


async def test_lists_all_accounts_in_parts_that_inserts_do_not_shift(service: Service) -> None:
    """Newest first; who comes meanwhile moves nobody into or out of the next part."""
    people = [await service.person() for _ in range(3)]
    _, admin = await service.signed_in(Role.ADMIN)
    first = (await service.client.get("/api/v1/users?limit=2", headers=admin.bearer)).json()
    await service.person()
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = (await service.client.get("/api/v1/users", params=query, headers=admin.bearer)).json()
    listed = [item["id"] for item in first["items"] + second["items"]]
    assert listed[1:] == [str(person.id) for person in reversed(people)]
    assert second["next_cursor"] is None
    for limit in ("0", "201", "-1", "x", "9" * 30):
        answer = await service.client.get("/api/v1/users", params={"limit": limit}, headers=admin.bearer)
        assert answer.status_code == 422


@pytest.mark.asvs("6.3.2")
async def test_there_is_nobody_at_first(service: Service) -> None:
    """No account is made by a migration or by the start."""
    async with service[Database].read() as db:
        assert (await db.scalars(select(User))).all() == []


@pytest.mark.asvs("7.4.5")
async def test_renames_disables_and_enables(service: Service) -> None:
    """Disabling ends the sessions at once; enabling lets the user sign in again."""
    person, tokens = await service.signed_in()
    _, admin = await service.signed_in(Role.ADMIN)
    answer = await patch(service, admin, person, disabled=True, display_name="Somebody")
    assert (answer.json()["disabled"], answer.json()["display_name"]) == (True, "Somebody")
    assert (await service.whoami(tokens)).status_code == 401
    assert (await service.refresh(tokens.refresh)).status_code == 400
    assert (await service.try_sign_in(person.email, person.password)).status_code == 401
    assert (await patch(service, admin, person, disabled=False)).json()["disabled"] is False
    await service.sign_in(person)
    assert (await patch(service, admin, person, disabled=None)).status_code == 422


@pytest.mark.asvs("7.4.2")
async def test_deletes_an_account_with_its_sessions(service: Service) -> None:
    """The token is dead, the account is gone, and the address is free."""
    person, tokens = await service.signed_in()
    _, admin = await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{person.id}"
    assert (await service.client.delete(path, headers=admin.bearer)).status_code == 204
    assert (await service.whoami(tokens)).status_code == 401
    assert (await service.client.get(path, headers=admin.bearer)).status_code == 404
    await service.person(email=person.email)


async def test_a_change_of_roles_counts_at_once(service: Service) -> None:
    """The sessions end; the next sign-in has the new rights."""
    person, tokens = await service.signed_in()
    _, admin = await service.signed_in(Role.ADMIN)
    answer = await assign(service, admin, person, "auditor", "member")
    assert answer.json()["roles"] == ["auditor", "member"]
    assert (await service.whoami(tokens)).status_code == 401
    again = await service.sign_in(person)
    assert (await service.client.get("/api/v1/users", headers=again.bearer)).status_code == 200
    assert (await assign(service, admin, person, "member", "auditor")).status_code == 200
    assert (await service.whoami(again)).status_code == 200  # nothing changed, nothing ends


@pytest.mark.parametrize("roles", [[], ["king"], ["member", "member"], [1], "admin", None])
async def test_refuses_roles_that_are_none(service: Service, roles: object) -> None:
    """At least one, each once, of those that exist."""
    person = await service.person()
    _, admin = await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{person.id}/roles"
    assert (await service.client.put(path, json={"roles": roles}, headers=admin.bearer)).status_code == 422


async def test_the_last_administrator_stays(service: Service) -> None:
    """They can neither be disabled, nor deleted, nor lose the role; with a second one they can."""
    person, admin = await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{person.id}"
    assert (await patch(service, admin, person, disabled=True)).status_code == 409
    assert (await assign(service, admin, person, "member")).status_code == 409
    assert (await service.client.delete(path, headers=admin.bearer)).status_code == 409
    assert (await service.whoami(admin)).status_code == 200
    second = await service.person(Role.ADMIN)
    assert (await patch(service, admin, second, disabled=True)).status_code == 200
    assert (await service.client.delete(path, headers=admin.bearer)).status_code == 409
    assert (await patch(service, admin, second, disabled=False)).status_code == 200
    assert (await service.client.delete(path, headers=admin.bearer)).status_code == 204


async def test_two_administrators_cannot_remove_each_other_at_once(service: Service) -> None:
    """Whoever comes second is refused: one is left."""
    (first, one), (second, two) = await service.signed_in(Role.ADMIN), await service.signed_in(Role.ADMIN)
    answers = await asyncio.gather(assign(service, one, second, "member"), assign(service, two, first, "member"))
    succeeded, refused = sorted(answer.status_code for answer in answers)
    assert succeeded == 200
    assert refused in {401, 403, 409}


@pytest.mark.asvs("8.2.2", "8.2.3", "8.1.2")
async def test_an_auditor_reads_and_changes_nothing(service: Service) -> None:
    """403 with the permission that is missing, and the account as it was."""
    person = await service.person()
    _, auditor = await service.signed_in(Role.AUDITOR)
    path = f"/api/v1/users/{person.id}"
    before = (await service.client.get(path, headers=auditor.bearer)).json()
    assert (await patch(service, auditor, person, disabled=True)).status_code == 403
    assert (await assign(service, auditor, person, "admin")).status_code == 403
    assert (await service.client.delete(path, headers=auditor.bearer)).status_code == 403
    assert (await service.client.get(path, headers=auditor.bearer)).json() == before


async def test_a_narrowed_token_has_no_authority_over_more(service: Service) -> None:
    """With the scope to assign roles alone, nobody is made an administrator."""
    person = await service.person()
    _, admin = await service.signed_in(Role.ADMIN)
    scope = " ".join({UserPermission.ROLES_ASSIGN, *permissions_of([Role.MEMBER])})
    narrowed = (await service.refresh(admin.refresh, scope=scope)).json()
    tokens = Tokens(narrowed["access_token"], narrowed["refresh_token"])
    assert (await assign(service, tokens, person, "admin")).status_code == 403
    assert (await assign(service, tokens, person, "member")).status_code == 200


async def test_what_is_not_there_is_404(service: Service) -> None:
    """For every method, the same."""
    nobody = Person(uuid4(), "", "")
    _, admin = await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{nobody.id}"
    answers = [
        await service.client.get(path, headers=admin.bearer),
        await patch(service, admin, nobody, disabled=True),
        await assign(service, admin, nobody, "member"),
        await service.client.delete(path, headers=admin.bearer),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert (await service.client.get("/api/v1/users/no-uuid", headers=admin.bearer)).status_code == 422
