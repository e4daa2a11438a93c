"""Units of work, on whichever database the tests run on."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from app.core.database.database import Database
from app.core.database.migrations import SchemaMismatchError, require_current
from app.features.accounts.models import User, UserRole
from tests.support.database.databases import dsn_of
from tests.support.service import Service

pytestmark = pytest.mark.anyio


def user(**fields: object) -> User:
    """A row that can be stored."""
    name = uuid4().hex
    return User(**{"email": name, "mailbox": name, "created_at": datetime.now(UTC), **fields})


async def count(database: Database) -> int:
    """How many users there are."""
    async with database.read() as db:
        return int(await db.scalar(select(func.count()).select_from(User)) or 0)


async def test_a_transaction_is_kept_whole_or_not_at_all(service: Service) -> None:
    """An error rolls everything back."""
    database = service[Database]
    async with database.transaction() as db:
        db.add(user())
    assert await count(database) == 1
    with pytest.raises(RuntimeError):  # noqa: PT012  # the transaction is what is raised through
        async with database.transaction() as db:
            db.add(user())
            await db.flush()
            raise RuntimeError
    assert await count(database) == 1


async def test_times_come_back_in_utc(service: Service) -> None:
    """Whatever zone they were given in; one without a zone is refused."""
    database = service[Database]
    given = datetime(2026, 1, 1, 12, 0, tzinfo=timezone(timedelta(hours=5)))
    row = user(created_at=given)
    async with database.transaction() as db:
        db.add(row)
    async with database.read() as db:
        found = await db.scalar(select(User.created_at).where(User.id == row.id))
    assert found == given
    assert found.tzinfo is UTC
    with pytest.raises(StatementError):
        async with database.transaction() as db:
            db.add(user(created_at=datetime(2026, 1, 1)))  # noqa: DTZ001  # what is refused


@pytest.mark.asvs("16.2.5")
async def test_an_error_of_the_database_shows_no_value(service: Service) -> None:
    """A broken constraint is named without what broke it; foreign keys are enforced."""
    database = service[Database]
    with pytest.raises(IntegrityError) as caught:
        async with database.transaction() as db:
            db.add_all([user(mailbox="canary@people.example"), user(mailbox="canary@people.example")])
    assert "canary" not in str(caught.value)
    with pytest.raises(IntegrityError):
        async with database.transaction() as db:
            db.add(UserRole(user_id=uuid4(), role="member"))


async def test_readers_do_not_wait_for_a_writer(service: Service) -> None:
    """What is not committed is not seen, and nobody is locked out."""
    database = service[Database]
    async with database.transaction() as db:
        db.add(user())
        await db.flush()
        assert await count(database) == 0


async def test_a_file_is_read_while_it_is_written(tmp_path: Path) -> None:
    """Each file of SQLite has a write-ahead log."""
    database = Database(dsn_of(f"sqlite:///{tmp_path / 'new.db'}"))
    async with database.read() as db:
        assert await db.scalar(text("PRAGMA journal_mode")) == "wal"
    await database.close()


async def test_a_new_database_has_no_current_schema(empty_database_url: str) -> None:
    """The message says what to run."""
    database = Database(dsn_of(empty_database_url))
    try:
        with pytest.raises(SchemaMismatchError, match="manage migrate"):
            await require_current(database)
    finally:
        await database.close()
