"""The schema: applied, reversed, without drift, by several at once, and as `alembic` does it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import create_engine, inspect

from app.core.database import Base
from app.core.migrations import alembic_config, upgrade
from tests.conftest import StartService
from tests.support.server import PROJECT, environment

pytestmark = pytest.mark.anyio


def tables(path: Path) -> set[str]:
    """The tables in a file."""
    engine = create_engine(f"sqlite:///{path}")
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


async def test_applies_and_reverses(tmp_path: Path) -> None:
    """Up makes every table in a folder that was not there, down removes them, and up works again."""
    path = tmp_path / "var" / "new" / "app.db"
    url = SecretStr(f"sqlite+aiosqlite:///{path}")
    await upgrade(url)
    assert {"users", "user_roles", "sessions", "refresh_tokens"} <= tables(path)
    await asyncio.to_thread(command.downgrade, alembic_config(url), "base")
    assert tables(path) == {"alembic_version"}
    await upgrade(url)
    assert "users" in tables(path)


def test_leaves_no_drift(migrated_database: Path) -> None:
    """The migrations make exactly what the models say."""
    engine = create_engine(f"sqlite:///{migrated_database}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_several_processes_can_migrate_at_once(tmp_path: Path) -> None:
    """Each ends well, and the schema is there once; `alembic upgrade head` is the same as `manage migrate`."""
    path = tmp_path / "app.db"
    migrate = [sys.executable, "-c", "from app.manage import main; main()", "migrate"]
    alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
    running = [
        subprocess.Popen(
            arguments,
            cwd=PROJECT,
            env=environment(tmp_path, DATABASE_URL=f"sqlite:///{path}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for arguments in (migrate, alembic, migrate, alembic)
    ]
    for process in running:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output.decode()
    assert "users" in tables(path)


async def test_development_brings_the_schema_up_to_date_and_production_does_not(
    start: StartService, tmp_path: Path
) -> None:
    """In production an outdated schema stops the start."""
    new = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(Exception, match="uv run manage migrate"):
        async with start(environment="production", database_url=new):
            pass
    async with start(database_url=new) as service:
        await service.signed_in()
