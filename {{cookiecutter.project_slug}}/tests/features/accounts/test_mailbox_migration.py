"""Accounts from before mailboxes were kept apart: each has the mailbox of its own spelling, and still signs in."""

import asyncio
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import insert, select

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.database.migrations import alembic_config, upgrade
from app.core.email_address import parse_email_address
from app.features.accounts.models import User
from tests.support.database.databases import dsn_of

pytestmark = pytest.mark.anyio

# Address, the mailbox that it had, whether it was confirmed, and the address afterwards.
BEFORE = [
    ("Ada@people.example", "ada@people.example", True, "Ada@people.example"),
    ("bob+news@people.example", "bob@people.example", True, "bob+news@people.example"),
    ("stra\u00dfe@people.example", "strasse@people.example", True, "stra\u00dfe@people.example"),
    ("\ufb01rst@b\u00fccher.example", "first@xn--bcher-kva.example", True, "\ufb01rst@b\u00fccher.example"),
    ("\ufb01le@people.example", "file@people.example", False, "file@people.example"),
]


async def test_each_account_keeps_its_own_mailbox(empty_database_url: str) -> None:
    """A tag and a sharp s count from now on; where mail goes is what was confirmed, else the canonical spelling."""
    url = dsn_of(empty_database_url)
    await asyncio.to_thread(command.upgrade, alembic_config(url), "0010")
    database, now = Database(url), utc_now()
    try:
        async with database.transaction() as db:
            for email, mailbox, verified, _ in BEFORE:
                row = {"id": uuid4(), "email": email, "mailbox": mailbox, "created_at": now}
                await db.execute(insert(User), row | {"verified_at": now if verified else None})
        await upgrade(url)
        async with database.read() as db:
            rows = (await db.execute(select(User.email, User.mailbox))).all()
    finally:
        await database.close()
    assert {row.email for row in rows} == {after for *_, after in BEFORE}
    assert all(parse_email_address(row.email).mailbox == row.mailbox for row in rows)
