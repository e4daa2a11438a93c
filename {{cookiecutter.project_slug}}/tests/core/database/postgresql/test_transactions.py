"""What the transactions do on PostgreSQL, whichever database the other tests run on."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from unicodedata import category

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from app.core.database.database import UNAVAILABLE_ERRORS, Database
from tests.conftest import StartService
from tests.support.database.databases import dsn_of
from tests.support.processes.server import PROJECT

pytestmark = pytest.mark.anyio

# Of the connection that asks.
MINE = "FROM pg_stat_activity WHERE pid = pg_backend_pid()"
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
async def database(postgresql_url: str) -> AsyncIterator[Database]:
    """The transactions on it, and a table with one row."""
    database = Database(dsn_of(postgresql_url))
    async with database.transaction() as db:
        await db.execute(text("CREATE TABLE things (id integer PRIMARY KEY, number integer NOT NULL)"))
        await db.execute(text("INSERT INTO things VALUES (1, 0)"))
    yield database
    await database.close()


async def ask(database: Database, what: str, where: str = "") -> object:
    """One value."""
    async with database.read() as db:
        return await db.scalar(text(f"SELECT {what} {where}"))


async def test_reading_is_a_transaction_for_each_statement(database: Database) -> None:
    """Between two statements no transaction is open, no lock is held, and the second one sees what is new."""
    async with database.read() as db:
        assert await db.scalar(text("SELECT number FROM things")) == 0
        assert await ask(database, "state", OTHERS) == "idle"
        assert await ask(database, "count(*)", "FROM pg_locks WHERE relation = 'things'::regclass") == 0
        async with database.transaction() as writer:
            await writer.execute(text("UPDATE things SET number = 1"))
        assert await db.scalar(text("SELECT number FROM things")) == 1
        first, second = [await db.scalar(text("SELECT pg_current_xact_id()")) for _ in range(2)]
        assert first != second


async def test_writing_is_one_transaction_at_read_committed(database: Database) -> None:
    """Its statements share a transaction; it is kept at the end, and undone when the block raises."""
    async with database.transaction() as db:
        first, second = [await db.scalar(text("SELECT pg_current_xact_id()")) for _ in range(2)]
        assert first == second
        assert await db.scalar(text("SHOW transaction_isolation")) == "read committed"
        await db.execute(text("UPDATE things SET number = 1"))
        assert await ask(database, "number", "FROM things") == 0
    assert await ask(database, "number", "FROM things") == 1
    with pytest.raises(RuntimeError):  # noqa: PT012  # the transaction is what is raised through
        async with database.transaction() as db:
            await db.execute(text("UPDATE things SET number = 2"))
            raise RuntimeError
    assert await ask(database, "number", "FROM things") == 1


async def test_reading_writing_and_recording_have_connections_of_their_own(database: Database) -> None:
    """Each kind takes the connection that it has had before, and none takes another kind's."""
    kinds: list[set[object]] = [set(), set(), set()]
    for _ in range(3):
        async with database.transaction() as db:
            kinds[0].add(await db.scalar(text("SELECT pg_backend_pid()")))
        async with database.read() as db:
            kinds[1].add(await db.scalar(text("SELECT pg_backend_pid()")))
        await database.record(lambda connection: kinds[2].add(connection.scalar(text("SELECT pg_backend_pid()"))))
    assert [len(kind) for kind in kinds] == [1, 1, 1]
    assert len(set.union(*kinds)) == 3


async def test_an_abandoned_unit_leaves_nothing_open(database: Database) -> None:
    """Whoever is cancelled in the middle of a statement, or between two, holds no lock afterwards."""
    for pause in ("SELECT pg_sleep(30)", "SELECT 1"):
        with pytest.raises(TimeoutError):  # noqa: PT012  # the transaction is what is cancelled
            async with asyncio.timeout(0.3), database.transaction() as db:
                await db.execute(text("UPDATE things SET number = 5"))
                await db.execute(text(pause))
                await asyncio.sleep(30)
        async with asyncio.timeout(5), database.transaction() as db:
            await db.execute(text("UPDATE things SET number = 0"))
    assert await ask(database, "count(*)", f"{OTHERS} AND state <> 'idle'") == 0


@pytest.mark.asvs("13.2.2")
async def test_the_role_of_the_service_is_a_plain_one(database: Database) -> None:
    """No superuser, no right to make roles or databases, no schema of its own: it has its database and nothing else."""
    rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    assert await ask(database, rights, "FROM pg_roles WHERE rolname = current_user") is False
    assert await ask(database, "count(*)", "FROM pg_auth_members WHERE member = current_user::regrole") == 0
    assert await ask(database, "count(*)", "FROM pg_namespace WHERE nspowner = current_user::regrole") == 0
    others = "FROM pg_database WHERE datdba = current_user::regrole AND datname NOT LIKE 'test!_%' ESCAPE '!'"
    assert await ask(database, "count(*)", others) == 0
    for statement in (
        "COPY things TO PROGRAM 'id'",
        "ALTER SYSTEM SET fsync = on",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('postgresql.conf')",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "CREATE TABLE pg_catalog.other ()",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with database.read() as db:
                await db.execute(text(statement))


@pytest.mark.asvs("16.2.2")
async def test_connections_are_bounded_named_and_in_utc(database: Database) -> None:
    """Who they are is told to the server, no statement, lock or transaction waits for ever, and a time has one zone."""
    assert str(await ask(database, "application_name", MINE)).startswith("app ")
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    assert [await ask(database, f"current_setting('{name}')") for name in limits] == ["30s", "2s", "1min"]
    assert await ask(database, "current_setting('timezone')") == "UTC"


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL statement_timeout = 50 THEN SELECT pg_sleep(5)",
        "SET LOCAL lock_timeout = 50 THEN UPDATE things SET number = 2",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        *(f"DO $$BEGIN RAISE SQLSTATE '{state}'; END$$" for state in ("08006", "25006", "40001", "53100", "58030")),
    ],
)
async def test_what_passes_is_an_outage(database: Database, statement: str) -> None:
    """A limit that is reached, a full disk, a connection that breaks: one error, without a value."""
    async with database.transaction() as holder:
        await holder.execute(text("UPDATE things SET number = 1"))
        with pytest.raises(UNAVAILABLE_ERRORS) as caught:  # noqa: PT012  # the transaction is what is raised through
            async with database.transaction() as db:
                for part in statement.split(" THEN "):
                    await db.execute(text(part))
    assert isinstance(caught.value, OperationalError)
    assert "things" not in str(caught.value)
    assert await ask(database, "number", "FROM things") == 1


