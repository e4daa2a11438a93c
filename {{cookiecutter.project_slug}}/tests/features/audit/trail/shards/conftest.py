"""Trails with several shards, on PostgreSQL."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import delete, select

from app.core.database.database import Database
from app.core.database.migrations import upgrade
from app.core.events import emit_event
from app.features.accounts.events import AccountEvent
from app.features.audit.models import SHARDS, AuditEvent, AuditHead
from app.features.audit.service import Anchor, AuditTrail
from tests.conftest import StartService
from tests.features.audit.trail.test_key_changes import ring
from tests.support.database.databases import dsn_of
from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.records.trail import (
    Row,
    disarm_database,
    execute,
    stored,
    verified,
)
from tests.support.service import Service

EACH = 3
KEY = secrets.token_urlsafe(64)


@pytest.fixture(scope="session")
def migrated(postgresql: PostgresqlDatabases) -> Iterator[str]:
    """A database with the current schema, to be copied."""
    created = postgresql.create()
    try:
        asyncio.run(upgrade(dsn_of(created)))
        yield created
    finally:
        postgresql.drop(created)


@pytest.fixture(scope="session")
def grown(migrated: str, postgresql: PostgresqlDatabases) -> Iterator[str]:
    """A database with three rows in each shard, by turns, and no trigger, to be copied."""

    async def grow() -> None:
        database = Database(dsn_of(created))
        AuditTrail(database, ring(KEY))
        for shard in (*range(1, SHARDS + 1),) * EACH:
            await write(database, shard)
        await disarm_database(database)
        await database.close()

    created = postgresql.create(migrated)
    try:
        asyncio.run(grow())
        yield created
    finally:
        postgresql.drop(created)


@pytest.fixture
def url(migrated: str, postgresql: PostgresqlDatabases) -> Iterator[str]:
    """An empty trail on PostgreSQL."""
    created = postgresql.create(migrated)
    try:
        yield created
    finally:
        postgresql.drop(created)


@pytest.fixture
async def service(start: StartService, grown: str, postgresql: PostgresqlDatabases) -> AsyncIterator[Service]:
    """Three rows in each shard, by turns; no trigger is in the way."""
    created = await asyncio.to_thread(postgresql.create, grown)
    try:
        async with start(database_url=created, secret_key=KEY) as running:
            yield running
    finally:
        await asyncio.to_thread(postgresql.drop, created)


async def write(database: Database, shard: int) -> None:
    """Add an event while all shards but one are held."""
    async with database.transaction() as db:
        await db.execute(select(AuditHead.id).where(AuditHead.id != shard).with_for_update())
        await write_anywhere(database)


async def write_anywhere(database: Database) -> None:
    """Add an event."""
    async with database.transaction():
        emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", number=1)


async def of_shard(service: Service, shard: int) -> list[Row]:
    """The rows of a shard, in their order."""
    return await stored(service, AuditEvent.shard == shard)


async def remove_behind(service: Service, shard: int, place: int) -> None:
    """Delete the rows of a shard behind a place."""
    await execute(service, delete(AuditEvent).where(AuditEvent.shard == shard, AuditEvent.place > place))


async def found(service: Service, anchor: Anchor | None = None) -> tuple[int, int]:
    """Shard and place of the first flaw."""
    report = await verified(service, anchor)
    assert report.flaw is not None
    assert str(report.flaw).startswith(f"Row {report.flaw.place} of shard {report.flaw.shard} ")
    return report.flaw[:2]
