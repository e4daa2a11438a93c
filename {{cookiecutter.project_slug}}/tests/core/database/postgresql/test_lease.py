"""`app/core/database/lease.py`: on PostgreSQL, what was read is kept while a poll says that nothing has changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
import time_machine
from sqlalchemy import text

from app.core.clock import utc_now
from app.core.database import lease
from app.core.database.cache import ReadCache
from app.core.database.database import Database
from app.core.database.lease import LEASE_SECONDS, SETTLE_SECONDS
from tests.support.database.databases import dsn_of, migrate
from tests.support.database.postgresql import PostgresqlDatabases

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database, pytest.mark.asvs("7.4.1")]

USER = "INSERT INTO users (id, email, mailbox, created_at) VALUES ($1, $1::uuid || '', $1::uuid || '', now())"
SESSION = """
    INSERT INTO sessions (id, user_id, created_at, authenticated_at, last_seen_at, expires_at, scope, methods, ip,
    user_agent) VALUES (gen_random_uuid(), $1, now(), now(), now(), now(), '', 'pwd', '', '')
"""
CHANGES = [
    "UPDATE sessions SET ended_at = now() WHERE user_id = $1",
    "UPDATE sessions SET authenticated_at = now() WHERE user_id = $1",
    "UPDATE sessions SET methods = 'otp', last_seen_at = now() WHERE user_id = $1",
    "DELETE FROM sessions WHERE user_id = $1",
    "UPDATE users SET disabled_at = now() WHERE id = $1",
    "UPDATE users SET display_name = 'A', password_hash = 'b' WHERE id = $1",
    "DELETE FROM users WHERE id = $1",
    "INSERT INTO user_roles VALUES ($1, 'auditor')",
    "UPDATE user_roles SET role = 'auditor' WHERE user_id = $1",
    "DELETE FROM user_roles WHERE user_id = $1",
    "WITH _ AS (SELECT $1::uuid) DELETE FROM users",
]
BUSY = "SELECT pg_current_xact_id()"
# What would wait waits each time; a busy machine delays one of them.
TRIES = 5
TRUNCATE = "TRUNCATE users CASCADE"
HARMLESS = [
    "UPDATE sessions SET last_seen_at = now() + interval '1 second' WHERE user_id = $1",
    "UPDATE users SET password_hash = 'rehashed' WHERE id = $1",
    "UPDATE users SET display_name = display_name WHERE id = $1",
    SESSION,
]


@dataclass(frozen=True)
class World:
    """A database as a replica has it, a program that is none, and a user with a session and a role."""

    url: str
    database: Database
    stranger: asyncpg.Connection
    user: UUID
    values: ReadCache[str]

    def kept(self) -> bool:
        """Whether the value is found."""
        return self.values.find("key")[1] is not None

    async def keep(self) -> None:
        """Have a lease, and keep a value of the user."""
        self.values.keep(await self.lease(), "key", self.user, "value")

    async def lease(self) -> int:
        """Poll until there is a lease from after this moment: the next one may have been asked for before it."""
        await self._next_lease()
        return await self._next_lease()

    async def _next_lease(self) -> int:
        before = self.database.version()
        async with asyncio.timeout(10):
            while (number := self.database.version()) is None or number == before:  # noqa: ASYNC110  # as requests do
                await asyncio.sleep(0.002)
        return number


@pytest.fixture(scope="module")
def url(postgresql: PostgresqlDatabases) -> Iterator[str]:
    """A database with the schema."""
    created = postgresql.create()
    migrate(created)
    yield created
    postgresql.drop(created)


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    """Somebody new."""
    database, stranger, user = Database(dsn_of(url)), await asyncpg.connect(url), uuid4()
    for statement in (USER, SESSION, "INSERT INTO user_roles VALUES ($1, 'member')"):
        await stranger.execute(statement, user)
    yield World(url, database, stranger, user, ReadCache(database))
    await database.close()
    await stranger.close()


@pytest.mark.parametrize("change", CHANGES)
async def test_a_poll_tells_of_what_another_program_changed(world: World, change: str) -> None:
    """Whatever a principal is made of, and whoever changes it, is read anew after the next poll."""
    await world.keep()
    await world.lease()
    assert world.kept()
    await world.stranger.execute(change, world.user)
    await world.lease()
    assert not world.kept()


async def test_an_emptied_table_makes_it_forget_everything(world: World) -> None:
    """`TRUNCATE` fires no trigger of rows."""
    await world.keep()
    await world.stranger.execute(TRUNCATE)
    await world.lease()
    assert not world.kept()


@pytest.mark.parametrize("change", HARMLESS)
async def test_what_no_principal_is_made_of_costs_nothing(world: World, change: str) -> None:
    """Neither does a poll tell of it, nor does a commit wait."""
    await world.keep()
    assert min([await run(world, change) for _ in range(TRIES)]) < SETTLE_SECONDS
    await world.lease()
    assert world.kept()


async def test_what_another_user_does_is_not_forgotten_for(world: World) -> None:
    """Only what is the owner's is read anew."""
    await world.keep()
    other = uuid4()
    for statement in (USER, SESSION, CHANGES[0]):
        await world.stranger.execute(statement, other)
    await world.lease()
    assert world.kept()


