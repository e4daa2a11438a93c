"""How Alembic reaches the database: the URL of the settings, one lock, one transaction."""

import asyncio
from pathlib import Path
from typing import Literal

from alembic import context
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript
from alembic.util import CommandError
from pydantic import SecretStr
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.assembly import FEATURES, load_settings
from app.core.database.database import Base
from app.core.database.migrations import grant_serving_rights, is_newer, mark_compatible
from app.core.database.postgresql import postgresql_engine
from app.core.private_files import make_private_file, make_private_folder

# The models that `alembic revision --autogenerate` compares with the database.
MODELS = tuple(model for feature in FEATURES for model in feature.tables)

# As they stand in a migration: nothing of the service, which changes while migrations do not.
_PLAIN_TYPES = {"UtcDateTime": "sa.DateTime(timezone=True)", "Uuid": "sa.Uuid()"}

_LOCK_ID = 0x6D69_6772_6174_6500
_SQLITE_LOCK_SECONDS = 60
_TABLE_LOCK_SECONDS = 10
# On SQLite the driver must not open transactions of its own: `migrate` does.
_SQLITE_OPTIONS = {"timeout": _SQLITE_LOCK_SECONDS, "isolation_level": None}


def database_url() -> SecretStr:
    """Return the database of the code that called Alembic, or the one of the settings."""
    given: SecretStr | None = context.config.attributes.get("database_url")
    return given or load_settings().database_url


def render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write a column's type without importing the service; False leaves it to Alembic."""
    return _PLAIN_TYPES.get(type(item).__name__, False) if kind == "type" else False


def number(context_: object, revision: object, directives: list[MigrationScript]) -> None:  # noqa: ARG001  # Alembic's
    """Give a new migration the next number from 1001: the template has those below. Write none that changes nothing."""
    for script in directives:
        if script.upgrade_ops is not None and script.upgrade_ops.is_empty() and autogenerates():
            directives.clear()
            return
        numbers = [int(path.name[:4]) for path in Path(context.script.versions).glob("[0-9][0-9][0-9][0-9]_*.py")]
        script.rev_id = f"{max(1000, *numbers) + 1}"


def autogenerates() -> bool:
    """Whether `alembic revision` was asked to find the changes itself."""
    return bool(getattr(context.config.cmd_opts, "autogenerate", False))


def migrate(connection: Connection) -> None:
    """Migrate in one transaction, after every other process that migrates.

    On PostgreSQL a change that has to wait long for a table gives up: whoever wants the table after it waits behind it.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        connection.execute(text(f"SET LOCAL lock_timeout = '{_TABLE_LOCK_SECONDS}s'"))
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=is_sqlite,
        transactional_ddl=True,
        render_item=render_item,
        process_revision_directives=number,
    )
    with context.begin_transaction():
        newer = is_newer(connection, context.script)
        if newer and autogenerates():
            raise CommandError(
                "The database has migrations whose files are gone. Bring them back, undo them with `alembic downgrade`,"
                " and remove them then."
            )
        if not newer:
            catch_up(connection)
            context.run_migrations()
            mark_compatible(connection, context.script)
        if serving_role := context.config.attributes.get("serving_role"):
            grant_serving_rights(connection, serving_role)


def catch_up(connection: Connection) -> None:
    """Apply the migrations of an option that the project has got later, below what the database has.

    Such a migration names in `option` the first table of its option: what is missing shows that none of them ran.
    """
    steps, there = context.get_context(), set(inspect(connection).get_table_names())
    missing = {model.__tablename__ for model in MODELS} - there
    below = context.script.iterate_revisions(steps.get_current_heads(), "base")
    with Operations.context(steps):
        for script in reversed([*below]):
            if getattr(script.module, "option", None) in missing:
                script.module.upgrade()


async def main() -> None:
    """Open one connection for the migration."""
    dsn = database_url().get_secret_value()
    if dsn.startswith("sqlite"):
        path = Path(make_url(dsn).database or "")
        make_private_folder(path.parent)
        make_private_file(path)
        engine = create_async_engine(dsn, connect_args=_SQLITE_OPTIONS, hide_parameters=True)
    else:
        engine = postgresql_engine(dsn, application="app migration", limits={})
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(main())
