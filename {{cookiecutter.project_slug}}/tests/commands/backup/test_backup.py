"""`manage backup` and `manage restore`: a copy that is whole, readable and private, or nothing."""

import asyncio
import secrets
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from app.assembly import opened
from app.core.database.database import Database
from app.core.mail.outbox import Mail, Outbox
from app.core.settings.model import Settings
from app.features.audit.models import AuditEvent
from app.features.audit.service import AuditTrail
from tests.commands.backup.conftest import PROGRAMS, Drill
from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.processes.command_line import CommandLine

pytestmark = pytest.mark.anyio


async def seal_a_mail(manage: CommandLine) -> None:
    """A row that only the key opens."""
    async with opened(manage.settings()) as services, services[Database].transaction() as db:
        await services[Outbox].add(db, Mail(to="a@people.example", subject="s", text="sealed canary", html="<p></p>"))


async def rows(settings: Settings) -> int:
    """How many rows the trail has."""
    async with opened(settings) as services, services[Database].read() as db:
        return await db.scalar(select(func.count()).select_from(AuditEvent)) or 0


def restored_settings(drill: Drill) -> Settings:
    """The settings of the commands, on the restored database."""
    return drill.manage.with_database(drill.empty_url).settings()


async def test_a_backup_is_restored_and_verified(drill: Drill, tmp_path: Path) -> None:
    """On both kinds of database: what was there is there, whole and readable, and both trails tell of it."""
    manage, file = drill.manage, tmp_path / "copies" / "one"
    await seal_a_mail(manage)
    before = await rows(manage.settings())
    done = manage("backup", "--to", str(file))
    assert done.code == 0, done.err
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(file.parent.iterdir()) == [file]
    assert b"sealed canary" not in file.read_bytes()
    restored = manage("restore", "--verify", str(file), **drill.elsewhere)
    assert restored.code == 0, restored.err
    assert f"The audit trail is whole: {before} rows." in restored.out
    assert "mail: one was opened" in restored.out
    assert await rows(restored_settings(drill)) == before + 1
    for settings, event in ((manage.settings(), "backup_made"), (restored_settings(drill), "database_restored")):
        async with opened(settings) as services:
            assert await services[AuditTrail].latest(event) is not None
    assert manage("audit", "verify", **drill.elsewhere).code == 0


def test_a_dump_that_postgresql_itself_made_is_a_backup(
    postgresql_drill: Drill, postgresql: PostgresqlDatabases, tmp_path: Path
) -> None:
    """Where there is no `manage`, or none with `pg_dump`: made by the role that serves, verified as every other one."""
    manage, elsewhere = postgresql_drill.manage, postgresql_drill.elsewhere
    asyncio.run(seal_a_mail(manage))
    serving = postgresql.serving(manage.database_url)
    assert manage("migrate", "--serving-role", str(make_url(serving).username)).code == 0
    file, before = tmp_path / "one.dump", asyncio.run(rows(manage.settings()))
    with file.open("wb") as dump:
        command = [str(PROGRAMS / "pg_dump"), "--format=custom", "--lock-wait-timeout=10s", serving]
        subprocess.run(command, stdout=dump, check=True)
    restored = manage("restore", "--verify", str(file), **elsewhere)
    assert restored.code == 0, restored.err
    assert f"The audit trail is whole: {before} rows." in restored.out
    assert "mail: one was opened" in restored.out
    # What the backup says of the role's rights is left out: it has none until a migration gives them.
    there = make_url(postgresql_drill.empty_url).database
    refused = manage(
        "audit", "verify", DATABASE_URL=make_url(serving).set(database=there).render_as_string(hide_password=False)
    )
    assert (refused.code, "may not do this (permission denied for table" in refused.err) == (1, True)


async def test_another_key_is_told_in_words_and_changes_nothing(drill: Drill, tmp_path: Path) -> None:
    """A backup without its key is nothing that can be used; an earlier key among the fallbacks is enough."""
    manage, file = drill.manage, tmp_path / "one"
    assert manage("backup", "--to", str(file)).code == 0
    key = manage.keys()[0]
    other = {**drill.elsewhere, "SECRET_KEY": secrets.token_urlsafe(64)}
    refused = manage("restore", str(file), **other)
    assert refused.code == 1
    assert "SECRET_KEY is not the key of this backup" in refused.err
    assert manage("audit", "verify", **other).code == 1  # no table has been made
    assert manage("restore", str(file), **other, SECRET_KEY_FALLBACKS=key).code == 0


async def test_a_database_in_use_is_replaced_only_on_request(drill: Drill, tmp_path: Path) -> None:
    """Refused without `--overwrite`; with it, what happened since the backup is gone."""
    manage, file = drill.manage, tmp_path / "one"
    assert manage("backup", "--to", str(file)).code == 0
    manage.create_admin("later@service.example")
    later = await rows(manage.settings())
    refused = manage("restore", str(file))
    assert (refused.code, "not empty" in refused.err) == (1, True)
    assert await rows(manage.settings()) == later
    done = manage("restore", "--overwrite", str(file))
    assert done.code == 0, done.err
    assert await rows(manage.settings()) < later
    manage.create_admin("later@service.example")


@pytest.mark.parametrize("damage", ["cut", "foreign", "other kind", "empty", "altered"])
async def test_a_damaged_file_changes_nothing(drill: Drill, tmp_path: Path, damage: str) -> None:
    """Half of it, a database or a dump of something else, and one in which a row of the trail was changed."""
    manage, file = drill.manage, tmp_path / "one"
    is_sqlite = manage.database_url.startswith("sqlite")
    if damage == "altered" and not is_sqlite:
        return  # a dump is compressed: there it is a file that is cut
    assert manage("backup", "--to", str(file)).code == 0
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "foreign":
        _make_foreign(manage, file, is_sqlite=is_sqlite)
    elif damage == "altered":
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript("DROP TRIGGER audit_events_no_update; UPDATE audit_events SET outcome = 'other'")
    else:
        file.write_bytes(b"PGDMP or SQLite" if damage == "other kind" else b"")
    before = await rows(manage.settings())
    for options, where in (((), drill.elsewhere), (("--overwrite",), {})):
        refused = manage("restore", *options, str(file), **where)
        assert refused.code == 1, refused.out
        assert refused.err
    assert await rows(manage.settings()) == before
    assert manage("audit", "verify").code == 0
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".live") or path.name.startswith(".rest")]


def _make_foreign(manage: CommandLine, file: Path, *, is_sqlite: bool) -> None:
    file.unlink()
    if is_sqlite:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE somebody (id INTEGER)")
    else:
        file.write_bytes(b"PGDMP" + secrets.token_bytes(5000))
