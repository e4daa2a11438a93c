"""The schema: its version, and its upgrade with Alembic.

Several processes may call `upgrade` at once: `migrations/env.py` takes a lock. The version before a migration with
`additive = True` still works after it. The database lists the revisions whose versions work with it, so that versions
can be replaced one process after the other.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Set as AbstractSet
from functools import cache
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import to_tuple
from pydantic import SecretStr
from sqlalchemy import Column, Connection, String, Table, delete, insert, inspect, select
from sqlalchemy.exc import OperationalError

from app.core.database.database import Base, Database
from app.core.private_files import make_private_folder, sqlite_file_problem, sqlite_path

MIGRATIONS = Path(__file__).resolve().parents[3] / "migrations"

_compatible = Table("compatible_revisions", Base.metadata, Column("revision", String(32), primary_key=True))

_log = structlog.get_logger("app")


class SchemaMismatchError(Exception):
    """The database has a schema that this version of the service does not work with."""


def alembic_config(database_url: SecretStr) -> Config:
    """Return the configuration with which Alembic finds the migrations and the database."""
    config = Config(attributes={"database_url": database_url})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


async def upgrade(database_url: SecretStr) -> None:
    """Bring the schema up to date, in a file and a folder made for it; raises `OperationalError` if that fails."""
    path = sqlite_path(database_url)
    if path is not None:
        if problem := sqlite_file_problem(path, migrates=True):
            raise OperationalError(None, None, sqlite3.OperationalError(problem))
        make_private_folder(path.parent)
    await asyncio.to_thread(command.upgrade, alembic_config(database_url), "head")


async def require_current(database: Database) -> None:
    """Raise `SchemaMismatchError` unless this version works with the schema."""
    async with database.read() as db:
        await (await db.connection()).run_sync(_require_current)


def is_newer(connection: Connection, scripts: ScriptDirectory) -> bool:
    """Whether a newer version has migrated the database; raises `SchemaMismatchError` if this one cannot serve then."""
    found = _applied(connection)
    if found <= {script.revision for script in scripts.walk_revisions()}:
        return False
    expected = set(scripts.get_heads())
    if not expected <= _working(connection):
        raise SchemaMismatchError(
            f"The database schema is at {_names(found)}, which is newer than this version and does not work with it: "
            f"it needs {_names(expected)}. Start a version that knows {_names(found)}."
        )
    _log.warning("schema_newer", schema=_names(found), version=_names(expected))
    return True


def mark_compatible(connection: Connection, scripts: ScriptDirectory) -> None:
    """Store in the database which revisions' versions work with its schema."""
    revisions = set(_compatible_with(scripts, _applied(connection)))
    if inspect(connection).has_table(_compatible.name) and revisions != _working(connection):
        connection.execute(delete(_compatible))
        connection.execute(insert(_compatible), [{"revision": revision} for revision in sorted(revisions)])


def _require_current(connection: Connection) -> None:
    found, expected = _applied(connection), set(_scripts().get_heads())
    if found != expected and not is_newer(connection, _scripts()):
        raise SchemaMismatchError(
            f"The database schema is at {_names(found)}, this version needs {_names(expected)}. "
            "Run `manage migrate`, then start again."
        )


@cache
def _scripts() -> ScriptDirectory:
    """Read the migrations once: the files do not change while a process runs."""
    return ScriptDirectory(str(MIGRATIONS))


def _applied(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())


def _working(connection: Connection) -> set[str]:
    if not inspect(connection).has_table(_compatible.name):
        return set()
    return set(connection.scalars(select(_compatible.c.revision)))


def _compatible_with(scripts: ScriptDirectory, heads: Iterable[str]) -> Iterable[str]:
    """Yield the heads, and the revisions before them as far back as each migration in between is additive."""
    for script in scripts.get_revisions(tuple(heads)):
        yield script.revision
        if getattr(script.module, "additive", False):
            yield from _compatible_with(scripts, to_tuple(script.down_revision, default=()))


def _names(revisions: AbstractSet[str]) -> str:
    return ", ".join(sorted(revisions)) or "nothing"
