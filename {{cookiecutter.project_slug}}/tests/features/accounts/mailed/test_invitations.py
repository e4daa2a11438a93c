"""Invitations: an administrator lets somebody in."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import time_machine

from app.access.roles import Role
from tests.conftest import StartService
from tests.support.access import permissions_of
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.records.mail import Mailbox
from tests.support.service import Service, Tokens, tokens_of

pytestmark = pytest.mark.anyio

ADA = "ada@people.example"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """Administrators who invite, and people who read their mail."""
    return Post(service, mailbox)


async def invite(post: Post, admin: Tokens, email: str = ADA, **more: object) -> httpx2.Response:
    """Invite somebody."""
    return await post("/invitations", {"email": email, **more}, headers=admin.bearer)


@pytest.mark.asvs("6.4.1")
async def test_the_invited_person_chooses_a_password(start: StartService, mailbox: Mailbox) -> None:
    """Where nobody can register: a verified account with the roles that were given, by a token that works once."""
    async with start(registration="closed") as service:
        post = Post(service, mailbox)
        _, admin = await service.signed_in(Role.ADMIN)
        answer = await invite(post, admin, roles=["auditor"])
        assert answer.status_code == 202
        assert (answer.json()["email_verified"], answer.json()["roles"]) == (False, ["auditor"])
        token = await post.token(ADA)
        assert token.startswith("inv_")
        assert await post.verify(token) == 400
        assert await post.reset(token) == 204
        me = (await service.whoami(tokens_of(await service.try_sign_in(ADA, PASSWORD)))).json()
        assert (me["id"], me["roles"], me["email_verified"]) == (answer.json()["id"], ["auditor"], True)
        assert await post.reset(token) == 400


@pytest.mark.asvs("8.2.1")
async def test_only_who_may_invites(post: Post) -> None:
    """Not a member, not an auditor, and nobody who is not signed in."""
    for role in (Role.MEMBER, Role.AUDITOR):
        _, tokens = await post.service.signed_in(role)
        assert (await invite(post, tokens)).status_code == 403
    assert (await post("/invitations", {"email": ADA})).status_code == 401


@pytest.mark.asvs("8.2.3")
async def test_nobody_gives_rights_that_they_do_not_have(post: Post) -> None:
    """With the scope to write users, only members are invited; with that to assign roles, none beyond one's own."""
    _, admin = await post.service.signed_in(Role.ADMIN)

    async def narrowed(*scope: str, role: Role = Role.MEMBER) -> Tokens:
        """A token of the administrator that can do what the role allows, and what the scope adds."""
        nonlocal admin
        asked = " ".join({*scope, *permissions_of([role])})
        answer = (await post.service.refresh(admin.refresh, scope=asked)).json()
        admin = Tokens(admin.access, answer["refresh_token"])
        return Tokens(answer["access_token"], "")

    writer = await narrowed("users:write")
    assert (await invite(post, writer, roles=["auditor"])).status_code == 403
    assert (await invite(post, writer, roles=["member", "admin"])).status_code == 403
    assert (await invite(post, writer)).status_code == 202
    assigner = await narrowed("users:write", "roles:assign", role=Role.AUDITOR)
    assert (await invite(post, assigner, "bob@people.example", roles=["admin"])).status_code == 403
    assert (await invite(post, assigner, "bob@people.example", roles=["auditor"])).status_code == 202
    # Nor is somebody who was invited as more turned into less by who has less.
    assert (await invite(post, admin, "eve@people.example", roles=["admin"])).status_code == 202
    assert (await invite(post, writer, "eve@people.example")).status_code == 403


async def test_an_address_that_has_an_account_is_not_invited(post: Post) -> None:
    """409 in whatever spelling; the account stays as it is."""
    person = await post.service.person(email=ADA)
    _, admin = await post.service.signed_in(Role.ADMIN)
    assert (await invite(post, admin, "ADA@PEOPLE.example", roles=["admin"])).status_code == 409
    tokens = await post.service.sign_in(person)
    assert (await post.service.whoami(tokens)).json()["roles"] == ["member"]


