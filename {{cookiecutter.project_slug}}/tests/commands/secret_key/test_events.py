"""The keys of `.env` in the audit trail: each change is a row, and the trail is whole after it, whoever was killed."""

import asyncio
import json
import signal
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.crypto import KeyRing, key_id
from app.core.database.database import Database
from app.features.audit.service import AuditTrail, Filters
from app.features.audit.trail.chain import TRAIL_KEY
from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import HOST, ServerProcess

pytestmark = pytest.mark.asvs("16.3.3", "16.4.2")

ROTATE = "rotate-secret-key"
RETIRE = (ROTATE, "--retire", "--yes")

Row = dict[str, Any]


@pytest.fixture
def manage(command_line: CommandLine) -> CommandLine:
    """The command line, with a trail that has begun."""
    command_line.create_admin("ada@people.example")
    return command_line


def trail(manage: CommandLine) -> list[Row]:
    """Every row, oldest first, once they are known to be as they were written."""
    key, *fallbacks = manage.secrets()

    async def read() -> list[Row]:
        database = Database(manage.settings().database_url)
        trail = AuditTrail(database, KeyRing(key, fallbacks))
        verification = trail.verification()
        await verification.begin()
        assert (await verification.run()).flaw is None
        rows = [json.loads(line) async for line in trail.export(Filters())]
        await database.close()
        return rows

    return asyncio.run(read())


def told(manage: CommandLine) -> list[tuple[str, Row]]:
    """The rows about the keys: action and details."""
    return [(row["action"], row["details"]) for row in trail(manage) if row["action"].startswith("key")]


def name_of(key: str) -> str:
    """What the trail calls a key."""
    return key_id(KeyRing(SecretStr(key)).all(TRAIL_KEY)[0]).hex()


def test_every_change_of_the_keys_is_a_row(manage: CommandLine) -> None:
    """Two rotations in a row and a retirement: three rows, each confirmed by a key that is known by then."""
    (first,) = manage.keys()
    names = [name_of(first)]
    for _ in range(2):
        assert manage(ROTATE)[0] == 0
        names.append(name_of(manage.keys()[0]))
    expected = [("key_rotated", {"current": name}) for name in names[1:]]
    assert told(manage) == expected
    # Under the key that the service still works with: it must be able to go on from there.
    assert {row["key_id"] for row in trail(manage)} == {names[0]}
    assert manage(ROTATE, "--reseal")[0] == 0
    manage.let_time_pass()
    assert manage(*RETIRE)[0] == 0
    assert told(manage) == [*expected, ("keys_retired", {})]
    assert [row["key_id"] for row in trail(manage)][-2:] == [names[2], names[2]]
    assert all(row["outcome"] == "success" for row in trail(manage))


def test_the_service_goes_on_from_the_row_before_and_after_its_restart(manage: CommandLine) -> None:
    """Two whole rotations around a service that writes: no mark says that something could not be confirmed."""
    for _ in range(2):
        with ServerProcess(manage.folder, SECRET_KEY="", DATABASE_URL=manage.database_url) as server:
            fail_to_sign_in(server)
            assert manage(ROTATE)[0] == 0
            fail_to_sign_in(server)
        assert manage(ROTATE, "--reseal")[0] == 0
        manage.let_time_pass()
        assert manage(*RETIRE)[0] == 0
    rows = trail(manage)
    assert [row["outcome"] for row in rows if row["action"] == "audit_key_changed"] == ["success"] * 2
    assert [action for action, _ in told(manage)] == ["key_rotated", "keys_retired"] * 2


def fail_to_sign_in(server: ServerProcess) -> None:
    """An event of the service."""
    credentials = {"email": "nobody@people.example", "password": "not the password"}
    assert httpx2.post(f"http://{HOST}:{server.port}/api/v1/signin", json=credentials, timeout=30).status_code == 401


def test_killed_before_the_file_is_replaced_nothing_happened(manage: CommandLine) -> None:
    """The row is written by then, and goes with the process: what did not happen is not on record."""
    before = manage.keys()
    assert kill(manage, "before", ROTATE)
    assert (manage.keys(), told(manage)) == (before, [])
    assert manage(ROTATE)[0] == 0
    assert len(told(manage)) == 1


def test_killed_after_the_file_was_replaced_it_is_told_by_the_next_run(manage: CommandLine) -> None:
    """The row is late, and there once; the trail is whole all the time."""
    assert kill(manage, "after", ROTATE)
    second = name_of(manage.keys()[0])
    assert told(manage) == []
    assert manage(ROTATE)[0] == 0
    third = name_of(manage.keys()[0])
    expected = [("key_rotated", {"current": second, "late": True}), ("key_rotated", {"current": third})]
    assert told(manage) == expected
    assert manage(ROTATE, "--reseal")[0] == 0
    manage.let_time_pass()
    assert kill(manage, "after", *RETIRE)
    assert len(manage.keys()) == 1
    assert told(manage) == expected
    for _ in range(2):
        assert manage(*RETIRE)[1] == "There is no earlier key.\n"
        assert told(manage) == [*expected, ("keys_retired", {"late": True})]


def kill(manage: CommandLine, when: Any, *arguments: str) -> bool:
    """Run a command that is killed around the change of the file; whether it was."""
    return manage.killed(when).start(*arguments).end().code == -signal.SIGKILL


def test_what_cannot_be_put_on_record_is_not_done(manage: CommandLine) -> None:
    """A trail that takes no row: in words, and `.env` is as it was."""
    execute(manage, "ALTER TABLE audit_heads RENAME TO audit_heads_elsewhere")
    before = manage.env_file.read_bytes()
    code, _, err = manage(ROTATE)
    assert (code, "The audit trail cannot be written." in err) == (1, True)
    assert manage.env_file.read_bytes() == before
    execute(manage, "ALTER TABLE audit_heads_elsewhere RENAME TO audit_heads")
    assert told(manage) == []


def test_a_database_that_fails_at_the_end_is_told_of(manage: CommandLine) -> None:
    """The commit fails behind the change of the file: the command says so, and the next run tells of the change."""
    (first,) = manage.keys()
    failing = "INSERT INTO never VALUES (99)"
    execute(manage, "CREATE TABLE never (id INTEGER REFERENCES audit_heads (id) DEFERRABLE INITIALLY DEFERRED)")
    is_sqlite = manage.database_url.startswith("sqlite")
    if is_sqlite:
        execute(manage, f"CREATE TRIGGER never AFTER INSERT ON audit_events BEGIN {failing}; END")
    else:
        body = f"BEGIN {failing}; RETURN NULL; END"
        execute(manage, f"CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
        execute(manage, "CREATE TRIGGER never AFTER INSERT ON audit_events EXECUTE FUNCTION never()")
    code, out, err = manage(ROTATE)
    assert (code, out) == (1, "")
    assert ".env is changed, but the database did not take the row of the audit trail" in err
    assert manage.keys()[1:] == [first]
    execute(manage, "DROP TRIGGER never" if is_sqlite else "DROP TRIGGER never ON audit_events")
    manage(*RETIRE)
    assert told(manage) == [("key_rotated", {"current": name_of(manage.keys()[0]), "late": True})]


def execute(manage: CommandLine, statement: str) -> None:
    """Change the database as its administrator."""

    async def change() -> None:
        database = Database(manage.settings().database_url)
        async with database.transaction() as db:
            await db.execute(text(statement))
        await database.close()

    asyncio.run(change())
