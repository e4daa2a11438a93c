"""What ends every token that was mailed for an account: disabling, other roles, a reset, another address."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, update

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.models import AccountToken, User
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service, Tokens

pytestmark = pytest.mark.anyio

NEW = "new@people.example"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who read their mail."""
    return Post(service, mailbox)


async def disable_and_enable(post: Post, admin: Tokens, user_id: object) -> None:
    """An administrator stops the account, and opens it again."""
    for disabled in (True, False):
        body = {"disabled": disabled}
        answer = await post.service.client.patch(f"/api/v1/users/{user_id}", json=body, headers=admin.bearer)
        assert answer.status_code == 200


async def change_roles(post: Post, admin: Tokens, user_id: object) -> None:
    """An administrator gives the account another role."""
    body = {"roles": ["auditor"]}
    answer = await post.service.client.put(f"/api/v1/users/{user_id}/roles", json=body, headers=admin.bearer)
    assert answer.status_code == 200


Happens = Callable[[Post, Tokens, object], Awaitable[None]]
WHAT_HAPPENS = pytest.mark.parametrize(
    "happens", [disable_and_enable, change_roles], ids=lambda happens: happens.__name__
)


async def ask_for_new_address(post: Post, person: Person, tokens: Tokens) -> str:
    """The token that the new address gets."""
    body = {"new_email": NEW, "current_password": person.password}
    assert (await post("/users/me/email", body, headers=tokens.bearer)).status_code == 202
    return await post.mailed_token(NEW)


@WHAT_HAPPENS
@pytest.mark.asvs("7.4.2", "6.4.1")
async def test_an_address_that_was_asked_for_before_is_not_confirmed_afterwards(post: Post, happens: Happens) -> None:
    """Whoever had the account for a moment does not get it back when it is open again."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    person, tokens = await post.service.signed_in()
    token = await ask_for_new_address(post, person, tokens)
    await happens(post, admin, person.id)
    assert (await post("/accounts/email/confirm", {"token": token})).status_code == 400
    await post.service.sign_in(person)


@WHAT_HAPPENS
@pytest.mark.asvs("7.4.2")
async def test_a_reset_an_invitation_and_a_confirmation_end_too(post: Post, happens: Happens) -> None:
    """Each kind of token; a new one of it works."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    person = await post.service.person()
    await post.forgot(person.email)
    await post.register("registered@people.example")
    invitation = {"email": "invited@people.example"}
    await post("/invitations", invitation, headers=admin.bearer)
    reset, verify = await post.mailed_token(person.email), await post.mailed_token("registered@people.example")
    invited = await post.mailed_token("invited@people.example")
    users = (await post.service.client.get("/api/v1/users", headers=admin.bearer)).json()["items"]
    for user in users:
        if "admin" not in user["roles"]:
            await happens(post, admin, user["id"])
    assert [await post.reset(reset), await post.verify(verify), await post.reset(invited)] == [400, 400, 400]
    await post.forgot(person.email)
    await post.register("registered@people.example")
    assert (await post("/invitations", invitation, headers=admin.bearer)).status_code == 202
    assert await post.reset(await post.mailed_token(person.email, 2)) == 204
    assert await post.verify(await post.mailed_token("registered@people.example", 2)) == 204
    assert await post.reset(await post.mailed_token("invited@people.example", 2)) == 204


async def change_password(post: Post, person: Person, tokens: Tokens, _: Tokens) -> str:
    """The owner, or who has their session and password, sets another password."""
    body = {"current_password": person.password, "new_password": PASSWORD}
    assert (await post("/users/me/password", body, headers=tokens.bearer)).status_code == 204
    return person.email


async def change_address(post: Post, person: Person, tokens: Tokens, _: Tokens) -> str:
    """The account moves to an address for which a reset has been asked for too often already."""
    for _number in range(5):
        await post.forgot(NEW)
    token = await ask_for_new_address(post, person, tokens)
    assert (await post("/accounts/email/confirm", {"token": token})).status_code == 204
    return NEW


async def roles_change(post: Post, person: Person, _: Tokens, admin: Tokens) -> str:
    """An administrator gives the account another role."""
    await change_roles(post, admin, person.id)
    return person.email


async def disabling(post: Post, person: Person, _: Tokens, admin: Tokens) -> str:
    """An administrator disables the account, resets are asked for in vain, and it is enabled."""
    path = f"/api/v1/users/{person.id}"
    await post.service.client.patch(path, json={"disabled": True}, headers=admin.bearer)
    for _number in range(5):
        await post.forgot(person.email)
    await post.service.client.patch(path, json={"disabled": False}, headers=admin.bearer)
    return person.email


@pytest.mark.asvs("6.3.1", "6.4.3")
@pytest.mark.parametrize("change", [change_password, change_address, roles_change, disabling])
async def test_who_asks_for_resets_and_then_revokes_them_keeps_nobody_from_one(
    post: Post, change: Callable[[Post, Person, Tokens, Tokens], Awaitable[str]]
) -> None:
    """Five tokens were mailed, which is the share of an hour, and then all of them revoked: a sixth is mailed."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    person, tokens = await post.service.signed_in()
    for _ in range(5):
        await post.forgot(person.email)
    await post.mailed_token(person.email, 5)
    email = await change(post, person, tokens, admin)
    await post.forgot(email)
    assert await post.reset(await post.mailed_token(email, 2 if email == NEW else 6)) == 204


async def test_no_token_is_made_for_an_account_that_is_being_disabled(post: Post) -> None:
    """A change of address whose password was confirmed before, and which waits for the account's row."""
    person, tokens = await post.service.signed_in()
    body = {"new_email": NEW, "current_password": person.password}
    async with post.service[Database].transaction() as db:
        await db.execute(update(User).where(User.id == person.id).values(disabled_at=utc_now()))
        waiting = asyncio.create_task(post("/users/me/email", body, headers=tokens.bearer))
        await asyncio.sleep(1)
    assert (await waiting).status_code in {401, 409}
    assert await stored_tokens(post) == []


async def stored_tokens(post: Post) -> list[bytes]:
    """What is kept of living tokens."""
    async with post.service[Database].read() as db:
        return list(await db.scalars(select(AccountToken.token_hash)))
