"""The schema: where it stands, and bringing it up to date with Alembic.

`upgrade` is safe when several processes call it at once: `migrations/env.py` takes a lock in the database first.
"""

import asyncio
import sqlite3
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from app.core.database import Database
from app.core.private_files import make_private_folder
from app.core.sqlite_file import sqlite_file_problem, sqlite_path

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


class OutdatedSchemaError(Exception):
    """The database does not have the schema that this version of the service needs."""


def alembic_config(database_url: SecretStr) -> Config:
    """The configuration with which Alembic finds the migrations and the database."""
    config = Config(attributes={"database_url": database_url})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


async def upgrade(database_url: SecretStr) -> None:
    """Bring the schema up to date; the folder of an SQLite file is made if it is missing.

    Raises `OperationalError` if the file cannot be used.
    """
    path = sqlite_path(database_url)
    if path is not None:
        problem = sqlite_file_problem(path, migrates=True)
        if problem is not None:
            raise OperationalError(None, None, sqlite3.OperationalError(problem))
        make_private_folder(path.parent)
    await asyncio.to_thread(command.upgrade, alembic_config(database_url), "head")


async def require_current(database: Database) -> None:
    """Raise `OutdatedSchemaError` unless the schema is exactly the one of this version."""
    expected = _expected()
    async with database.read() as unit:
        found = await (await unit.connection()).run_sync(_applied)
    if found != expected:
        message = (
            f"The database schema is at {_names(found)}, this version needs {_names(expected)}. "
            "Run `manage migrate`, then start again."
        )
        raise OutdatedSchemaError(message)


@cache
def _expected() -> frozenset[str]:
    """The newest revisions. They are files, which do not change while a process runs."""
    return frozenset(ScriptDirectory(str(MIGRATIONS)).get_heads())


def _applied(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())


def _names(revisions: AbstractSet[str]) -> str:
    return ", ".join(sorted(revisions)) or "nothing"
