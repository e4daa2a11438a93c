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
from sqlalchemy import Column, Connection, String, Table, delete, insert, inspect, select, text
from sqlalchemy.exc import OperationalError

from app.core.database.database import SERVING_RIGHTS, Base, Database
from app.core.private_files import make_private_folder, sqlite_file_problem, sqlite_path

MIGRATIONS = Path(__file__).resolve().parents[3] / "migrations"

_compatible = Table(
    "compatible_revisions",
    Base.metadata,
    Column("revision", String(32), primary_key=True),
    info={SERVING_RIGHTS: "SELECT"},
)
_ALL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
_OWNS = text("SELECT pg_has_role(oid, current_user, 'MEMBER') FROM pg_roles WHERE rolname = :role")
# What others own, such as the views of an extension, is not ours to give.
_OWN_RELATIONS = text(
    "SELECT relname, relkind = 'S' FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    " AND relkind IN ('r', 'p', 'S') AND pg_has_role(relowner, 'MEMBER')"
)

_log = structlog.get_logger("app")


class SchemaMismatchError(Exception):
    """The database has a schema that this version of the service does not work with."""


class ServingRoleError(Exception):
    """The role that is named cannot be given what serving needs, and nothing more."""


def alembic_config(database_url: SecretStr, serving_role: str | None = None) -> Config:
    """Return the configuration with which Alembic finds the migrations and the database."""
    config = Config(attributes={"database_url": database_url, "serving_role": serving_role})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


async def upgrade(database_url: SecretStr, serving_role: str | None = None) -> None:
    """Bring the schema up to date, in a file and a folder made for it; raises `OperationalError` if that fails.

    `serving_role` gets its rights in the same transaction; raises `ServingRoleError`.
    """
    path = sqlite_path(database_url)
    if path is not None:
        if problem := sqlite_file_problem(path, migrates=True):
            raise OperationalError(None, None, sqlite3.OperationalError(problem))
        make_private_folder(path.parent)
    await asyncio.to_thread(command.upgrade, alembic_config(database_url, serving_role), "heads")


async def require_current(database: Database) -> None:
    """Raise `SchemaMismatchError` unless this version works with the schema."""
    async with database.read() as db:
        await (await db.connection()).run_sync(_require_current)


def is_newer(connection: Connection, scripts: ScriptDirectory) -> bool:
    """Return whether a newer version has migrated the database; raises `SchemaMismatchError` if this cannot serve."""
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


def grant_serving_rights(connection: Connection, role: str) -> None:
    """Let a role of PostgreSQL that owns nothing serve: it gets these rights on every table, and loses all others."""
    if connection.dialect.name == "sqlite":
        raise ServingRoleError("DATABASE_URL is SQLite, which has no roles: leave --serving-role out.")
    owns = connection.scalar(_OWNS, {"role": role})
    if owns is None:
        raise ServingRoleError(f"There is no role {role}. Make it first: CREATE ROLE {role} LOGIN PASSWORD '…';")
    if owns:
        raise ServingRoleError(f"The role {role} has the rights of the one that migrates: name another one.")
    quote = connection.dialect.identifier_preparer.quote_identifier
    schema, role = quote(connection.scalar(text("SELECT current_schema()")) or "public"), quote(role)
    narrow = {table.name: table.info.get(SERVING_RIGHTS, _ALL_RIGHTS) for table in Base.metadata.tables.values()}
    narrow["alembic_version"] = "SELECT"
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    # Up to PostgreSQL 14 everybody may create tables in `public`; only who owns it can end that.
    connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}")
    for name, is_sequence in connection.execute(_OWN_RELATIONS).all():
        what = f"{'SEQUENCE' if is_sequence else 'TABLE'} {schema}.{quote(name)}"
        rights = "SELECT, USAGE, UPDATE" if is_sequence else narrow.get(name, _ALL_RIGHTS)
        connection.exec_driver_sql(f"REVOKE ALL ON {what} FROM {role}")
        connection.exec_driver_sql(f"GRANT {rights} ON {what} TO {role}")


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
