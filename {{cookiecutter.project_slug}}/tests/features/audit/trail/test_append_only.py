"""The database itself refuses to change what is on record, on SQLite and on PostgreSQL."""

import pytest
from sqlalchemy.exc import DBAPIError

from app.access.roles import Role
from app.core.database.database import Database
from tests.support.records.trail import actions, disarm, execute, stored, verified
from tests.support.service import Service

pytestmark = pytest.mark.anyio

CHANGES = [
    "UPDATE audit_events SET outcome = 'success'",
    "UPDATE audit_events SET ip = NULL WHERE sequence = 1",
    "DELETE FROM audit_events",
    "DELETE FROM audit_events WHERE sequence = (SELECT max(sequence) FROM audit_events)",
    "DELETE FROM audit_heads",
    "UPDATE audit_heads SET place = 0",
    "UPDATE audit_heads SET digest = mac",
]
SQLITE_CHANGES = [
    "INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events WHERE sequence = 1",
    "INSERT OR REPLACE INTO audit_heads SELECT id, 0, digest, key_id, mac FROM audit_heads",
    "UPDATE OR REPLACE audit_events SET sequence = 1",
]
POSTGRESQL_CHANGES = [
    "TRUNCATE audit_events",
    "TRUNCATE audit_heads",
    "INSERT INTO audit_events SELECT * FROM audit_events ON CONFLICT (sequence) DO UPDATE SET ip = NULL",
]


async def changes_of(service: Service) -> list[str]:
    """The statements that the database of the test knows."""
    async with service[Database].read() as db:
        dialect = (await db.connection()).dialect.name
    return CHANGES + (SQLITE_CHANGES if dialect == "sqlite" else POSTGRESQL_CHANGES)


@pytest.mark.asvs("16.4.2")
async def test_no_statement_changes_what_is_on_record(service: Service) -> None:
    """UPDATE, DELETE, REPLACE, upsert, TRUNCATE: each is refused by a trigger, and the rows are as they were."""
    await service.signed_in()
    await service.try_sign_in("nobody@people.example", "wrong password canary")
    before = await stored(service)
    assert len(before) == 3
    for statement in await changes_of(service):
        with pytest.raises(DBAPIError, match="the audit trail only grows"):
            await execute(service, statement)
    assert await stored(service) == before
    assert (await verified(service)).flaw is None


async def test_the_triggers_are_what_refuses(service: Service) -> None:
    """Without them the same statement goes through, so the test above shows what it says."""
    await service.signed_in()
    await disarm(service)
    await execute(service, CHANGES[0])
    await execute(service, "DELETE FROM audit_events")
    assert await actions(service) == []


async def test_rows_outlive_the_user_they_are_about(service: Service) -> None:
    """Deleting an account leaves every row as it is, and adds one."""
    person, _ = await service.signed_in()
    _, admin = await service.signed_in(Role.ADMIN)
    before = await stored(service)
    answer = await service.client.delete(f"/api/v1/users/{person.id}", headers=admin.bearer)
    assert answer.status_code == 204
    after = await stored(service)
    assert after[: len(before)] == before
    assert [row["action"] for row in after[len(before) :]] == ["account_deleted"]
    assert after[-1]["target_id"] == str(person.id)
