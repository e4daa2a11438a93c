"""`manage backup` and `manage restore`: a copy of the database, and the proof that it is one.

SQLite is copied by its online backup, PostgreSQL by its own programs. A copy is made in a private folder beside its
place, and moved there when it is whole.
"""

import asyncio
import itertools
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from pydantic import SecretStr
from sqlalchemy import URL, inspect, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from app.assembly import RESEAL_JOBS, SETTINGS, make_services, opened
from app.commands.support import database_faults, fail, file_faults, note, say, settings_or_exit
from app.core.clock import utc_now
from app.core.crypto import KeyRing
from app.core.database.batches import foreseen
from app.core.database.database import Database
from app.core.database.migrations import upgrade
from app.core.errors import Problem
from app.core.events import UpkeepEvent, emit_event
from app.core.logging.redaction import redact_text
from app.core.private_files import make_private_file, make_private_folder, sqlite_path
from app.core.settings.model import Settings
from app.features.audit.models import AuditEvent, AuditHead
from app.features.audit.service import AuditTrail
from app.features.audit.trail.chain import ChainKeys

_SQLITE_BEGINS, _DUMP_BEGINS = b"SQLite format 3\0", b"PGDMP"
_BUSY_SECONDS = 5
_MOST_ATTEMPTS = 20
_LOCK_WAIT = "10s"
_DUMP = ("--format=custom", f"--lock-wait-timeout={_LOCK_WAIT}")
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
    if source is not None and not os.access(source, os.R_OK):
        fail(f"DATABASE_URL names {source}, and there is no such file that this user can read.")
    place = (to or Path("var/backup")).absolute()
    with file_faults(f"{place} cannot be written", "Nothing is left of it."):
        if to is None or place.is_dir():
            place /= f"{utc_now():%Y%m%dT%H%M%SZ}.{'db' if source else 'dump'}"
        if place.exists():
            fail(f"{place} exists: a backup replaces nothing.")
        with _beside(place) as file:
            if source is not None:
                _copy_sqlite(source, file)
                _finish_sqlite(file)
            else:
                _run_program("pg_dump", *_DUMP, f"--file={file}", url=settings.database_url)
            with file.open("rb+") as written:
                os.fsync(written.fileno())
            file.replace(place)
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
    begins = _SQLITE_BEGINS if target else _DUMP_BEGINS
    with file.open("rb") as opened_file:
        if opened_file.read(len(begins)) != begins:
            fail(f"{file} is no backup of the kind of database that DATABASE_URL names. Nothing was changed.")
    with database_faults():
        is_there = target is None or os.access(target, os.F_OK)
        if is_there and not overwrite and not asyncio.run(is_empty(settings)):
            fail("DATABASE_URL names a database that is not empty. Name another one, or say --overwrite.")
        if target is not None:
            with file_faults(f"{file} cannot be restored to {target}", "Nothing was changed."), _beside(target) as copy:
                # A copy is migrated and verified, and only then what is there is replaced.
                shutil.copyfile(file, copy)
                _finish_sqlite(copy)
                url = URL.create("sqlite+aiosqlite", database=str(copy)).render_as_string(hide_password=False)
                asyncio.run(accept(settings.model_copy(update={"database_url": SecretStr(url)}), verify=verify))
                make_private_file(target)
                _copy_sqlite(copy, target)
        else:
            names = _key_ids_in(file)
            if verify:
                require_key(settings, names, "Nothing was changed.")
            into = f"--dbname={make_url(settings.database_url.get_secret_value()).database}"
            _run_program("pg_restore", *_RESTORE, into, str(file), url=settings.database_url)
            asyncio.run(accept(settings, verify=verify))
    asyncio.run(_record(settings, UpkeepEvent.DATABASE_RESTORED))
    say("The database is restored.")


async def _record(settings: Settings, event: UpkeepEvent) -> None:
    try:
        async with make_services(settings) as services, services[Database].transaction():
            emit_event(event, outcome="success")
    except (Problem, SQLAlchemyError) as error:
        note(f"The audit trail did not take the row that says so ({type(error).__name__}).", colour="yellow")


async def is_empty(settings: Settings) -> bool:
    """Return whether nothing has ever happened in the database: it has no table, or nothing in its trail."""
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


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """Give the path of an empty private file on the same disk as `place`, which is gone after the block."""
    make_private_folder(place.parent)
    with TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as folder:
        file = Path(folder, place.name)
        make_private_file(file)
        yield file


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment into another file, in one transaction, while others use both.

    Raises `sqlite3.Error`; then the target is as it was.
    """
    attempts = itertools.count(1)

    def give_up(*_: int) -> None:
        if next(attempts) > _MOST_ATTEMPTS:
            raise sqlite3.OperationalError("another process holds its lock: stop the service")

    with (
        closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as reader,
        closing(sqlite3.connect(target, timeout=_BUSY_SECONDS)) as writer,
    ):
        reader.backup(writer, progress=give_up)


def _finish_sqlite(file: Path) -> None:
    """Make the file whole in itself, without a journal, and check it; raises `sqlite3.Error`."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)


def _key_ids_in(dump: Path) -> list[bytes]:
    """Return the names of the keys in the heads of the trail in a dump; exits with a message if it is no whole dump."""
    rows = _run_program("pg_restore", "--data-only", "--table=audit_heads", "--file=-", str(dump))
    found = re.search(r"^COPY \S*audit_heads \((.*)\) FROM stdin;\n((?:\d.*\n)+)", rows, re.MULTILINE)
    if found is None:
        return []
    place = found[1].split(", ").index("key_id")
    return [bytes.fromhex(line.split("\t")[place].removeprefix("\\\\x")) for line in found[2].splitlines()]


def _run_program(name: str, *arguments: str, url: SecretStr | None = None) -> str:
    """Run a program of PostgreSQL, and return what it says; it gets the password in its environment."""
    program = shutil.which(name)
    if program is None:
        hint = "An image of the service has none: docs/backup.md says how to make the same file beside the server."
        fail(f"{name} is not on the PATH. Install PostgreSQL's client programs, not older than the server. {hint}")
    settings = SETTINGS.with_named().model_fields
    own = {key: value for key, value in os.environ.items() if key.lower() not in settings}
    variables = own | (_variables(url) if url else {})
    done = subprocess.run(
        [program, *arguments], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        fail(f"{name} failed: {redact_text(done.stderr.strip()[-1000:])}")
    return done.stdout


def _variables(database_url: SecretStr) -> dict[str, str]:
    """Translate `DATABASE_URL` to what libpq reads from the environment."""
    url = make_url(database_url.get_secret_value())
    _, options = url.get_dialect()().create_connect_args(url)
    options["options"] = f"{options.get('options', '')} -c lock_timeout={_LOCK_WAIT}"
    options["targetsessionattrs"] = options.pop("target_session_attrs", "any")
    joined = {name: ",".join(map(str, each)) if isinstance(each, list) else str(each) for name, each in options.items()}
    return {f"PG{name.upper()}": text for name, text in joined.items()}
