"""`manage backup` and `manage restore`: a copy of the database, and the proof that it is one."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

import typer
from pydantic import SecretStr
from sqlalchemy import URL, inspect, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from app.assembly import RESEAL_JOBS, make_services, opened
from app.commands.backup import copies
from app.commands.support import database_faults, fail, note, say, settings_or_exit
from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.core.database.batches import foreseen
from app.core.database.database import Database
from app.core.database.migrations import upgrade
from app.core.errors import Problem
from app.core.events import UpkeepEvent, emit_event
from app.core.private_files import make_private_file, sqlite_path
from app.core.settings.model import Settings
from app.features.audit.models import AuditEvent, AuditHead
from app.features.audit.service import AuditTrail
from app.features.audit.trail.chain import ChainKeys

_DUMP = ("--format=custom", f"--lock-wait-timeout={copies.LOCK_WAIT}")
# Everything or nothing; what belongs to others, belongs to the role that restores.
_RESTORE = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")


def backup(
    to: Annotated[Path | None, typer.Option("--to", help="A new file, or a folder. Unset: var/backup.")] = None,
) -> None:
    """Copy the database while the service runs, to a file that its owner alone can read.

    What is sealed stays sealed: keep SECRET_KEY apart from the copy, and as long.
    """
    settings = settings_or_exit()
    source = sqlite_path(settings.database_url)
    if source is not None and not source.is_file():
        fail(f"DATABASE_URL names {source}, and there is no such file.")
    place = (to or Path("var/backup")).absolute()
    if to is None or place.is_dir():
        place /= f"{utc_now():%Y%m%dT%H%M%SZ}.{'db' if source else 'dump'}"
    if place.exists():
        fail(f"{place} exists: a backup replaces nothing.")
    with _faults(f"{place} cannot be written", "Nothing is left of it."):
        _write(settings, source, place)
    say(f"{place} holds the database ({place.stat().st_size} bytes).")
    asyncio.run(_record(settings, UpkeepEvent.BACKUP_MADE))


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `manage backup` made.")],
    *,
    verify: Annotated[
        bool, typer.Option(help="Verify the audit trail, and open what is sealed, before it counts as restored.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a database that is not empty.")] = False,
) -> None:
    """Put a backup into the place of the database that DATABASE_URL names, and bring its schema up to date.

    Stop the service first. Everything or nothing is replaced: a file that is truncated or foreign changes nothing.
    """
    settings = settings_or_exit()
    target = sqlite_path(settings.database_url)
    begins = copies.SQLITE_BEGINS if target else copies.DUMP_BEGINS
    with file.open("rb") as opened_file:
        if opened_file.read(len(begins)) != begins:
            fail(f"{file} is no backup of the kind of database that DATABASE_URL names. Nothing was changed.")
    with database_faults():
        is_there = target is None or target.is_file()
        if is_there and not overwrite and not asyncio.run(is_empty(settings)):
            fail("DATABASE_URL names a database that is not empty. Name another one, or say --overwrite.")
        if target is not None:
            with _faults(f"{file} cannot be restored", "Nothing was changed."):
                _restore_sqlite(settings, file, target, verify=verify)
        else:
            _restore_postgresql(settings, file, verify=verify)
    asyncio.run(_record(settings, UpkeepEvent.DATABASE_RESTORED))
    say("The database is restored.")


@contextmanager
def _faults(what: str, state: str) -> Iterator[None]:
    """Exit with a message if the block cannot read or write a file."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        fail(f"{what} ({getattr(error, 'strerror', None) or error}). {state}")


def _write(settings: Settings, source: Path | None, place: Path) -> None:
    with copies.beside(place) as file:
        if source is not None:
            copies.copy_sqlite(source, file)
            copies.finish_sqlite(file)
        else:
            copies.run_program("pg_dump", *_DUMP, f"--file={file}", url=settings.database_url)
        with file.open("rb+") as written:
            os.fsync(written.fileno())
        file.replace(place)


def _restore_sqlite(settings: Settings, file: Path, target: Path, *, verify: bool) -> None:
    """Migrate and verify a copy, and only then replace what is there."""
    with copies.beside(target) as copy:
        shutil.copyfile(file, copy)
        copies.finish_sqlite(copy)
        url = URL.create("sqlite+aiosqlite", database=str(copy)).render_as_string(hide_password=False)
        asyncio.run(accept(settings.model_copy(update={"database_url": SecretStr(url)}), verify=verify))
        make_private_file(target)
        copies.copy_sqlite(copy, target)


def _restore_postgresql(settings: Settings, file: Path, *, verify: bool) -> None:
    names = copies.key_ids_in(file)
    if verify:
        require_key(settings, names, "Nothing was changed.")
    into = f"--dbname={make_url(settings.database_url.get_secret_value()).database}"
    copies.run_program("pg_restore", *_RESTORE, into, str(file), url=settings.database_url)
    asyncio.run(accept(settings, verify=verify))


async def _record(settings: Settings, event: UpkeepEvent) -> None:
    try:
        async with make_services(settings) as services, services[Database].transaction():
            emit_event(event, outcome="success")
    except (Problem, SQLAlchemyError) as error:
        note(f"The audit trail did not take the row that says so ({type(error).__name__}).", colour="yellow")


async def is_empty(settings: Settings) -> bool:
    """Whether nothing has ever happened in the database: it has no table, or nothing in its trail."""
    async with Database(settings.database_url) as database:
        tables = await _tables(database)
        if AuditEvent.__tablename__ not in tables:
            return not tables
        async with database.read() as db:
            return await db.scalar(select(AuditEvent.sequence).limit(1)) is None


async def accept(settings: Settings, *, verify: bool) -> None:
    """Bring the schema of a restored database up to date and verify it; exits with a message if it cannot be used."""
    async with Database(settings.database_url) as database:
        if AuditHead.__tablename__ not in await _tables(database):
            fail("The backup is not one of this service: it has no audit trail.")
    await upgrade(settings.database_url)
    if verify:
        await _verify(settings)


def require_key(settings: Settings, names: Sequence[bytes], state: str) -> None:
    """Exit with a message unless the settings have a key of these names, with which the shards of the trail end."""
    chain = ChainKeys(KeyRing(settings.secret_key, settings.secret_key_fallbacks))
    if any(names) and not any(map(chain.knows, names)):
        fail(
            "SECRET_KEY is not the key of this backup, and none of SECRET_KEY_FALLBACKS is: set the keys of its time."
            f" {state}"
        )


async def _verify(settings: Settings) -> None:
    async with opened(settings) as services:
        async with services[Database].read() as db:
            names = (await db.scalars(select(AuditHead.key_id))).all()
        require_key(settings, names, "It is not verified.")
        report = await services[AuditTrail].verification().run()
        if report.flaw is not None:
            fail(f"The audit trail is not whole: {report.flaw}")
        say(f"The audit trail is whole: {report.rows} rows.")
    # With another current key, every sealed row is one to seal anew: it is opened for that, and rolled back.
    fallbacks = (settings.secret_key, *settings.secret_key_fallbacks)
    later = settings.model_copy(update={"secret_key": SecretStr(token_urlsafe(64)), "secret_key_fallbacks": fallbacks})
    async with make_services(later) as services:
        for job in RESEAL_JOBS:
            if job.delays_rotation:
                count = await foreseen(services[Database], partial(job.service(services).reseal, limit=1))
                say(f"{job.name}: {'one was opened' if count else 'none is sealed'}")


async def _tables(database: Database) -> set[str]:
    async with database.read() as db:
        return set(await (await db.connection()).run_sync(lambda connection: inspect(connection).get_table_names()))
