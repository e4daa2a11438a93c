"""Making, listing, rotating and ending keys."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.api_keys.steps import (
    PATH,
    SCOPES,
    START,
    bearer,
    create,
    created,
    listed,
    opens,
    report,
    rotate,
    wrongly,
)
from tests.support.api.account_mail import Post
from tests.support.api.oauth import issue_to, register
from tests.support.records.mail import Mailbox, bodies
from tests.support.records.trail import stored
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("15.3.1", "16.3.1")
async def test_a_key_is_shown_once_mailed_about_and_on_record(service: Service, mailbox: Mailbox) -> None:
    """The list has its hint alone; the mail and the trail have not even that."""
    person, tokens = await service.signed_in()
    key = await created(service, tokens, networks=["10.1.0.0/16", "2001:db8::/32", "192.0.2.7"])
    (shown,) = await listed(service, tokens)
    assert shown == {name: value for name, value in key.items() if name != "key"}
    assert shown["hint"] == f"ak_…{key['key'][-4:]}"
    assert (shown["scopes"], shown["last_used_at"]) == (SCOPES, None)
    assert shown["networks"] == ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"]
    (mail,) = await mailbox.wait(person.email)
    assert all('"backup"' in body.replace("&#34;", '"') and key["key"] not in body for body in bodies(mail))
    (row,) = [row for row in await stored(service) if row["action"] == "api_key_created"]
    assert (str(row["actor_id"]), row["target_id"]) == (str(person.id), key["id"])
    assert key["key"] not in repr(await stored(service))


@pytest.mark.asvs("8.2.1")
@pytest.mark.parametrize("scopes", [["users:read"], ["account:read", "users:write"], ["no:such"]])
async def test_a_key_may_do_nothing_that_its_owner_may_not(service: Service, scopes: list[str]) -> None:
    """Neither what only others may, nor what nobody may."""
    _, tokens = await service.signed_in()
    assert (await create(service, tokens, scopes=scopes)).status_code == 403
    assert await listed(service, tokens) == []


@pytest.mark.asvs("8.2.1", "10.3.2")
async def test_a_narrower_token_makes_no_key_that_may_do_more(service: Service) -> None:
    """Nor by replacing one: that stays as it is, until a token with its scopes replaces it."""
    _, tokens = await service.signed_in()
    key = await created(service, tokens)
    narrower = tokens_of(await service.refresh(tokens.refresh, scope="account:write"))
    assert (await create(service, narrower, scopes=["account:read"])).status_code == 403
    assert (await rotate(service, narrower, key["id"])).status_code == 403
    whole = tokens_of(await service.refresh(narrower.refresh))
    assert [(row["id"], row["replaced_at"]) for row in await listed(service, whole)] == [(key["id"], None)]
    assert (await rotate(service, whole, key["id"])).status_code == 200


@pytest.mark.asvs("2.2.1", "15.3.3", "15.3.5")
@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []},
        {"scopes": "account:read"},
        {"expires_in_days": 0},
        {"expires_in_days": 366},
        {"expires_in_days": "9"},
        {"networks": ["10.0.0.1/8"]},
        {"networks": ["localhost"]},
        {"networks": ["fe80::1%eth0"]},
        {"networks": ["10.0.0.0/8"] * 21},
        {"requests_per_minute": 0},
        {"requests_per_minute": 100_001},
        {"name": ""},
        {"key": "mine"},
    ],
    ids=str,
)
async def test_what_breaks_a_rule_makes_no_key(service: Service, wrong: dict[str, Any]) -> None:
    """422, and nothing is kept."""
    _, tokens = await service.signed_in()
    assert (await create(service, tokens, **wrong)).status_code == 422
    assert await listed(service, tokens) == []


@pytest.mark.asvs("7.5.1", "7.5.3")
async def test_it_takes_a_recent_sign_in_with_the_service_itself(start: StartService) -> None:
    """An old sign-in, an application that acts for the user, and a key make, rotate and end none."""
    with time_machine.travel(START, tick=True) as clock:
        async with start() as service:
            person, tokens = await service.signed_in()
            key = await created(service, tokens)
            client = await register(service, scope=" ".join(SCOPES))
            application = await issue_to(service, client, person)
            asked = [("POST", PATH), ("POST", f"{PATH}/{key['id']}/rotate"), ("DELETE", f"{PATH}/{key['id']}")]
            for headers in (application.bearer, bearer(key["key"])):
                for method, path in asked:
                    assert (await service.client.request(method, path, headers=headers)).status_code == 403
            clock.shift(timedelta(minutes=16))
            tokens_later = await service.refresh(tokens.refresh)
            late = {"Authorization": f"Bearer {tokens_later.json()['access_token']}"}
            for method, path in asked:
                assert (await service.client.request(method, path, headers=late)).status_code == 401
            assert await opens(service, key["key"]) == 200


@pytest.mark.asvs("8.2.2")
async def test_keys_of_others_are_not_there(service: Service) -> None:
    """404 for an administrator too, and the key works on."""
    _, owner = await service.signed_in()
    key = await created(service, owner)
    _, other = await service.signed_in(Role.ADMIN)
    assert await listed(service, other) == []
    assert (await rotate(service, other, key["id"])).status_code == 404
    assert (await service.client.delete(f"{PATH}/{key['id']}", headers=other.bearer)).status_code == 404
    assert await opens(service, key["key"]) == 200


@pytest.mark.asvs("2.3.2")
async def test_nobody_has_more_keys_than_allowed(start: StartService) -> None:
    """However many are asked for at once; one that is replaced or ended makes room."""
    async with start(items_per_user=3) as service:
        _, tokens = await service.signed_in()
        answers = await asyncio.gather(*(create(service, tokens) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
        first, second, _ = await listed(service, tokens)
        assert (await rotate(service, tokens, first["id"])).status_code == 200
        assert (await create(service, tokens)).status_code == 409
        assert (await service.client.delete(f"{PATH}/{second['id']}", headers=tokens.bearer)).status_code == 204
        assert (await create(service, tokens)).status_code == 201


@pytest.mark.asvs("2.3.2")
async def test_rotations_leave_no_more_old_keys_than_allowed(start: StartService) -> None:
    """Old keys that still work are counted apart; one that has ended makes room, and no rotation is half done."""
    async with start(items_per_user=2) as service:
        _, tokens = await service.signed_in()
        newest = await created(service, tokens)
        keys = [newest["key"]]
        for _ in range(2):
            newest = (await rotate(service, tokens, newest["id"], overlap_hours=168)).json()
            keys.append(newest["key"])
        assert (await rotate(service, tokens, newest["id"])).status_code == 409
        assert [await opens(service, key) for key in keys] == [200] * 3
        assert (await listed(service, tokens))[0]["replaced_at"] is None
        assert (await create(service, tokens)).status_code == 201
        assert (await report(service, keys[0])).status_code == 202
        assert (await rotate(service, tokens, newest["id"], overlap_hours=0)).status_code == 200


@pytest.mark.asvs("2.3.4", "15.4.2")
async def test_fifty_rotations_at_once_make_one_new_key(service: Service) -> None:
    """One succeeds, and the others are told; the old key works beside the new one."""
    _, tokens = await service.signed_in()
    old = await created(service, tokens, networks=["127.0.0.0/8"], expires_in_days=7)
    answers = await asyncio.gather(*(rotate(service, tokens, old["id"]) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    (new,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(await listed(service, tokens)) == 2
    kept = ("name", "scopes", "networks")
    assert {name: new[name] for name in kept} == {name: old[name] for name in kept}
    assert await opens(service, old["key"]) == await opens(service, new["key"]) == 200


async def test_the_old_key_ends_with_the_overlap(start: StartService) -> None:
    """To the second, at once if that is asked for, and never later than without; the new one has its life."""
    with time_machine.travel(START, tick=False) as clock:
        async with start() as service:
            person, tokens = await service.signed_in()
            old, short, gone = [await created(service, tokens, expires_in_days=days) for days in (30, 1, 30)]
            new = (await rotate(service, tokens, old["id"], overlap_hours=48)).json()
            assert new["expires_at"] == "2026-07-31T12:00:00Z"
            await rotate(service, tokens, short["id"], overlap_hours=168)
            await rotate(service, tokens, gone["id"], overlap_hours=0)
            assert (await rotate(service, tokens, new["id"], overlap_hours=169)).status_code == 422
            assert [await opens(service, key["key"]) for key in (old, short, gone)] == [200, 200, 401]
            clock.shift(timedelta(hours=24))
            assert [await opens(service, key["key"]) for key in (old, short)] == [200, 401]
            clock.shift(timedelta(hours=24, seconds=-1))
            assert await opens(service, old["key"]) == 200
            clock.shift(timedelta(seconds=1))
            assert [await opens(service, key["key"]) for key in (old, new)] == [401, 200]
            assert (await rotate(service, await service.sign_in(person), old["id"])).status_code == 409


@pytest.mark.asvs("7.4.3", "6.3.4")
async def test_a_reset_ends_keys_and_a_change_of_password_does_not(service: Service, mailbox: Mailbox) -> None:
    """As the page of the feature says: the one may be the answer to a theft, the other is by who is signed in."""
    post = Post(service, mailbox)
    person, tokens = await service.signed_in()
    key = await created(service, tokens)
    change = {"current_password": person.password, "new_password": "a wholly other passphrase"}
    answer = await service.client.post("/api/v1/users/me/password", json=change, headers=tokens.bearer)
    assert answer.status_code == 204
    assert await opens(service, key["key"]) == 200
    await post.forgot(person.email)
    assert await post.reset(await post.mailed_token(person.email), "yet another passphrase") == 204
    assert await opens(service, key["key"]) == 401


async def test_an_export_has_the_keys_without_their_hashes(service: Service) -> None:
    """All that is kept about a key but what checks it."""
    _, tokens = await service.signed_in()
    key = await created(service, tokens)
    exported = (await service.client.get("/api/v1/users/me/export", headers=tokens.bearer)).json()
    (row,) = exported["api_keys"]
    assert (row["id"], row["name"], row["scope"]) == (key["id"], "backup", " ".join(SCOPES))
    assert "sealed" not in row


@pytest.mark.asvs("14.2.7")
async def test_purge_deletes_what_has_expired(start: StartService) -> None:
    """After its retention, and nothing that still works."""
    with time_machine.travel(START, tick=True) as clock:
        async with start() as service:
            _, tokens = await service.signed_in()
            await created(service, tokens, expires_in_days=1)
            await created(service, tokens, expires_in_days=9)
            clock.shift(timedelta(days=2))
            assert await service.purge("API keys", before=START + timedelta(days=1), limit=9) == 0
            assert await service.purge("API keys", before=START + timedelta(days=2), limit=9) == 1


async def test_reporting_ends_a_key_that_is_right(service: Service, mailbox: Mailbox) -> None:
    """202 without a word for every text; the owner is told of a key that was one."""
    person, tokens = await service.signed_in()
    key = await created(service, tokens)
    await mailbox.wait(person.email)
    for text in ("hello", wrongly(key["key"]), tokens.access, key["key"], key["key"]):
        answer = await report(service, text)
        assert (answer.status_code, answer.content) == (202, b"null"), text
        assert await opens(service, key["key"]) == (401 if text == key["key"] else 200)
    (_, told) = await mailbox.wait(person.email, 2)
    assert all("has ended" in body and key["key"] not in body for body in bodies(told))
    rows = [row for row in await stored(service) if row["action"] == "api_key_leaked"]
    assert [row["outcome"] for row in rows] == ["failure"] * 3 + ["success", "failure"]
    assert [row["target_id"] for row in rows if row["target_id"]] == [rows[3]["target_id"]]
