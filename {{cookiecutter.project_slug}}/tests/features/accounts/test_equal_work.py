"""What an address is to the service does not show in its work: the same statements run, whoever has an account.

`test_registration.py` and `test_recovery.py` measure the time. A statement that is missing costs too little to be
measured on a busy machine, and enough for whoever measures for a week: here the statements are compared.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.access.roles import Role
from tests.features.factors.steps import enrol, with_app
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("6.3.8")]

CONFIRMED, WAITING, DISABLED = "confirmed@people.example", "waiting@people.example", "disabled@people.example"
WITH_FACTOR, UNKNOWN = "factor@people.example", "unknown@people.example"
STANDINGS = pytest.mark.parametrize("email", [CONFIRMED, WAITING, DISABLED, WITH_FACTOR])


@pytest.fixture
async def post(service: Service, mailbox: Mailbox) -> Post:
    """A service with an account of every standing."""
    arrived = Post(service, mailbox)
    await service.person(email=CONFIRMED)
    owner = await service.person(email=WITH_FACTOR)
    await enrol(service, owner, await service.sign_in(owner))
    await arrived.register(WAITING)
    disabled = await service.person(email=DISABLED)
    _, admin = await service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{disabled.id}"
    answer = await service.client.patch(path, json={"disabled": True}, headers=admin.bearer)
    assert answer.status_code == 200
    return arrived


@contextmanager
def statements() -> Iterator[list[str]]:
    """What this task has the database do in the block, reading and writing; the delivery of mail is another task."""
    ours, seen = asyncio.current_task(), list[str]()
    # How a savepoint ends is the one thing that differs.
    verbs = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ")

    def note(connection: object, cursor: object, statement: str, *more: Any) -> None:
        if asyncio.current_task() is ours and statement.startswith(verbs):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def work(post: Post, path: str, body: dict[str, str], status: int = 202) -> list[str]:
    """The statements behind a request with this answer: one that is accepted, unless told otherwise."""
    with statements() as seen:
        assert (await post(path, body)).status_code == status
    return seen


@STANDINGS
async def test_a_registration_runs_the_same_statements(post: Post, email: str) -> None:
    """For an address that has an account an account is inserted too, and taken back."""
    unknown = await work(post, "/accounts", {"email": UNKNOWN, "password": PASSWORD})
    assert await work(post, "/accounts", {"email": email, "password": PASSWORD}) == unknown
    assert any(statement.startswith("INSERT INTO users ") for statement in unknown)


@STANDINGS
async def test_a_forgotten_password_runs_the_same_statements(post: Post, email: str) -> None:
    """For an address without an account a token is made and a mail is sealed too, and both are taken back."""
    unknown = await work(post, "/accounts/password/forgot", {"email": UNKNOWN})
    assert await work(post, "/accounts/password/forgot", {"email": email}) == unknown
    tables = [found[1] for each in unknown if (found := re.search(r"\bINSERT INTO (\w+)", each))]
    assert tables == ["account_tokens", "outbox", "audit_events"]


@STANDINGS
async def test_a_wrong_password_runs_the_same_statements(post: Post, email: str) -> None:
    """For an account with a second factor as for no account: nothing looks for its factors before the password."""
    unknown = await work(post, "/signin", {"email": UNKNOWN, "password": "not the password"}, 401)
    assert await work(post, "/signin", {"email": email, "password": "not the password"}, 401) == unknown
    assert any("FROM users" in statement for statement in unknown)


async def test_a_reset_runs_the_same_statements_with_a_second_factor(post: Post) -> None:
    """Who reads a mailbox learns nothing of it before the new password is used; nor does who has no token."""
    (plain, _), enrolled = await post.service.signed_in(), await with_app(post.service)
    found = []
    for email in (plain.email, enrolled.person.email):
        await post.forgot(email)
        body = {"token": await post.mailed_token(email), "new_password": "unrelated words of a song"}
        found.append(await work(post, "/accounts/password/reset", body, 204))
        again = await work(post, "/accounts/password/reset", body, 400)
        never = {**body, "token": "pwr_" + "A" * 43}
        assert await work(post, "/accounts/password/reset", never, 400) == again
    assert found[0] == found[1]
    assert any(statement.startswith("UPDATE users ") for statement in found[0])
