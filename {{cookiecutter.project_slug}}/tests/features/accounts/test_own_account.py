"""Deleting my own account, and what a change of password does beside the password."""

import asyncio

import httpx2
import pytest
from sqlalchemy import func, select

from app.access.roles import Role
from app.core.database.database import Database
from app.features.accounts.models import AccountToken
from app.features.sessions.models import Session
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service, Tokens

pytestmark = pytest.mark.anyio


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who leave and read their mail."""
    return Post(service, mailbox)


async def delete(post: Post, tokens: Tokens, body: object) -> httpx2.Response:
    """Delete my account, with a body."""
    return await post.service.client.request("DELETE", "/api/v1/users/me", json=body, headers=tokens.bearer)


@pytest.mark.asvs("7.4.2", "7.5.1", "10.3.3")
async def test_deletes_my_account_with_all_that_belongs_to_it(post: Post) -> None:
    """Sessions and tokens are gone, the owner is told, the address is free, and a new account inherits nothing."""
    person, tokens = await post.service.signed_in()
    await post.forgot(person.email)
    reset = await post.token(person.email)
    assert (await delete(post, tokens, {"current_password": person.password})).status_code == 204
    assert (await post.service.whoami(tokens)).status_code == 401
    assert (await post.service.refresh(tokens.refresh)).status_code == 400
    assert (await post.service.try_sign_in(person.email, person.password)).status_code == 401
    assert await post.reset(reset) == 400
    assert "was deleted" in await post.text(person.email, 2)
    async with post.service[Database].read() as db:
        for table in (Session, AccountToken):
            assert await db.scalar(select(func.count()).select_from(table)) == 0
    again = await post.service.person(email=person.email)
    assert again.id != person.id


@pytest.mark.asvs("7.5.1")
@pytest.mark.parametrize(
    ("body", "status"),
    [({"current_password": "wrong"}, 403), ({}, 422), (None, 415), ({"current_password": PASSWORD, "x": 1}, 422)],
)
async def test_keeps_my_account_without_my_password(post: Post, body: object, status: int) -> None:
    """A stolen token does not delete it."""
    person, tokens = await post.service.signed_in()
    assert (await delete(post, tokens, body)).status_code == status
    await post.service.sign_in(person)


async def test_the_last_administrator_stays(post: Post) -> None:
    """409; with a second one they may go."""
    person, admin = await post.service.signed_in(Role.ADMIN)
    body = {"current_password": person.password}
    assert (await delete(post, admin, body)).status_code == 409
    assert (await post.service.whoami(admin)).status_code == 200
    await post.service.person(Role.ADMIN)
    assert (await delete(post, admin, body)).status_code == 204


@pytest.mark.asvs("6.3.7")
async def test_a_change_of_password_is_told_to_its_owner(post: Post) -> None:
    """By mail, so that a change by somebody else does not stay unknown."""
    person, tokens = await post.service.signed_in()
    body = {"current_password": person.password, "new_password": PASSWORD}
    assert (await post("/users/me/password", body, headers=tokens.bearer)).status_code == 204
    assert "was changed" in await post.text(person.email)
    await post.service.sign_in(Person(person.id, person.email, PASSWORD))


@pytest.mark.asvs("2.3.4", "6.2.3", "7.4.3")
async def test_of_twenty_parallel_changes_one_succeeds(post: Post) -> None:
    """Each from a session of its own, with the same current password: the winner's password and session are left."""
    person = await post.service.person()
    sessions = [await post.service.sign_in(person) for _ in range(20)]
    passwords = [f"{PASSWORD}, number {number}" for number in range(20)]
    answers = await asyncio.gather(
        *(
            post(
                "/users/me/password",
                {"current_password": person.password, "new_password": password},
                headers=tokens.bearer,
            )
            for tokens, password in zip(sessions, passwords, strict=True)
        )
    )
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 401, 403, 409}
    winner = statuses.index(204)
    alive = [(await post.service.whoami(tokens)).status_code == 200 for tokens in sessions]
    assert (alive.index(True), alive.count(True)) == (winner, 1)
    renewed = [(await post.service.refresh(tokens.refresh)).status_code == 200 for tokens in sessions]
    assert renewed == alive
    opened = [(await post.service.try_sign_in(person.email, password)).status_code == 200 for password in passwords]
    assert opened == alive
    assert (await post.service.try_sign_in(person.email, person.password)).status_code == 401
