"""`manage purge`, as processes over a real database, beside a service that runs."""

import asyncio
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import func, insert, select, text

from app.assembly import RETENTION_JOBS
from app.core.clock import utc_now
from app.core.database.database import Database, table_of
from app.features.accounts.models import User
from app.features.sessions.models import HomeNetwork, Session
from app.features.signin.models import RefreshToken
from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import HOST, ServerProcess

PURGE = "purge"
HOME = "198.51.100.1"
T = TypeVar("T")


@pytest.fixture
def manage(command_line: CommandLine) -> CommandLine:
    """The command line, by its name."""
    return command_line


def fill(manage: CommandLine, sessions: int, *, days: float = 100, tokens: int = 2) -> None:
    """Sessions of one user that were over that long ago, with used refresh tokens, all from one home."""
    over = utc_now() - timedelta(days=days)
    user = User(id=uuid4(), email="old@people.example", mailbox=secrets.token_hex(8), created_at=utc_now())
    rows = [
        {
            "id": uuid4(),
            "user_id": user.id,
            "created_at": over,
            "authenticated_at": over,
            "last_seen_at": over + timedelta(microseconds=number),
            "expires_at": over + timedelta(days=90),
            "ended_at": over + timedelta(microseconds=number),
            "scope": "",
            "methods": "pwd",
            "ip": HOME,
            "user_agent": "",
        }
        for number in range(sessions)
    ]
    used = [
        {"token_hash": secrets.token_bytes(32), "session_id": row["id"], "created_at": over, "used_at": over}
        for row in rows
        for _ in range(tokens)
    ]

    async def work(database: Database) -> None:
        async with database.transaction() as db:
            db.add(user)
            await db.flush()
            await db.execute(insert(table_of(Session)), rows)
            await db.execute(insert(table_of(RefreshToken)), used)
            db.add(HomeNetwork(user_id=user.id, network=HOME, last_used_at=over))

    asyncio.run(with_database(manage, work))


async def with_database(manage: CommandLine, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do some work on the database of the commands."""
    database = Database(manage.settings().database_url)
    try:
        return await work(database)
    finally:
        await database.close()


def counts(manage: CommandLine) -> tuple[int, int]:
    """How many tokens and sessions there are."""

    async def work(database: Database) -> tuple[int, int]:
        async with database.read() as db:
            tokens, sessions = [
                int(await db.scalar(select(func.count()).select_from(table)) or 0) for table in (RefreshToken, Session)
            ]
            return tokens, sessions

    return asyncio.run(with_database(manage, work))


def report(tokens: int, sessions: int, what: str = "deleted", *, homes: int = 0) -> str:
    """What the command says where nothing else is over."""
    counts = {"refresh tokens": tokens, "sessions": sessions, "home networks": homes}
    return "".join(f"{job.name}: {counts.get(job.name, 0)} {what}\n" for job in RETENTION_JOBS)


def test_deletes_in_batches_what_is_over(manage: CommandLine) -> None:
    """The forecast is what is then deleted, a second run has nothing to do, and what is not over long enough stays."""
    fill(manage, 1201)
    fill(manage, 3, days=29)
    forecast = manage(PURGE, "--dry-run")
    assert forecast[:2] == (0, report(2402, 1201, "to delete"))
    assert counts(manage) == (2408, 1204)
    assert manage(PURGE)[:2] == (0, report(2402, 1201))
    assert counts(manage) == (6, 3)
    assert manage(PURGE)[:2] == (0, report(0, 0))


def test_the_retention_is_a_setting(manage: CommandLine) -> None:
    """A shorter one deletes more; home networks have one of their own."""
    fill(manage, 10, days=20)
    assert manage(PURGE)[1] == report(0, 0)
    assert manage(PURGE, RETENTION_DAYS="10")[1] == report(20, 10)
    assert manage(PURGE, RETENTION_ADDRESS_DAYS="10")[1] == report(0, 0, homes=1)
    code, _, err = manage(PURGE, RETENTION_DAYS="0")
    assert (code, "RETENTION_DAYS" in err) == (1, True)


def test_a_trail_that_takes_no_row_is_told_in_one_line(manage: CommandLine) -> None:
    """A command that cannot record what it did says so, and shows no traceback of Python's."""

    async def lose_the_heads(database: Database) -> None:
        async with database.transaction() as db:
            await db.execute(text("ALTER TABLE audit_heads RENAME TO lost_heads"))

    asyncio.run(with_database(manage, lose_the_heads))
    code, _, err = manage(PURGE)
    # A thread writes the log, whose line may come before or after.
    assert (code, err.splitlines().count("The audit trail cannot be written."), "Traceback" in err) == (1, 1, False)


def test_a_large_forecast_is_bounded(manage: CommandLine) -> None:
    """It holds the database for a moment only, and says that there is more."""
    fill(manage, 400, tokens=26)
    assert "refresh tokens: 10000 or more to delete" in manage(PURGE, "--dry-run")[1]


def test_two_at_once_share_the_work(manage: CommandLine) -> None:
    """Both end well, and together they deleted each row once."""
    fill(manage, 1501)
    running = [manage.start(PURGE) for _ in range(2)]
    ended = [command.end() for command in running]
    assert [done.code for done in ended] == [0, 0]
    deleted = [[int(line.rsplit(" ", 2)[1]) for line in done.out.splitlines()] for done in ended]
    assert sorted(sum(column) for column in zip(*deleted, strict=True))[-3:] == [0, 1501, 3002]
    assert counts(manage) == (0, 0)


def test_killed_in_the_middle_it_can_be_run_again(manage: CommandLine) -> None:
    """What was deleted is deleted, the rest goes with the next run."""
    fill(manage, 2001)
    for _ in range(2):
        left = counts(manage)
        with manage.start(PURGE) as command:
            while command.process.poll() is None and counts(manage) == left:
                time.sleep(0.01)
            command.process.send_signal(signal.SIGKILL)
        assert (0, 0) < counts(manage) < left
    assert manage(PURGE)[0] == 0
    assert counts(manage) == (0, 0)


def test_the_service_writes_meanwhile(manage: CommandLine) -> None:
    """Somebody refreshes while thousands of rows go, and no answer is an error or takes seconds."""
    fill(manage, 5001)
    password = manage.create_admin("ada@people.example")
    server = ServerProcess(manage.folder, SECRET_KEY="", DATABASE_URL=manage.database_url)
    with server, httpx2.Client(base_url=f"http://{HOST}:{server.port}", timeout=20) as client:
        answer = client.post("/api/v1/signin", json={"email": "ada@people.example", "password": password})
        command, slowest, during = manage.start(PURGE), 0.0, 0
        while command.process.poll() is None:
            form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
            begin = time.monotonic()
            answer = client.post("/oauth/token", data=form)
            slowest = max(slowest, time.monotonic() - begin)
            assert answer.status_code == 200, answer.text
            during += 1
    assert command.end()[:2] == (0, report(10002, 5001))
    assert during > 10
    assert slowest < 5


def test_says_in_words_what_is_wrong(manage: CommandLine, tmp_path: Path) -> None:
    """A schema of another version, and a database that is not there."""
    code, _, err = manage(PURGE, DATABASE_URL=f"sqlite:///{tmp_path / 'new.db'}")
    assert (code, "manage migrate" in err) == (1, True)
    code, _, err = manage(PURGE, "--dry-run", DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'folder.db'}")
    assert (code, f"the folder {tmp_path / 'no'} does not exist" in err) == (1, True)
