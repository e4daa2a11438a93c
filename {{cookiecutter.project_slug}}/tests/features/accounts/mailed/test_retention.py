"""Accounts that were registered and never confirmed go; those that somebody may still open stay."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import func, select, update

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.models import User
from tests.support.api.account_mail import Post
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ADA = "ada@people.example"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who register, and never read their mail."""
    return Post(service, mailbox)


async def accounts(service: Service) -> int:
    """How many accounts there are."""
    async with service[Database].read() as db:
        return int(await db.scalar(select(func.count()).select_from(User)) or 0)


async def test_purges_accounts_that_nobody_confirmed(post: Post) -> None:
    """In batches; who is verified, was disabled, was invited or came lately stays: nobody is to begin anew."""
    week = timedelta(days=7)
    with time_machine.travel(datetime.now(UTC) - timedelta(days=10)):
        for number in range(3):
            await post.register(f"{number}@people.example")
        await post.service.person()
        await post.register("disabled@people.example")
    async with post.service[Database].transaction() as db:
        await db.execute(update(User).where(User.email.startswith("disabled@")).values(disabled_at=utc_now()))
    with time_machine.travel(datetime.now(UTC) - timedelta(days=6)):
        _, admin = await post.service.signed_in(Role.ADMIN)
        body = {"email": "invited@people.example"}
        assert (await post("/invitations", body, headers=admin.bearer)).status_code == 202
    await post.register(ADA)
    befores = (datetime.now(UTC) - week, datetime.now(UTC) - week, datetime.now(UTC))
    counts = [await post.service.purge("unconfirmed accounts", before=before, limit=2) for before in befores]
    assert counts == [2, 1, 0]
    assert await accounts(post.service) == 5
    assert await post.verify(await post.token(ADA)) == 204
