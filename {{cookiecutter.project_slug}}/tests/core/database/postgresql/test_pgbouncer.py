"""PostgreSQL behind PgBouncer, which gives a connection away at the end of each session, or of each transaction."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from app.core.database.database import Database
from tests.conftest import StartService
from tests.support.database.databases import dsn_of
from tests.support.database.pgbouncer import SHARED
from tests.support.processes.server import environment
from tests.support.processes.warm import Command
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]

PEOPLE = 10


async def test_the_service_serves_behind_it(start: StartService, pooled_url: str) -> None:
    """It migrates, and many people at once sign in, read and write: each of them gets their own answers."""
    async with start(database_url=pooled_url) as service:
        names = await asyncio.gather(*(_use(service, f"Person {number}") for number in range(PEOPLE)))
        assert names == [f"Person {number}" for number in range(PEOPLE)]
        assert (await service.client.get("/readyz")).status_code == 200


async def _use(service: Service, name: str) -> str:
    """Sign in somebody new who gives themselves the name; what the service calls them then."""
    person, tokens = await service.signed_in()
    for _ in range(5):
        changed = await service.client.patch("/api/v1/users/me", json={"display_name": name}, headers=tokens.bearer)
        assert changed.status_code == 200, changed.text
        me = (await service.whoami(tokens)).json()
        assert me["id"] == str(person.id)
    return str(me["display_name"])


async def test_several_can_migrate_at_once_behind_it(tmp_path: Path, pooled_url: str) -> None:
    """The lock of a migration is the transaction's too."""
    settings = environment(DATABASE_URL=pooled_url)
    migrations = [Command(("migrate",), folder=tmp_path, environment=settings) for _ in range(3)]
    assert [done.code for done in [migration.end() for migration in migrations]] == [0, 0, 0]
    database = Database(dsn_of(pooled_url))
    async with database.read() as db:
        assert await db.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    await database.close()


async def test_its_limits_are_set_for_the_transaction_alone(plain_pooled_url: str, pooled_url: str) -> None:
    """Whoever gets the connection next has no setting of ours: it may be another service."""
    limits = "current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('timezone')"
    database = Database(dsn_of(pooled_url))
    async with database.transaction() as db:
        assert (await db.execute(text(f"SELECT {limits}"))).one() == ("30s", "2s", "UTC")
    stranger = await asyncpg.connect(plain_pooled_url, statement_cache_size=0)
    for _ in range(SHARED * 2):
        row = await stranger.fetchrow(f"SELECT {limits}")
        assert tuple(row)[:2] == ("0", "0")
    await stranger.close()
    await database.close()


async def test_without_the_option_the_error_says_what_to_write(plain_pooled_url: str) -> None:
    """PgBouncer refuses what a connection of the service is begun with; that is told in words."""
    database = Database(dsn_of(plain_pooled_url))
    with pytest.raises(Exception, match=r"\?pgbouncer=true"):
        await database.ping()
    await database.close()
