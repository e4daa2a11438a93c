"""A copy of all that is kept about me: whole, mine alone, without credentials, and only for a person who is there."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
import time_machine
from sqlalchemy import select, update

from app.access.policies import STEP_UP_MINUTES
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.crypto import digest
from app.core.database.database import Database
from app.core.mail.outbox import Mail, Outbox, OutboxMail
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.records.mail import Mailbox
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

PATH = "/api/v1/users/me/export"


async def export(service: Service, tokens: Tokens) -> httpx2.Response:
    """Ask for the copy."""
    return await service.client.get(PATH, headers=tokens.bearer)


async def test_the_copy_holds_what_is_kept_about_me(service: Service, mailbox: Mailbox) -> None:
    """The account, roles, sessions, networks, mailed tokens, what I did, and what was done to me, as a file."""
    person, tokens = await service.signed_in()
    await Post(service, mailbox).forgot(person.email)
    _, admin = await service.signed_in(Role.ADMIN)
    renamed = await service.client.patch(
        f"/api/v1/users/{person.id}", json={"display_name": "Ada"}, headers=admin.bearer
    )
    assert renamed.status_code == 200
    answer = await export(service, tokens)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="my-data-')
    assert answer.headers["Cache-Control"] == "no-store"
    copy = answer.json()
    assert [(row["email"], row["display_name"]) for row in copy["account"]] == [(person.email, "Ada")]
    assert copy["roles"] == [{"role": "member"}]
    assert copy["sessions"][0]["ip"] == "127.0.0.1"
    assert copy["home_networks"][0]["network"] == "127.0.0.1"
    assert copy["mailed_tokens"][0]["kind"]
    assert "signin_succeeded" in {row["action"] for row in copy["actions"]}
    done = [row for row in copy["done_to_me"] if row["action"] == "account_renamed"]
    assert len(done) == 1
    assert done[0].keys().isdisjoint({"actor_id", "ip", "user_agent", "session_id", "request_id"})


async def test_the_copy_holds_refresh_tokens_and_mail_that_waits(service: Service) -> None:
    """When each token was made and used, with its session; of mail the kind, without its text and its token."""
    person, tokens = await service.signed_in()
    other, _ = await service.signed_in()
    renewed = (await service.refresh(tokens.refresh)).json()
    async with service[Database].transaction() as db:
        for number, whose in enumerate((person.id, other.id, None)):
            mail = Mail(person.email, f"Subject {number}", "the text", "the text")
            await service[Outbox].add(db, mail, kind="verify", user_id=whose)
        await db.execute(update(OutboxMail).values(due_at=utc_now() + timedelta(hours=1)))
    answer = await export(service, Tokens(renewed["access_token"], ""))
    copy = answer.json()
    (session,) = copy["sessions"]
    assert [set(row) for row in copy["refresh_tokens"]] == [{"session_id", "created_at", "used_at"}] * 2
    assert {row["session_id"] for row in copy["refresh_tokens"]} == {session["id"]}
    assert sorted(row["used_at"] is None for row in copy["refresh_tokens"]) == [False, True]
    assert {"client_id", "expires_at"} <= session.keys()
    (waiting,) = copy["waiting_mail"]
    assert waiting.keys() == {
        *("id", "kind", "created_at", "status", "attempts", "due_at", "finished_at", "error", "smtp_code")
    }
    assert waiting["kind"] == "verify"
    for canary in ("the text", renewed["refresh_token"], tokens.refresh, digest(tokens.refresh).hex()):
        assert canary not in answer.text


async def test_who_mail_was_for_is_forgotten_with_its_delivery(service: Service, mailbox: Mailbox) -> None:
    """A mail that was sent belongs to nobody any more."""
    person, tokens = await service.signed_in()
    await Post(service, mailbox).forgot(person.email)
    await Post(service, mailbox).token(person.email)

    async def sent() -> bool:
        async with service[Database].read() as db:
            rows = (await db.scalars(select(OutboxMail))).all()
        assert rows
        return all(row.status == "sent" and row.kind and row.user_id is None for row in rows)

    for _ in range(1000):
        if await sent():
            break
        await asyncio.sleep(0.01)
    assert await sent()
    assert (await export(service, tokens)).json()["waiting_mail"] == []


async def test_the_copy_is_mine_alone_and_holds_no_credential(service: Service, mailbox: Mailbox) -> None:
    """Nothing of somebody else, no password, no hash of one, no token."""
    person, tokens = await service.signed_in()
    other, _ = await service.signed_in()
    post = Post(service, mailbox)
    await post.forgot(person.email)
    mailed = await post.token(person.email)
    text = (await export(service, tokens)).text
    assert person.email in text
    for canary in (other.email, str(other.id), person.password, "argon2", tokens.access, tokens.refresh, mailed):
        assert canary not in text


async def test_the_copy_is_read_in_batches(service: Service) -> None:
    """More rows than a batch has: each is there once."""
    person, tokens = await service.signed_in()
    service.client.cookies.clear()
    wanted = 520
    for number in range(wanted):
        change = {"display_name": f"name {number}"}
        answer = await service.client.patch("/api/v1/users/me", json=change, headers=tokens.bearer)
        assert answer.status_code == 200, person
    actions = (await export(service, tokens)).json()["actions"]
    assert len({row["sequence"] for row in actions}) == len(actions)
    assert sum(row["action"] == "account_renamed" for row in actions) == wanted


@pytest.mark.asvs("7.5.3")
async def test_the_copy_takes_a_recent_sign_in(service: Service) -> None:
    """A token that is some minutes too old is asked to sign in again; nobody gets nothing."""
    person = await service.person()
    now = utc_now()
    with time_machine.travel(now - timedelta(minutes=STEP_UP_MINUTES + 1), tick=True):
        tokens = await service.sign_in(person)
    refreshed = await service.refresh(tokens.refresh)
    assert refreshed.status_code == 200
    old = Tokens(refreshed.json()["access_token"], "")
    assert (await export(service, old)).status_code == 401
    assert (await service.client.get(PATH)).status_code == 401


async def test_the_copy_is_on_record(service: Service) -> None:
    """Who has seen a copy leaves an event of it in the copy that they take next."""
    person, tokens = await service.signed_in()
    assert (await service.try_sign_in(person.email, PASSWORD)).status_code == 401
    await export(service, tokens)
    actions = [row["action"] for row in (await export(service, tokens)).json()["actions"]]
    assert "data_exported" in actions