async def test_what_was_read_before_a_change_is_not_kept_after_it(world: World) -> None:
    """A request reads, then the row changes and a poll tells of it, and then only the request keeps what it read."""
    number = await world.lease()
    await world.stranger.execute(CHANGES[0], world.user)
    await world.lease()
    world.values.keep(number, "key", world.user, "old")
    assert not world.kept()


async def test_transactions_may_end_in_another_order_than_they_began(world: World) -> None:
    """One that was under way during many polls is told of once it has ended."""
    transaction = world.stranger.transaction()
    await transaction.start()
    await world.stranger.execute(CHANGES[0], world.user)
    later = await asyncpg.connect(world.url)
    for _ in range(3):
        await later.execute("UPDATE users SET muted = now()::text WHERE id <> $1", world.user)
        await later.execute(BUSY)
        await world.keep()
    assert world.kept()
    await transaction.commit()
    await later.close()
    await world.lease()
    assert not world.kept()


async def test_a_lease_ends(world: World) -> None:
    """Nobody asked for some time: nothing is known, and the next request asks the database itself."""
    await world.keep()
    assert world.kept()
    await asyncio.sleep(LEASE_SECONDS)
    assert world.database.version() is None


async def test_the_clock_of_the_machine_has_no_part_in_it(world: World) -> None:
    """It is set back by a day, and the lease ends as before."""
    await world.keep()
    with time_machine.travel(utc_now() - timedelta(days=1)):
        assert world.kept()
        await asyncio.sleep(LEASE_SECONDS)
        assert world.database.version() is None


async def test_a_request_now_and_then_costs_one_query(world: World) -> None:
    """Polls begin where requests come often."""
    for _ in range(3):
        assert world.database.version() is None
        await asyncio.sleep(1.5 * LEASE_SECONDS)
    polled = await world.stranger.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_visible%'")
    assert polled == 1  # this one


async def run(world: World, change: str, *, roll_back: bool = False) -> float:
    """How long a transaction of the service takes."""
    begin = time.monotonic()
    async with world.database.transaction() as db:
        await (await db.connection()).exec_driver_sql(change, (world.user,))
        if roll_back:
            await db.rollback()
    return time.monotonic() - begin


@pytest.mark.parametrize("change", CHANGES)
async def test_who_changes_something_waits_until_every_lease_is_over(world: World, change: str) -> None:
    """The answer is sent when no replica can have a lease from before the commit; a lease is shorter than that."""
    assert LEASE_SECONDS < SETTLE_SECONDS
    assert await run(world, change) > SETTLE_SECONDS


async def test_a_change_that_is_taken_back_lets_nobody_wait(world: World) -> None:
    """Neither this transaction, nor the next one on the same connection."""
    took = [(await run(world, CHANGES[0], roll_back=True), await run(world, HARMLESS[0])) for _ in range(TRIES)]
    assert min(rolled_back for rolled_back, _ in took) < SETTLE_SECONDS
    assert min(harmless for _, harmless in took) < SETTLE_SECONDS


async def test_after_many_transactions_everything_is_read_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The triggers drop what is that old: a replica that slept through it cannot know."""
    await world.keep()
    monkeypatch.setattr(lease, "_MOST_TRANSACTIONS", 3)
    for _ in range(30):
        await world.stranger.execute(BUSY)
    await world.lease()
    assert not world.kept()


async def test_rows_that_nobody_asks_for_go(world: World) -> None:
    """Those of a restored backup, and old ones, are not told of, and go with the next change."""
    await world.keep()
    for number in (2**40, -(2**40)):
        await world.stranger.execute("INSERT INTO principal_changes VALUES ($1, $2)", number, world.user)
    await world.lease()
    assert world.kept()
    await world.stranger.execute(CHANGES[0], world.user)
    assert await world.stranger.fetchval("SELECT count(*) FROM principal_changes WHERE abs(xid) = 2::bigint ^ 40") == 0
    assert await world.stranger.fetchval("SELECT count(*) FROM principal_changes WHERE user_id = $1", world.user) >= 1


async def test_another_server_is_another_story(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failover, numbers of transactions mean others: everything is read anew."""
    await world.keep()
    original: Callable[..., Awaitable[object]] = world.database.fetch_all

    async def elsewhere(statement: object, parameters: object) -> object:
        return await original(text(str(statement).replace("pg_postmaster_start_time()", "now()")), parameters)

    monkeypatch.setattr(world.database._lease, "_fetch_all", elsewhere)  # noqa: SLF001  # no second server
    await world.lease()
    assert not world.kept()