@pytest.mark.parametrize("statement", ["SELECT nonsense", "SELECT 1 / 0", "INSERT INTO things VALUES (1, 1)"])
async def test_what_is_wrong_with_a_statement_is_no_outage(database: Database, statement: str) -> None:
    """It would fail the next time too: nobody is told to come back."""
    with pytest.raises(DBAPIError) as caught:
        async with database.transaction() as db:
            await db.execute(text(statement))
    assert not isinstance(caught.value, UNAVAILABLE_ERRORS)
    with pytest.raises(DBAPIError) as caught:
        async with database.read() as db:
            await db.execute(text("SELECT CAST(:number AS integer)"), {"number": 2**40})
    assert not isinstance(caught.value, UNAVAILABLE_ERRORS)


async def test_two_that_wait_for_each_other_are_told_to_come_back(database: Database) -> None:
    """A deadlock is broken by the server: one goes on, the other one is an outage."""
    async with database.transaction() as db:
        await db.execute(text("INSERT INTO things VALUES (2, 0)"))
    both = asyncio.Barrier(2)

    async def take(first: int, second: int) -> None:
        async with database.transaction() as db:
            await db.execute(text("UPDATE things SET number = 1 WHERE id = :id"), {"id": first})
            await both.wait()
            await db.execute(text("UPDATE things SET number = 2 WHERE id = :id"), {"id": second})

    results = await asyncio.gather(take(1, 2), take(2, 1), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "OperationalError"]


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost:9", "no-such-host.invalid:5432"])
async def test_no_server_is_an_outage_that_does_not_tell_the_password(host: str) -> None:
    """No connection is made before it is needed; nothing listens there, or there is no such name."""
    database = Database(dsn_of(f"postgresql://app:canary@{host}/app"))
    with pytest.raises(OperationalError) as caught:
        await database.ping()
    assert "canary" not in repr(caught.value)
    await database.close()


async def test_a_server_that_says_nothing_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks whether the service is ready gets an answer, although the database gives none."""
    monkeypatch.setattr("app.core.database.database._PING_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(dsn_of(f"postgresql://app:secret@127.0.0.1:{silent.getsockname()[1]}/app"))
        async with asyncio.timeout(4):
            with pytest.raises(OperationalError):
                await database.ping()
        await database.close()


async def test_wrong_credentials_and_a_database_that_is_gone_are_outages(postgresql_url: str) -> None:
    """The service is set up wrongly or its password was changed: its clients can do nothing about it."""
    for wrong in (postgresql_url.replace(str(make_url(postgresql_url).password), "wrong"), f"{postgresql_url}_gone"):
        database = Database(dsn_of(wrong))
        with pytest.raises(OperationalError):
            await database.ping()
        await database.close()


@pytest.mark.asvs("16.2.1")
async def test_the_log_says_who(start: StartService, postgresql_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An id that comes from the database is logged as what it is: the driver has a class of its own for it."""
    async with start(database_url=postgresql_url) as service:
        person, _ = await service.signed_in()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["user_id"] for line in lines if line["event"] == "signin_succeeded"] == [str(person.id)]


async def test_letters_have_the_same_cases_on_sqlite(database: Database, tmp_path: Path) -> None:
    """`lower` gives the same for every character that this Python knows."""
    known = "".join(letter for letter in map(chr, range(1, 0x110000)) if category(letter) not in {"Cn", "Co", "Cs"})
    lower = text("SELECT lower(:known)"), {"known": known}
    sqlite = Database(dsn_of(f"sqlite:///{tmp_path / 'cases.db'}"))
    async with database.read() as one, sqlite.read() as other:
        pairs = zip(known, await one.scalar(*lower), await other.scalar(*lower), strict=True)
        assert [pair for pair in pairs if pair[1] != pair[2]] == []
        assert await other.scalar(text("SELECT lower(NULL)")) is None
    await sqlite.close()


_HOLD = "from tests.support.database.postgresql import PostgresqlServer as S; print(S().url, flush=True); input()"


@pytest.mark.parametrize("ending", ["kill", "terminate"])
async def test_the_server_of_the_tests_ends_with_them(ending: str) -> None:
    """However they end: no process stays, and no port is taken."""
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", _HOLD), cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    database = Database(dsn_of((await holder.stdout.readline()).decode().strip()))
    await database.ping()
    getattr(holder, ending)()
    await holder.communicate()
    with pytest.raises(OperationalError):  # noqa: PT012  # it takes a moment
        async with asyncio.timeout(20):
            while True:
                await database.ping()
                await asyncio.sleep(0.05)
    await database.close()