async def test_an_invitation_takes_the_place_of_what_nobody_confirmed(post: Post) -> None:
    """A registration, or an earlier invitation: its password, name, roles and tokens are gone."""
    await post.register(ADA, display_name="Eve")
    registered = await post.token(ADA)
    _, admin = await post.service.signed_in(Role.ADMIN)
    assert (await invite(post, admin, roles=["admin"])).json()["display_name"] is None
    first = await post.token(ADA, 2)
    assert (await invite(post, admin, roles=["auditor"])).json()["roles"] == ["auditor"]
    second = await post.token(ADA, 3)
    assert await post.verify(registered) == 400
    assert await post.reset(first) == 400
    assert (await post.service.try_sign_in(ADA, PASSWORD)).status_code == 401
    assert await post.reset(second, "words that only the invited one knows") == 204
    assert (await post.service.try_sign_in(ADA, "words that only the invited one knows")).status_code == 200


async def test_nobody_registers_into_an_invitation(post: Post) -> None:
    """A stranger's password is never that of the account, even where its owner confirms their registration."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    await invite(post, admin, roles=["admin"])
    await post.token(ADA)
    await post.register(ADA)
    assert await post.verify(await post.token(ADA, 2)) == 204
    assert (await post.service.try_sign_in(ADA, PASSWORD)).status_code == 401


async def test_an_invitation_lives_for_a_week(post: Post) -> None:
    """On the seventh day it works, after that it does not."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    await invite(post, admin)
    token = await post.token(ADA)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=7, minutes=1)):
        assert await post.reset(token) == 400
    with time_machine.travel(datetime.now(UTC) + timedelta(days=6, hours=23)):
        assert await post.reset(token) == 204


async def test_who_was_invited_to_administrate_is_no_administrator_yet(post: Post) -> None:
    """The last one who can sign in stays, until the invitation is accepted."""
    person, admin = await post.service.signed_in(Role.ADMIN)
    await invite(post, admin, roles=["admin"])
    path = f"/api/v1/users/{person.id}"
    assert (await post.service.client.delete(path, headers=admin.bearer)).status_code == 409
    assert await post.reset(await post.token(ADA)) == 204
    assert (await post.service.client.delete(path, headers=admin.bearer)).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "no address"},
        {"email": ADA, "roles": []},
        {"email": ADA, "roles": ["king"]},
        {"email": ADA, "roles": ["member", "member"]},
        {"email": ADA, "password": PASSWORD},
    ],
    ids=repr,
)
async def test_refuses_what_breaks_a_rule(post: Post, body: object) -> None:
    """422, and nobody is mailed."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    answer = await post.service.client.post("/api/v1/invitations", json=body, headers=admin.bearer)
    assert answer.status_code == 422
    assert post.mailbox.messages(ADA) == []


async def test_an_invitation_outlives_its_sender_and_can_be_found_and_ended(post: Post) -> None:
    """As `docs/operations.md` says: the trail has what a disabled administrator sent; disabling the account ends it."""
    sender, sending = await post.service.signed_in(Role.ADMIN)
    _, admin = await post.service.signed_in(Role.ADMIN)
    invited = [(await invite(post, sending, f"{name}@people.example", roles=["admin"])).json()["id"] for name in "ab"]
    tokens = [await post.token(f"{name}@people.example") for name in "ab"]
    client, disabled = post.service.client, {"disabled": True}
    await client.patch(f"/api/v1/users/{sender.id}", json=disabled, headers=admin.bearer)
    query = {"actor": str(sender.id), "action": "account_invited"}
    sent = (await client.get("/api/v1/audit", params=query, headers=admin.bearer)).json()["items"]
    assert [row["target_id"] for row in sent] == invited[::-1]
    assert (await client.patch(f"/api/v1/users/{invited[0]}", json=disabled, headers=admin.bearer)).status_code == 200
    assert [await post.reset(token) for token in tokens] == [400, 204]
