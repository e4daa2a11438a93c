"""The schema: applied, reversed, without drift, by several at once, and as `alembic` does it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, inspect

from app.core.database.database import Base, Database
from app.core.database.migrations import alembic_config, upgrade
from tests.conftest import StartService
from tests.support.database.databases import dsn_of
from tests.support.processes.server import PROJECT, environment

pytestmark = pytest.mark.anyio

_Result = TypeVar("_Result")


async def look(url: str, at: Callable[[Connection], _Result]) -> _Result:
    """What there is to see in a database."""
    database = Database(dsn_of(url))
    try:
        async with database.read() as db:
            return await (await db.connection()).run_sync(at)
    finally:
        await database.close()


def tables(connection: Connection) -> set[str]:
    """The tables that there are."""
    return set(inspect(connection).get_table_names())


def drift(connection: Connection) -> list[object]:
    """What the models say, and the database has not; or the other way round."""
    return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


async def test_applies_and_reverses(empty_database_url: str) -> None:
    """Up makes every table, down removes them, and up works again."""
    url = dsn_of(empty_database_url)
    await upgrade(url)
    assert {"users", "user_roles", "sessions", "refresh_tokens"} <= await look(empty_database_url, tables)
    await asyncio.to_thread(command.downgrade, alembic_config(url), "base")
    assert await look(empty_database_url, tables) == {"alembic_version"}
    await upgrade(url)
    assert await look(empty_database_url, drift) == []


async def test_makes_the_folder_of_a_file(tmp_path: Path) -> None:
    """A fresh clone has no `var/`."""
    path = tmp_path / "var" / "new" / "app.db"
    await upgrade(SecretStr(f"sqlite+aiosqlite:///{path}"))
    assert "users" in await look(f"sqlite:///{path}", tables)


async def test_leaves_no_drift(database_url: str) -> None:
    """The migrations make exactly what the models say."""
    assert await look(database_url, drift) == []


async def test_several_processes_can_migrate_at_once(empty_database_url: str) -> None:
    """Each ends well, and the schema is there once; `alembic upgrade head` is the same as `manage migrate`."""
    migrate = [sys.executable, "-c", "from app.manage import main; main()", "migrate"]
    alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
    running = [
        await asyncio.create_subprocess_exec(
            *arguments,
            cwd=PROJECT,
            env=environment(DATABASE_URL=empty_database_url),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for arguments in (migrate, alembic, migrate, alembic)
    ]
    for process in running:
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
    assert await look(empty_database_url, drift) == []


async def test_development_brings_the_schema_up_to_date_and_production_does_not(
    start: StartService, empty_database_url: str
) -> None:
    """In production an outdated schema stops the start."""
    with pytest.raises(Exception, match="manage migrate"):
        async with start(environment="production", database_url=empty_database_url):
            pass
    assert await look(empty_database_url, tables) == set()
    async with start(database_url=empty_database_url) as service:
        await service.signed_in()
