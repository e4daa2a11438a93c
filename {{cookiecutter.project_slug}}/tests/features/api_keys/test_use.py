"""What a key opens, from where, and for how long."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import delete, func, select, update

from app.access.guard import guarded_routes
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.models import User, UserRole
from app.features.api_keys.models import ApiKey
from app.features.api_keys.service import ApiKeyService
from app.features.oauth.clients.registered import GrantType
from app.features.oauth.grants import GrantTable
from tests.conftest import StartService
from tests.features.accounts.test_equal_work import statements
from tests.features.api_keys.steps import START, bearer, created, listed, opens, report, rotate, wrongly
from tests.features.factors.steps import enrol, sign_in_with_app
from tests.support.api.meanwhile import while_it_waits
from tests.support.api.oauth import register
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


@pytest.mark.asvs("8.2.1", "8.3.1")
async def test_it_opens_what_scopes_and_roles_allow_at_each_use(service: Service) -> None:
    """A role that is taken away is gone for the key; one that comes back is there again; nothing else ever is."""
    person, tokens = await service.signed_in(Role.MEMBER, Role.AUDITOR)
    key = await created(service, tokens, scopes=["account:read", "users:read"])
    other = await created(service, tokens, scopes=["account:write"])
    _, admin = await service.signed_in(Role.ADMIN)
    users = partial(service.client.get, "/api/v1/users")
    for roles, status in ((["member"], 403), (["member", "auditor"], 200)):
        answer = await service.client.put(f"{ME[:-3]}/{person.id}/roles", json={"roles": roles}, headers=admin.bearer)
        assert answer.status_code == 200
        assert (await users(headers=bearer(key["key"]))).status_code == status
        assert (await users(headers=bearer(other["key"]))).status_code == 403
        assert await opens(service, key["key"]) == 200
        assert await opens(service, other["key"]) == 403
        assert (await service.client.get("/api/v1/audit", headers=bearer(key["key"]))).status_code == 403
    renamed = await service.client.patch(ME, json={"display_name": "B"}, headers=bearer(other["key"]))
    assert renamed.json()["display_name"] == "B"


@pytest.mark.asvs("8.2.1", "7.5.1")
async def test_an_administrators_key_opens_no_route_that_takes_none(service: Service) -> None:
    """Every route of the table is asked with a key of all permissions: 403, or what the policy lets it do."""
    _, tokens = await service.signed_in(Role.ADMIN)
    permissions = (await service.client.get(ME, headers=tokens.bearer)).json()["permissions"]
    key = (await created(service, tokens, scopes=permissions))["key"]
    asked = 0
    for path, method, route in guarded_routes(service.app):
        if route.include_in_schema and (route.policy.needs_principal or route.policy.needs_caller):
            target = path.replace("{", "").replace("}", "")
            answer = await service.client.request(method, target, headers=bearer(key))
            assert (answer.status_code == 403) == (not route.policy.takes_api_keys), (method, path, answer.status_code)
            asked += 1
    assert asked > 30
    assert await opens(service, key) == 200


@pytest.mark.asvs("6.3.3", "6.3.4")
async def test_a_role_that_demands_a_second_factor_demands_it_of_the_owner_of_a_key(start: StartService) -> None:
    """Without one, the key opens what a sign-in without one does; with one again, what it opened before."""
    async with start(require_second_factor_for="admin") as service:
        person, tokens = await service.signed_in(Role.ADMIN)
        enrolled = await enrol(service, person, tokens)
        tokens = await sign_in_with_app(service, enrolled)
        key = (await created(service, tokens, scopes=["account:read", "users:read"]))["key"]
        other, theirs = await service.signed_in(Role.ADMIN)
        admin = await sign_in_with_app(service, await enrol(service, other, theirs))
        users = partial(service.client.get, "/api/v1/users", headers=bearer(key))
        assert (await users()).status_code == 200
        reset = await service.client.delete(f"{ME[:-3]}/{person.id}/factors", headers=admin.bearer)
        assert reset.status_code == 204
        assert ((await users()).status_code, await opens(service, key)) == (403, 403)
        await enrol(service, person, await service.sign_in(person))
        assert ((await users()).status_code, await opens(service, key)) == (200, 200)


@pytest.mark.asvs("7.4.3")
async def test_a_factor_that_is_added_ends_no_key(service: Service) -> None:
    """Sessions end, keys stay, as the page of the feature says: no program could use the factor."""
    person, tokens = await service.signed_in()
    other = await service.sign_in(person)
    key = (await created(service, tokens))["key"]
    await enrol(service, person, tokens)
    assert ((await service.whoami(other)).status_code, await opens(service, key)) == (401, 200)


@pytest.mark.asvs("7.2.2", "9.2.2", "14.2.1")
async def test_a_key_is_nothing_in_the_place_of_another_credential(service: Service) -> None:
    """Nor is another credential a key: the whole matrix, and two headers."""
    person, tokens = await service.signed_in()
    key = (await created(service, tokens))["key"]
    has_codes = GrantType.AUTHORIZATION_CODE in service[GrantTable]  # a pure API has none
    client = await register(service)
    post = service.client.post
    as_refresh = await service.refresh(key)
    assert as_refresh.status_code == 400
    code = {"grant_type": "authorization_code", "code": key, "code_verifier": "v" * 43}
    assert not has_codes or (await post("/oauth/token", data=code, headers=client.basic)).status_code == 400
    reset = {"token": key, "new_password": "a wholly other passphrase"}
    assert (await post("/api/v1/accounts/password/reset", json=reset)).status_code == 400
    assert (await post("/api/v1/accounts/verify", json={"token": key})).status_code == 400
    assert (await service.try_sign_in(person.email, key)).status_code == 401
    get = service.client.get
    assert (await get(ME, params={"access_token": key})).status_code in {400, 401}
    assert (await get(ME, headers={"Authorization": key})).status_code == 401
    assert (await get(ME, headers={"Authorization": f"Basic {key}"})).status_code == 401
    twice = [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")]
    assert (await get(ME, headers=twice)).status_code in {400, 401}
    for path in ("introspect", "revoke"):
        answer = await post(f"/oauth/{path}", data={"token": key}, headers=bearer(key))
        assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
        answer = await post(f"/oauth/{path}", data={"token": key}, headers=tokens.bearer)
        assert (answer.status_code, answer.text) == (200, "" if path == "revoke" else '{"active":false}')
    for text in (f"ak_{tokens.refresh}", f"ak_{tokens.access}", tokens.refresh, key[:-1], key.upper(), wrongly(key)):
        assert (await get(ME, headers=bearer(text))).status_code == 401
    assert await opens(service, key) == 200
    assert (await service.whoami(tokens)).status_code == 200


@pytest.mark.asvs("15.3.4")
async def test_it_works_from_its_networks_alone(start: StartService) -> None:
    """By the address that the service believes; the refusal does not say that the key is right."""
    async with start(trusted_proxies=["127.0.0.1"]) as service:
        _, tokens = await service.signed_in()
        key = (await created(service, tokens, networks=["192.0.2.0/24", "2001:db8:1::/48"]))["key"]
        unknown = (await service.client.get(ME, headers=bearer("ak_none"))).json()["detail"]
        for address, status in (
            ("192.0.2.9", 200),
            ("::ffff:192.0.2.9", 200),
            ("[2001:db8:1::5]:443", 200),
            ("192.0.3.9", 401),
            ("2001:db8:2::5", 401),
            ("192.0.2.9, 198.51.100.7", 401),
            (None, 401),
        ):
            forwarded = {"X-Forwarded-For": address} if address else {}
            answer = await service.client.get(ME, headers=bearer(key) | forwarded)
            assert answer.status_code == status, address
            assert status == 200 or answer.json()["detail"] == unknown
    async with start() as service:
        headers = bearer(key) | {"X-Forwarded-For": "192.0.2.9"}
        assert (await service.client.get(ME, headers=headers)).status_code == 401


async def test_it_expires_to_the_second(start: StartService) -> None:
    """After the days that were asked for, 90 by default, and not a moment later; its use changes nothing about it."""
    with time_machine.travel(START, tick=False) as clock:
        async with start() as service:
            _, tokens = await service.signed_in()
            keys = [await created(service, tokens, **more) for more in ({"expires_in_days": 1}, {})]
            assert [key["expires_at"] for key in keys] == ["2026-07-02T12:00:00Z", "2026-09-29T12:00:00Z"]
            for days, key in zip((1, 90), keys, strict=True):
                clock.move_to(START + timedelta(days=days, seconds=-1))
                assert await opens(service, key["key"]) == 200
                clock.move_to(START + timedelta(days=days))
                assert await opens(service, key["key"]) == 401


async def test_its_last_use_is_noted_once_a_minute(start: StartService) -> None:
    """When and from where; a minute later again."""
    with time_machine.travel(START, tick=False) as clock:
        async with start() as service:
            _, tokens = await service.signed_in()
            key = await created(service, tokens)
            noted = []
            for seconds in (0, 59, 2):
                clock.shift(seconds)
                await asyncio.gather(*(opens(service, key["key"]) for _ in range(5)))
                noted += [(row["last_used_at"], row["last_used_ip"]) for row in await listed(service, tokens)]
            times = ("2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z", "2026-07-01T12:01:01Z")
            assert noted == [(time, "127.0.0.1") for time in times]


@pytest.mark.asvs("6.3.4", "7.4.2")
async def test_it_holds_for_as_long_as_its_owner_may_sign_in(service: Service) -> None:
    """Disabled: refused at the next request, and back when enabled; deleted: gone, with its row."""
    person, tokens = await service.signed_in()
    key = (await created(service, tokens))["key"]
    _, admin = await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{person.id}"
    for disabled, status in ((True, 401), (False, 200)):
        await service.client.patch(path, json={"disabled": disabled}, headers=admin.bearer)
        assert await opens(service, key) == status
    await service.client.delete(path, headers=admin.bearer)
    assert await opens(service, key) == 401
    async with service[Database].read() as db:
        assert await db.scalar(select(func.count()).select_from(ApiKey)) == 0


@pytest.mark.asvs("6.3.1")
async def test_wrong_keys_are_counted_for_the_network_and_lock_no_right_one_out(start: StartService) -> None:
    """429 with the time to wait once the limit is reached; a report of a leak has a count of its own."""
    async with start(rate_limit_signin="3/15minutes") as service:
        _, tokens = await service.signed_in()
        key = (await created(service, tokens))["key"]
        wrong = wrongly(key)
        assert [await opens(service, wrong) for _ in range(5)] == [401, 401, 401, 429, 429]
        assert await opens(service, key) == 200
        answers = [await report(service, wrong) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert await opens(service, key) == 200


@pytest.mark.asvs("2.4.1")
async def test_a_key_has_limits_of_its_own(start: StartService) -> None:
    """From all addresses together: what was asked for, or what an address may; a successor has as much."""
    async with start(trusted_proxies=["127.0.0.1"], rate_limit_default="60/minute") as service:
        _, tokens = await service.signed_in()
        few = await created(service, tokens, requests_per_minute=3)
        many = await created(service, tokens)

        async def used(key: str, times: int) -> list[int]:
            sources = [bearer(key) | {"X-Forwarded-For": f"192.0.2.{each}"} for each in range(times)]
            return [(await service.client.get(ME, headers=headers)).status_code for headers in sources]

        assert await used(few["key"], 5) == [200] * 3 + [429] * 2
        assert await used(many["key"], 62) == [200] * 60 + [429] * 2
        assert [row["requests_per_minute"] for row in await listed(service, tokens)] == [None, 3]
        answer = await service.client.get(ME, headers=bearer(few["key"]))
        assert int(answer.headers["Retry-After"]) > 0
        successor = (await rotate(service, tokens, few["id"])).json()
        assert await used(successor["key"], 4) == [200] * 3 + [429]


@pytest.mark.asvs("6.3.8", "11.2.4")
async def test_a_report_is_the_same_work_whatever_was_reported(service: Service) -> None:
    """No key, an unknown one, a wrong one and a right one: the same statements in the same order."""
    _, tokens = await service.signed_in()
    key = (await created(service, tokens))["key"]
    wrong = wrongly(key)
    seen = []
    for text in ("no key", wrong, key, key):
        with statements() as ours:
            assert (await report(service, text)).status_code == 202
        seen.append(ours)
    assert seen[0]
    assert seen[1:] == [seen[0]] * 3
    assert await opens(service, key) == 401


@pytest.mark.asvs("7.4.1", "15.4.2")
@pytest.mark.parametrize("how", ["revoked", "replaced", "roles"])
async def test_a_key_that_ends_while_its_write_waits_changes_nothing(start: StartService, how: str) -> None:
    """The request was let in before the key ended, or its owner lost the right: 401."""
    async with start() as service, start() as other:
        person, tokens = await service.signed_in(Role.MEMBER)
        key = await created(service, tokens)

        async def end(db: Any) -> None:
            if how == "roles":
                await db.execute(delete(UserRole).where(UserRole.user_id == person.id))
            elif how == "revoked":
                await db.execute(delete(ApiKey).where(ApiKey.id == UUID(key["id"])))
            else:
                await db.execute(update(ApiKey).where(ApiKey.id == UUID(key["id"])).values(expires_at=utc_now()))

        assert await opens(service, key["key"]) == 200
        writing = service.client.patch(ME, json={"display_name": "changed"}, headers=bearer(key["key"]))
        answer = await while_it_waits(service, other, person, writing, end, service[ApiKeyService])
        assert answer.status_code == 401, answer.text
        async with other[Database].read() as db:
            assert await db.scalar(select(User.display_name).where(User.id == person.id)) is None
