"""Keeping, listing, changing and deleting secrets."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.access.roles import Role
from app.features.vault.schemas import LONGEST_BYTES, LONGEST_STRING
from app.features.vault.service import VaultService
from tests.conftest import StartService
from tests.features.vault.steps import MASK, PATH, base64, keep, kept, reveal
from tests.support.database.tables import assert_unchanged, tables_of
from tests.support.service import Service

pytestmark = pytest.mark.anyio

TEXT, DATA = "pässwörd 🚀\nsecond line", bytes(range(256))
SOME_ID = "00000000-0000-4000-8000-000000000000"


async def test_shows_a_mask_for_what_is_set_and_null_for_what_is_not(service: Service) -> None:
    """The same in the answer to the creation, alone, in the list and after a change."""
    _, tokens = await service.signed_in()
    created = (await keep(service, tokens, name="Bank 🏦", secret_string=TEXT)).json()
    assert created | {"name": "Bank 🏦", "secret_string": MASK, "secret_bytes": None} == created
    assert set(created) == {"id", "name", "secret_string", "secret_bytes", "created_at", "updated_at"}
    path = f"{PATH}/{created['id']}"
    assert (await service.client.get(path, headers=tokens.bearer)).json() == created
    listed = (await service.client.get(PATH, headers=tokens.bearer)).json()
    assert listed == {"items": [created], "next_cursor": None}
    change = {"name": "Bank", "secret_bytes": base64(DATA), "secret_string": None}
    changed = (await service.client.patch(path, json=change, headers=tokens.bearer)).json()
    assert (changed["name"], changed["secret_string"], changed["secret_bytes"]) == ("Bank", None, MASK)
    assert changed["created_at"] == created["created_at"]
    assert changed["updated_at"] > created["updated_at"]


async def test_the_longest_secret_fits(service: Service) -> None:
    """Each of its fields as long as it may be, also where a client writes every character as an escape."""
    _, tokens = await service.signed_in()
    fields = {
        "name": "\u0631\u200c" * 49 + "\u0631\U0001fa77",
        "secret_string": "🗝" * LONGEST_STRING,
        "secret_bytes": base64(b"x" * LONGEST_BYTES),
    }
    for content in (json.dumps(fields), json.dumps(fields, ensure_ascii=False)):
        headers = {**tokens.bearer, "Content-Type": "application/json"}
        created = await service.client.post(PATH, content=content.encode(), headers=headers)
        assert created.status_code == 201
        path = f"{PATH}/{created.json()['id']}"
        assert (await service.client.patch(path, content=content.encode(), headers=headers)).status_code == 200
        revealed = (await reveal(service, tokens, path)).json()
        assert revealed == {name: fields[name] for name in ("secret_string", "secret_bytes")}


@pytest.mark.asvs("3.5.3")
async def test_looking_at_a_secret_changes_nothing(service: Service) -> None:
    """Neither the list, nor one of them, nor asking to be shown it with a method that only reads."""
    _, tokens = await service.signed_in()
    path = await kept(service, tokens)
    before = await tables_of(service)
    for target in (PATH, path, f"{path}/reveal"):
        for method in ("GET", "HEAD", "OPTIONS"):
            await service.client.request(method, target, headers=tokens.bearer)
    assert_unchanged(before, await tables_of(service), PATH)


async def test_a_change_leaves_what_it_does_not_name(service: Service) -> None:
    """Name and values one by one; nothing named is nothing changed."""
    _, tokens = await service.signed_in()
    path = await kept(service, tokens, name="first", secret_string=TEXT, secret_bytes=base64(DATA))

    async def change(**body: str) -> dict[str, Any]:
        answer = await service.client.patch(path, json=body, headers=tokens.bearer)
        assert answer.status_code == 200
        assert answer.json()["secret_string"] == answer.json()["secret_bytes"] == MASK
        return {**answer.json(), **(await reveal(service, tokens, path)).json()}

    renamed = await change(name="second")
    assert (renamed["name"], renamed["secret_string"], renamed["secret_bytes"]) == ("second", TEXT, base64(DATA))
    assert (await change(secret_string="other")) | {"updated_at": ""} == {
        **renamed,
        "secret_string": "other",
        "updated_at": "",
    }
    before = await change(secret_bytes=base64(b"\0"))
    assert (before["secret_string"], before["secret_bytes"]) == ("other", "AA==")
    assert await change() == before


async def test_a_secret_keeps_at_least_one_value(service: Service) -> None:
    """409, and both values stay as they were."""
    _, tokens = await service.signed_in()
    path = await kept(service, tokens, secret_string=TEXT)
    for body in ({"secret_string": None}, {"secret_string": None, "secret_bytes": None, "name": "gone"}):
        assert (await service.client.patch(path, json=body, headers=tokens.bearer)).status_code == 409
    assert (await service.client.get(path, headers=tokens.bearer)).json()["name"] == "a name"
    assert (await reveal(service, tokens, path)).json()["secret_string"] == TEXT


async def test_what_is_deleted_is_gone(service: Service) -> None:
    """For every method, and the place is free again."""
    _, tokens = await service.signed_in()
    path = await kept(service, tokens)
    assert (await service.client.delete(path, headers=tokens.bearer)).status_code == 204
    for method in ("GET", "DELETE"):
        assert (await service.client.request(method, path, headers=tokens.bearer)).status_code == 404
    assert (await service.client.patch(path, json={"name": "x"}, headers=tokens.bearer)).status_code == 404
    assert (await reveal(service, tokens, path)).status_code == 404
    assert (await service.client.get(PATH, headers=tokens.bearer)).json()["items"] == []


@pytest.mark.asvs("8.2.2", "8.3.1")
async def test_somebody_elses_secret_is_not_there(service: Service) -> None:
    """404 as for one that does not exist, for an administrator too, and nothing of it changes."""
    _, owner = await service.signed_in()
    path = await kept(service, owner, secret_string=TEXT)
    _, admin = await service.signed_in(Role.ADMIN)
    for target in (path, f"{PATH}/{uuid4()}"):
        answers = [
            await service.client.get(target, headers=admin.bearer),
            await service.client.patch(target, json={"name": "mine"}, headers=admin.bearer),
            await service.client.delete(target, headers=admin.bearer),
            await reveal(service, admin, target),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        assert {answer.json()["detail"] for answer in answers} == {"There is no such secret."}
    assert (await service.client.get(PATH, headers=admin.bearer)).json()["items"] == []
    assert (await service.client.get(path, headers=owner.bearer)).json()["name"] == "a name"
    assert (await reveal(service, owner, path)).json()["secret_string"] == TEXT


@pytest.mark.asvs("1.3.3", "2.2.1", "15.3.3", "15.3.5")
@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"secret_string": "x"},
        {"name": None, "secret_string": "x"},
        {"name": "", "secret_string": "x"},
        {"name": "x" * 101, "secret_string": "x"},
        {"name": "two\nlines", "secret_string": "x"},
        {"name": "right\u202eleft", "secret_string": "x"},
        {"name": "joins nothing\u200d", "secret_string": "x"},
        {"name": "x", "secret_string": ""},
        {"name": "x", "secret_string": 1},
        {"name": "x", "secret_string": ["x"]},
        {"name": "x", "secret_string": "nul\0"},
        {"name": "x", "secret_string": None, "secret_bytes": None},
        {"name": "x", "secret_bytes": ""},
        {"name": "x", "secret_bytes": 1},
        {"name": "x", "secret_bytes": "QQ"},
        {"name": "x", "secret_bytes": "QQ=\n="},
        {"name": "x", "secret_bytes": "QR=="},
        {"name": "x", "secret_bytes": "QQ==QQ=="},
        {"name": "x", "secret_bytes": "QQ==="},
        {"name": "x", "secret_bytes": "-_-_"},
        {"name": "x", "secret_bytes": "é==="},
        {"name": "x", "secret_string": "x", "id": SOME_ID},
        {"name": "x", "secret_string": "x", "user_id": SOME_ID},
        {"name": "x", "secret_string": "x", "created_at": "2020-01-01T00:00:00Z"},
        [],
        "x",
    ],
    ids=repr,
)
async def test_refuses_what_is_no_secret(service: Service, body: object) -> None:
    """No unknown field, no other type, no base64 but the one that an encoder writes; nothing is kept."""
    _, tokens = await service.signed_in()
    assert (await service.client.post(PATH, json=body, headers=tokens.bearer)).status_code == 422
    assert (await service.client.get(PATH, headers=tokens.bearer)).json()["items"] == []


async def test_a_change_obeys_the_same_rules(service: Service) -> None:
    """And the secret stays as it was."""
    _, tokens = await service.signed_in()
    path = await kept(service, tokens)
    before = (await service.client.get(path, headers=tokens.bearer)).json()
    for body in ({"name": None}, {"name": ""}, {"secret_string": ""}, {"secret_bytes": "QR=="}, {"user_id": "x"}):
        assert (await service.client.patch(path, json=body, headers=tokens.bearer)).status_code == 422
    assert (await service.client.get(path, headers=tokens.bearer)).json() == before


@pytest.mark.asvs("2.2.1")
async def test_the_largest_values_are_kept_and_one_more_is_refused(service: Service) -> None:
    """10 000 characters of any kind, 16 384 bytes."""
    _, tokens = await service.signed_in()
    text, data = "🚀" * 10_000, b"\xff" * 16_384
    path = await kept(service, tokens, secret_string=text, secret_bytes=base64(data))
    assert (await reveal(service, tokens, path)).json() == {"secret_string": text, "secret_bytes": base64(data)}
    assert (await keep(service, tokens, secret_string=text + "x")).status_code == 422
    assert (await keep(service, tokens, secret_bytes=base64(data + b"x"))).status_code == 422


async def test_lists_in_parts_that_inserts_do_not_shift(service: Service) -> None:
    """Newest first, each once; a cursor of another list is refused."""
    _, tokens = await service.signed_in()
    for number in range(3):
        await kept(service, tokens, name=f"number {number}")
    first = (await service.client.get(PATH, params={"limit": "2"}, headers=tokens.bearer)).json()
    await kept(service, tokens, name="meanwhile")
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = (await service.client.get(PATH, params=query, headers=tokens.bearer)).json()
    assert [item["name"] for item in first["items"] + second["items"]] == ["number 2", "number 1", "number 0"]
    assert second["next_cursor"] is None
    for other in ("x", first["next_cursor"][:-2] + "AA"):
        assert (await service.client.get(PATH, params={"cursor": other}, headers=tokens.bearer)).status_code == 422
    sessions = "/api/v1/sessions"
    answer = await service.client.get(sessions, params={"cursor": first["next_cursor"]}, headers=tokens.bearer)
    assert answer.status_code == 422


@pytest.mark.asvs("2.3.3", "15.4.1", "15.4.2")
async def test_nobody_keeps_more_than_items_per_user_however_many_at_once(start: StartService) -> None:
    """Of fifty requests at once as many succeed as there is room for, the others are 409; each user has a count."""
    async with start(items_per_user=7) as service:
        _, tokens = await service.signed_in()
        _, other = await service.signed_in()
        asked = [keep(service, tokens, name=f"number {number}") for number in range(50)]
        answers = await asyncio.gather(*asked, *(keep(service, other) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers[:50]) == [201] * 7 + [409] * 43
        assert [answer.status_code for answer in answers[50:]] == [201] * 3
        listed = (await service.client.get(PATH, headers=tokens.bearer)).json()["items"]
        assert len(listed) == 7
        await service.client.delete(f"{PATH}/{listed[0]['id']}", headers=tokens.bearer)
        assert (await keep(service, tokens)).status_code == 201
        assert (await keep(service, tokens)).status_code == 409


@pytest.mark.asvs("14.2.7")
async def test_the_secrets_of_a_deleted_account_are_deleted(service: Service) -> None:
    """With the account, by the database."""
    person, tokens = await service.signed_in()
    path = await kept(service, tokens)
    _, admin = await service.signed_in(Role.ADMIN)
    assert (await service.client.delete(f"/api/v1/users/{person.id}", headers=admin.bearer)).status_code == 204
    with pytest.raises(Exception, match="no such secret"):
        await service[VaultService].get(person.id, UUID(path.rsplit("/", 1)[1]))
