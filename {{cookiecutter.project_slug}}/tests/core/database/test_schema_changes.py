"""The schema changes while the service runs, and versions of the service are replaced one after the other."""

import asyncio
import io
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from app.core.database.migrations import MIGRATIONS, alembic_config
from tests.conftest import StartService
from tests.support.database.databases import dsn_of
from tests.support.processes.command_line import CommandLine

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]

TOMORROW = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{revision}", "{before}", None, None
additive = {additive}


def upgrade():
    op.add_column("users", sa.Column("column_{revision}", sa.String(10)))


def downgrade():
    op.drop_column("users", "column_{revision}")
"""
# A table and its columns, an index, a trigger, a column that is empty or has a default: who does not know it need not
# name it.
ADDITIVE = re.compile(
    r"(CREATE TABLE|CREATE INDEX|CREATE FUNCTION|CREATE TRIGGER \S+ AFTER"
    r"|ALTER TABLE \S+ ADD COLUMN (?!.*NOT NULL(?!.*DEFAULT)|.*UNIQUE))\s?.*"
)


def migrate_as_tomorrow(folder: Path, url: str, additive: Sequence[bool]) -> None:
    """Apply the migrations of a newer version: today's, and one more for each that is given."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    scripts = ScriptDirectory(str(folder))
    (before,) = scripts.get_heads()
    for number, each in enumerate(additive):
        text = TOMORROW.format(revision=f"t{number}", before=before, additive=each)
        (folder / "versions" / f"t{number}.py").write_text(text, encoding="utf-8")
        before = f"t{number}"
    config = alembic_config(dsn_of(url))
    config.set_main_option("script_location", str(folder))
    command.upgrade(config, "head")


async def test_a_change_under_a_running_service_is_no_crash(start: StartService, postgresql_url: str) -> None:
    """A statement that was prepared before the change is prepared anew, or the answer is 503: at each change.

    That is at most two answers: one of the pool that reads, and one of that which writes. Each drops what it prepared.
    """
    changes = [f"ALTER TABLE users ALTER COLUMN display_name TYPE varchar({size})" for size in (400, 500, 600)]
    changes += [f"ALTER TABLE sessions ALTER COLUMN scope TYPE varchar({size})" for size in (4000, 5000)]
    async with start(database_url=postgresql_url) as service:
        person, tokens = await service.signed_in()
        for change in changes:
            refused = 0
            for _ in range(3):
                answers = [
                    await service.whoami(tokens),
                    await service.client.get("/api/v1/sessions", headers=tokens.bearer),
                    await service.client.patch(
                        "/api/v1/users/me", json={"display_name": change}, headers=tokens.bearer
                    ),
                    await service.try_sign_in(person.email, person.password),
                    await service.try_sign_in(person.email, "wrong"),
                ]
                assert answers[0].status_code == 200
                assert {answer.status_code for answer in answers} <= {200, 401, 503}
                refused += sum(answer.status_code == 503 for answer in answers)
            assert refused <= 2
            stranger = await asyncpg.connect(postgresql_url)
            await stranger.execute(change)
            await stranger.close()


async def test_a_version_starts_on_the_schema_of_the_next_ones(
    start: StartService, empty_database_url: str, tmp_path: Path
) -> None:
    """It serves, in production and in development, and `migrate` has nothing to do: additive migrations went ahead."""
    await asyncio.to_thread(migrate_as_tomorrow, tmp_path / "migrations", empty_database_url, [True, True])
    manage = CommandLine(tmp_path, empty_database_url)
    assert manage("migrate").code == 0
    assert manage("purge").code == 0
    for environment in ("production", "test"):
        async with start(environment=environment, database_url=empty_database_url) as service:
            await service.signed_in()


async def test_a_version_refuses_a_schema_that_it_does_not_work_with(
    start: StartService, empty_database_url: str, tmp_path: Path
) -> None:
    """A migration that takes something away is no longer compatible; to migrate again is not what helps."""
    await asyncio.to_thread(migrate_as_tomorrow, tmp_path / "migrations", empty_database_url, [True, False, True])
    manage = CommandLine(tmp_path, empty_database_url)
    for arguments in (("migrate",), ("purge",), ("audit", "verify")):
        done = manage(*arguments)
        assert done.code == 1
        assert "newer than this version" in done.err
        assert "manage migrate" not in done.err
    for environment in ("production", "test"):
        with pytest.raises(Exception, match="newer than this version"):
            async with start(environment=environment, database_url=empty_database_url):
                pass


async def test_a_newer_version_that_goes_back_leaves_the_older_one_able_to_start(
    start: StartService, empty_database_url: str, tmp_path: Path
) -> None:
    """After a downgrade the list in the database is that of the schema as it is then."""
    folder = tmp_path / "migrations"
    await asyncio.to_thread(migrate_as_tomorrow, folder, empty_database_url, [True, False])
    config = alembic_config(dsn_of(empty_database_url))
    config.set_main_option("script_location", str(folder))
    await asyncio.to_thread(command.downgrade, config, "t0")
    async with start(environment="production", database_url=empty_database_url) as service:
        await service.signed_in()


def additive_migrations() -> list[str]:
    """The revisions that say so."""
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    return [script.revision for script in scripts if getattr(script.module, "additive", False)]


@pytest.mark.parametrize("revision", additive_migrations())
async def test_a_migration_that_says_so_only_adds(revision: str) -> None:
    """Tables, columns, indexes and triggers, none of which the version before has to know."""
    output = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": output})
    script = ScriptDirectory(str(MIGRATIONS)).get_revision(revision)
    assert script is not None
    with Operations.context(context):
        script.module.upgrade()
    without_bodies = re.sub(r"\$\$.*?\$\$", "", output.getvalue(), flags=re.DOTALL)
    statements = [statement.strip() for statement in without_bodies.split(";") if statement.strip()]
    assert statements
    for statement in statements:
        assert ADDITIVE.match(" ".join(statement.split())), statement
