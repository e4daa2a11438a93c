"""My account: what I see, what I can change, and my password."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete

from app.access.roles import Role
from app.core.database.database import Database
from app.features.accounts.models import User
from tests.conftest import StartService
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

NEW = "a new and much longer one"
NEW_ADDRESS = "new@people.example"


async def test_shows_who_i_am(service: Service) -> None:
    """The fields of the contract, and nothing of the password."""
    person, tokens = await service.signed_in(Role.ADMIN)
    body = (await service.whoami(tokens)).json()
    fields = {"id", "email", "email_verified", "display_name", "roles", "permissions", "disabled", "created_at"}
    assert set(body) == fields | {"muted_alerts"}
    assert body["roles"] == ["admin"]
    assert "users:write" in body["permissions"]
    assert body["id"] == str(person.id)


async def test_sets_and_clears_my_name(service: Service) -> None:
    """A field that is left out stays, null clears."""
    _, tokens = await service.signed_in()

    async def change(**body: str | None) -> object:
        answer = await service.client.patch("/api/v1/users/me", json=body, headers=tokens.bearer)
        assert answer.status_code == 200
        return answer.json()["display_name"]

    assert await change(display_name="  Ada Løvelace 🚀 ") == "Ada Løvelace 🚀"
    assert await change() == "Ada Løvelace 🚀"
    for name in (
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
        "\U0001f468\u200d\U0001f467",
        "\U0001fa77",
        "\U0002ebf0",
    ):
        assert await change(display_name=name) == name
    assert await change(display_name=None) is None


@pytest.mark.asvs("8.2.3", "15.3.3", "15.3.5", "1.3.3")
@pytest.mark.parametrize(
    "body",
    [
        {"roles": ["admin"]},
        {"id": "00000000-0000-0000-0000-000000000000"},
        {"email": "other@people.example"},
        {"disabled": False},
        {"password_hash": "x"},
        {"display_name": 1},
        {"display_name": ["Ada"]},
        {"display_name": ""},
        {"display_name": "   "},
        {"display_name": "x" * 101},
        {"display_name": "two\nlines"},
        {"display_name": "nul\0"},
        {"display_name": "right\u202eleft"},
        {"display_name": "ad\u200cmin"},
        {"display_name": "\x1b[31mred"},
        [],
        "text",
    ],
    ids=repr,
)
async def test_refuses_what_i_may_not_set_and_changes_nothing(service: Service, body: object) -> None:
    """No field but the name, no type but text, no character that is none."""
    _, tokens = await service.signed_in()
    before = (await service.whoami(tokens)).json()
    answer = await service.client.patch("/api/v1/users/me", json=body, headers=tokens.bearer)
    assert answer.status_code == 422
    assert (await service.whoami(tokens)).json() == before


async def change_password(service: Service, bearer: dict[str, str], current: str, new: str) -> int:
    """The status of a change of password."""
    body = {"current_password": current, "new_password": new}
    return (await service.client.post("/api/v1/users/me/password", json=body, headers=bearer)).status_code


@pytest.mark.asvs("6.2.3", "7.4.3", "6.2.2")
async def test_changes_my_password_and_ends_my_other_sessions(service: Service) -> None:
    """The new one works, the old one does not; this session stays, every other one is dead."""
    person, here = await service.signed_in()
    elsewhere = await service.sign_in(person)
    assert await change_password(service, here.bearer, person.password, NEW) == 204
    assert (await service.whoami(here)).status_code == 200
    assert (await service.whoami(elsewhere)).status_code == 401
    assert (await service.refresh(elsewhere.refresh)).status_code == 400
    assert (await service.try_sign_in(person.email, person.password)).status_code == 401
    await service.sign_in(Person(person.id, person.email, NEW))


@pytest.mark.asvs("6.2.1", "6.2.3")
async def test_refuses_a_wrong_current_and_a_short_or_long_new_password(service: Service) -> None:
    """And the password stays as it was."""
    person, tokens = await service.signed_in()
    assert await change_password(service, tokens.bearer, "wrong", NEW) == 403
    assert await change_password(service, tokens.bearer, person.password, "x" * 14) == 422
    assert await change_password(service, tokens.bearer, person.password, "x" * 129) == 422
    await service.sign_in(person)


async def test_a_stolen_token_cannot_try_passwords(start: StartService) -> None:
    """The change of password is limited as the sign-in is."""
    async with start(rate_limit_signin="2/hour") as service:
        person, tokens = await service.signed_in()
        statuses = [await change_password(service, tokens.bearer, "wrong", NEW) for _ in range(3)]
        assert statuses == [403, 403, 429]
        assert await change_password(service, tokens.bearer, person.password, NEW) == 429


async def test_any_unicode_makes_a_password_and_its_form_does_not_matter(service: Service) -> None:
    """NIST SP 800-63B-4: what two keyboards compose differently is the same password."""
    person = await service.person(password="pässwört mit Ümläuten")
    decomposed = "pa\u0308sswo\u0308rt mit U\u0308mla\u0308uten"
    assert (await service.try_sign_in(person.email, decomposed)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [("POST", "/password", {"new_password": NEW}), ("POST", "/email", {"new_email": NEW_ADDRESS}), ("DELETE", "", {})],
)
async def test_what_is_asked_for_an_account_that_is_deleted_meanwhile(
    service: Service, method: str, path: str, more: dict[str, str]
) -> None:
    """It is gone between head and body of the request: its session has ended, and nothing has failed."""
    person, tokens = await service.signed_in()
    data = json.dumps({"current_password": person.password, **more}).encode()

    async def body() -> AsyncIterator[bytes]:
        async with service[Database].transaction() as db:
            await db.execute(delete(User).where(User.id == person.id))
        yield data

    headers = {**tokens.bearer, "Content-Type": "application/json", "Content-Length": str(len(data))}
    answer = await service.client.request(method, f"/api/v1/users/me{path}", content=body(), headers=headers)
    assert answer.status_code == 401, answer.text
