"""A row or a file that somebody else holds: writers wait a few seconds, and nobody else waits with them."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.conftest import StartService
from tests.support.database.pgbouncer import TRANSACTION, running_pgbouncer
from tests.support.service import Person, Service, Tokens

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]

SELECT_HEAD = "SELECT 1 FROM audit_heads FOR UPDATE"
SELECT_USERS = "SELECT 1 FROM users FOR UPDATE"
WRITERS = 20
TINY = 2
# On a machine that has much to do; those that waited with the writers took twice that.
AT_ONCE = 5.0
A_FEW_SECONDS = 12.0

Ask = Callable[[], Awaitable[httpx2.Response]]


@asynccontextmanager
async def held(url: str, select: str) -> AsyncIterator[None]:
    """A block during which a stranger holds what the statement selects, and then lets it go."""
    stranger = await asyncpg.connect(url)
    transaction = stranger.transaction()
    await transaction.start()
    await stranger.execute(select)
    try:
        yield
    finally:
        await transaction.rollback()
        await stranger.close()


async def timed(ask: Ask) -> tuple[int, float]:
    """The status of the answer, and after how many seconds it came."""
    begin = time.monotonic()
    answer = await ask()
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return answer.status_code, time.monotonic() - begin


@asynccontextmanager
async def waiting(*asks: Ask) -> AsyncIterator[list["asyncio.Task[tuple[int, float]]"]]:
    """A block that begins when many have asked for something that has to wait."""
    writers = [asyncio.create_task(timed(asks[number % len(asks)])) for number in range(WRITERS)]
    await asyncio.sleep(0.5)
    yield writers
    await asyncio.gather(*writers)


def recorded(service: Service, person: Person, tokens: Tokens) -> list[Ask]:
    """Requests of which each is a row of the trail: a sign-in, a password that is not right."""
    wrong = {"current_password": "wrong", "new_password": "another password, long enough"}
    return [
        lambda: service.try_sign_in(person.email, person.password),
        lambda: service.client.post("/api/v1/users/me/password", json=wrong, headers=tokens.bearer),
    ]


async def assert_readers_go_on(service: Service, person: Person, tokens: Tokens) -> None:
    """Signed-in readers and probes are answered at once, many of them too."""
    asks: list[Ask] = [lambda: service.whoami(tokens), lambda: service.client.get("/readyz")]
    for status, seconds in await asyncio.gather(*(timed(asks[number % 2]) for number in range(WRITERS))):
        assert status == 200
        assert seconds < AT_ONCE
    assert (await service.whoami(tokens)).json()["id"] == str(person.id)


async def assert_writers_wait_in_vain(service: Service, person: Person, tokens: Tokens) -> None:
    """Whoever must be on record is answered 503 within seconds, and reading goes on."""
    async with waiting(*recorded(service, person, tokens)) as writers:
        await assert_readers_go_on(service, person, tokens)
        # Of equal refusals the first is a row; the others are counted, and wait for nothing.
        anonymous = [timed(lambda: service.client.get("/api/v1/users/me")) for _ in range(5)]
        refused = await asyncio.gather(*anonymous)
        assert sorted(status for status, _ in refused) == [401] * 4 + [503]
        for status, seconds in (*refused, *await asyncio.gather(*writers)):
            assert status in {401, 503}
            assert seconds < A_FEW_SECONDS
        assert {writer.result()[0] for writer in writers} == {503}


async def assert_all_is_well(service: Service, person: Person) -> None:
    """The first of them is served again."""
    assert (await service.client.get("/api/v1/users/me")).status_code == 401
    await service.sign_in(person)


async def test_a_held_trail_keeps_writers_waiting_and_nobody_else(start: StartService, postgresql_url: str) -> None:
    """A stranger to the service holds the rows of which every change needs one."""
    async with start(database_url=postgresql_url) as service:
        person, tokens = await service.signed_in()
        async with held(postgresql_url, SELECT_HEAD):
            await assert_writers_wait_in_vain(service, person, tokens)
        await assert_all_is_well(service, person)


async def test_one_head_that_is_held_stops_nothing_behind_a_tiny_pool(
    start: StartService, postgresql_url: str, pgbouncer: str
) -> None:
    """With two connections of PgBouncer for all, somebody holds the head that the writers had: they take another."""
    with running_pgbouncer(pgbouncer, postgresql_url, TRANSACTION, TINY) as pooled:
        async with start(database_url=f"{pooled}?pgbouncer=true") as service:
            person, tokens = await service.signed_in()
            async with held(postgresql_url, "SELECT 1 FROM audit_heads WHERE id = 1 FOR UPDATE"):
                async with waiting(lambda: service.try_sign_in(person.email, person.password)) as writers:
                    await assert_readers_go_on(service, person, tokens)
                    assert (await timed(lambda: service.client.get("/api/v1/users/me")))[0] == 401
                assert {writer.result()[0] for writer in writers} == {200}


async def test_a_held_file_keeps_writers_waiting_and_nobody_else(start: StartService, tmp_path: Path) -> None:
    """SQLite has one writer at a time, of all processes."""
    path = tmp_path / "service.db"
    async with start(database_url=f"sqlite:///{path}") as service:
        person, tokens = await service.signed_in()
        with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            await assert_writers_wait_in_vain(service, person, tokens)
            stranger.execute("ROLLBACK")
        await assert_all_is_well(service, person)


async def test_a_held_account_keeps_its_writers_waiting_and_nobody_else(
    start: StartService, postgresql_url: str
) -> None:
    """Refusing strangers has a connection of its own: they do not queue behind those who wait for a row."""
    async with start(database_url=postgresql_url) as service:
        person, tokens = await service.signed_in()
        change = partial(service.client.patch, "/api/v1/users/me", json={"display_name": "A"}, headers=tokens.bearer)
        async with held(postgresql_url, SELECT_USERS), waiting(change) as writers:
            await assert_readers_go_on(service, person, tokens)
            anonymous = [timed(lambda: service.client.get("/api/v1/users/me")) for _ in range(5)]
            for status, seconds in await asyncio.gather(*anonymous):
                assert status == 401
                assert seconds < AT_ONCE
            for status, seconds in await asyncio.gather(*writers):
                assert status == 503
                assert seconds < A_FEW_SECONDS
