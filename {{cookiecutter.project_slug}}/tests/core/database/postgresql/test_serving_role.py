"""Two roles of PostgreSQL: one owns the schema and migrates, the other serves, and changes neither it nor the trail.

`manage migrate --serving-role` gives the second one its rights, after each migration anew.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.access.roles import Role
from app.core.database.database import Base
from app.core.database.migrations import upgrade
from tests.conftest import StartService
from tests.support.database.databases import dsn_of, migrate
from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.processes.command_line import CommandLine
from tests.support.records.mail import Mailbox
from tests.support.records.trail import actions, verified

pytestmark = [pytest.mark.anyio, pytest.mark.same_on_every_database]

ALL = {"SELECT", "INSERT", "UPDATE", "DELETE"}
RIGHTS = "SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = current_user"
NARROW = {
    "alembic_version": {"SELECT"},
    "audit_events": {"SELECT", "INSERT"},
    "audit_heads": {"SELECT", "INSERT", "UPDATE"},
    "compatible_revisions": {"SELECT"},
}
REFUSED = (
    "UPDATE audit_events SET outcome = 'success'",
    "UPDATE audit_events SET ip = NULL WHERE false",
    "DELETE FROM audit_events",
    "DELETE FROM audit_heads",
    *(f"TRUNCATE {table}" for table in Base.metadata.tables),
    "INSERT INTO audit_events SELECT * FROM audit_events ON CONFLICT (sequence) DO UPDATE SET ip = NULL",
    "ALTER TABLE audit_events DISABLE TRIGGER audit_events_append_only",
    "ALTER TABLE users ADD COLUMN more text",
    "DROP TABLE audit_events CASCADE",
    "DROP TRIGGER audit_events_append_only ON audit_events",
    "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER more BEFORE INSERT ON audit_events EXECUTE FUNCTION audit_refuse()",
    "CREATE RULE more AS ON INSERT TO audit_events DO INSTEAD NOTHING",
    "ALTER TABLE audit_events OWNER TO current_user",
    "CREATE TABLE more (a text)",
    "CREATE SCHEMA more",
    "UPDATE alembic_version SET version_num = '0001'",
    "DELETE FROM compatible_revisions",
    "SET session_replication_role = replica",
    "SET ROLE {owner}",
)


class Roles(NamedTuple):
    """The URLs of one database for both roles, and a command line that connects as the owner."""

    owner: str
    serving: str
    manage: CommandLine

    @property
    def name(self) -> str:
        """The role that serves."""
        return str(make_url(self.serving).username)

    async def migrate(self) -> None:
        """Migrate as the owner, and give the other role its rights."""
        await upgrade(dsn_of(self.owner), self.name)

    def as_serving(self, *command: str) -> str:
        """What a command says that the other role refuses, in one line."""
        code, out, err = self.manage.with_database(self.serving)(*command)
        assert (code, out, err.count("\n")) == (1, "", 1), (out, err)
        return err


@pytest.fixture(scope="module")
def template(postgresql: PostgresqlDatabases) -> Iterator[str]:
    """A database with the current schema, to be copied."""
    url = postgresql.create()
    migrate(url)
    yield url
    postgresql.drop(url)


@pytest.fixture
def roles(postgresql: PostgresqlDatabases, template: str, tmp_path: Path) -> Iterator[Roles]:
    """A new database with the current schema."""
    owner = postgresql.create(template)
    try:
        yield Roles(owner, postgresql.serving(owner), CommandLine(tmp_path, owner))
    finally:
        postgresql.drop(owner)


async def run(url: str, *statements: str) -> list[asyncpg.Record]:
    """Run statements, and return what the last one gives."""
    connection = await asyncpg.connect(url)
    try:
        answers: list[list[asyncpg.Record]] = [await connection.fetch(statement) for statement in statements]
        return answers[-1]
    finally:
        await connection.close()


async def rights(roles: Roles) -> dict[str, set[str]]:
    """What the role that serves may do with each table."""
    found: dict[str, set[str]] = {}
    for table, right in await run(roles.serving, RIGHTS):
        found.setdefault(table, set()).add(right)
    return found


@pytest.mark.asvs("13.2.2", "16.4.2")
async def test_the_service_serves_as_a_role_that_changes_neither_schema_nor_trail(
    start: StartService, roles: Roles, mailbox: Mailbox
) -> None:
    """Sign-in, writes, events, mail, refusals and the purge work; what else SQL can do, the database refuses."""
    await roles.migrate()
    async with start(database_url=roles.serving, secret_key=roles.manage.keys()[0]) as service:
        person, tokens = await service.signed_in(Role.ADMIN)
        answer = await service.client.patch("/api/v1/users/me", json={"display_name": "Ada"}, headers=tokens.bearer)
        assert answer.status_code == 200
        assert (await service.try_sign_in(person.email, "not the password")).status_code == 401
        forgot = await service.client.post("/api/v1/accounts/password/forgot", json={"email": person.email})
        assert forgot.status_code == 202
        await mailbox.wait(person.email)
        assert (await service.client.delete("/api/v1/sessions", headers=tokens.bearer)).status_code == 204
        assert {"signin_succeeded", "signin_failed", "password_reset_requested"} <= {*await actions(service)}
        connection = await asyncpg.connect(roles.serving)
        for statement in REFUSED:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):  # another error would be no refusal
                await connection.execute(statement.format(owner=make_url(roles.owner).username))
        await connection.execute("GRANT UPDATE ON audit_events TO current_user")  # a warning, and nothing else
        await connection.close()
        assert (await rights(roles))["audit_events"] == {"SELECT", "INSERT"}
        report = await verified(service)
        assert (report.flaw, report.rows) == (None, len(await actions(service)))
    for command in (("purge",), ("audit", "verify")):
        assert roles.manage.with_database(roles.serving)(*command).code == 0


async def test_every_table_has_its_rights_also_those_of_later_migrations(roles: Roles) -> None:
    """A table of a later migration is closed until `migrate` has run, then open; rights beyond are taken back."""
    await roles.migrate()
    tables = {*Base.metadata.tables, "alembic_version"}
    assert await rights(roles) == dict.fromkeys(tables, ALL) | NARROW
    making = 'CREATE TABLE "More Notes" (id serial PRIMARY KEY)'
    await run(roles.owner, making, f"GRANT ALL ON audit_events, users TO {roles.name}")
    adding = 'INSERT INTO "More Notes" DEFAULT VALUES'
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(roles.serving, adding)
    await roles.migrate()
    await run(roles.serving, adding)
    assert await rights(roles) == dict.fromkeys({*tables, "More Notes"}, ALL) | NARROW


async def test_what_belongs_to_others_is_left_to_them(roles: Roles, postgresql: PostgresqlDatabases) -> None:
    """A view of an extension in the schema, whose owner is the administrator, keeps nobody from migrating."""
    owner = make_url(roles.owner)
    administrator = make_url(postgresql.superuser_url).set(database=owner.database)
    await run(administrator.render_as_string(hide_password=False), "CREATE TABLE public.strange (a text)")
    await roles.migrate()
    assert "strange" not in await rights(roles)


async def test_a_role_that_would_have_more_is_refused(roles: Roles, postgresql: PostgresqlDatabases) -> None:
    """The owner, the administrator, and one that is not there: in one line, and nobody gets a right."""
    names = [str(make_url(url).username) for url in (roles.owner, postgresql.superuser_url)]
    for name in names:
        code, out, err = roles.manage("migrate", "--serving-role", name)
        assert (code, out) == (1, "")
        assert f"The role {name} has the rights of the one that migrates: name another one." in err
    assert "CREATE ROLE nobody LOGIN PASSWORD" in roles.manage("migrate", "--serving-role", "nobody").err
    assert await rights(roles) == {}
    code, out, err = roles.manage("migrate", "--serving-role", roles.name)
    assert (code, out) == (0, f"The schema is up to date. {roles.name} may serve.\n"), err


async def test_what_needs_the_owner_says_so(roles: Roles, tmp_path: Path) -> None:
    """Migrating and archiving as the role that serves end with one line, before anything is written."""
    assert "(permission denied for table alembic_version)" in roles.as_serving("migrate")
    await roles.migrate()
    roles.manage.create_admin("admin@service.example")
    said = roles.as_serving("audit", "archive", str(tmp_path / "a.jsonl"), "--before", "2999-01-01T00:00:00Z")
    assert "may not do this (must be owner of table audit_events). The one that owns the schema migrates" in said
    assert not (tmp_path / "a.jsonl").exists()
    assert roles.manage("audit", "verify").code == 0


async def test_the_check_before_a_deployment_tells_the_roles_apart(roles: Roles) -> None:
    """The owner of the schema is a warning, the role that serves is none."""
    await roles.migrate()
    for url, found in ((roles.owner, True), (roles.serving, False)):
        assert ("W013" in roles.manage("check", "--deploy", "--format", "json", DATABASE_URL=url).out) is found


async def test_sqlite_has_no_roles(tmp_path: Path) -> None:
    """The option says so, and makes nothing."""
    manage = CommandLine(tmp_path, f"sqlite:///{tmp_path}/app.db")
    code, _, err = manage("migrate", "--serving-role", "service")
    assert (code, err) == (1, "DATABASE_URL is SQLite, which has no roles: leave --serving-role out.\n")
