"""`manage audit`, as a process."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.database.database import Database
from tests.commands.test_commands import Manage, manage
from tests.support.database.databases import SqliteFiles, dsn_of
from tests.support.records.trail import disarm_database

__all__ = ["manage"]


def create(manage: Manage, number: int) -> None:
    """Make an administrator, which is an event."""
    code, _, err = manage("create-admin", "--email", f"admin{number}@people.example")
    assert code == 0, err


def tamper(manage: Manage, statement: str) -> None:
    """Change the database behind the back of the service."""

    async def change() -> None:
        database = Database(dsn_of(manage.environment["DATABASE_URL"]))
        await disarm_database(database)
        async with database.transaction() as db:
            await db.execute(text(statement))
        await database.close()

    asyncio.run(change())


def test_create_admin_is_on_record_when_it_says_so(manage: Manage) -> None:
    """One row, without the address or the password; and the trail is whole."""
    create(manage, 1)
    code, out, _ = manage("audit", "export")
    assert code == 0
    row = json.loads(out)
    assert (row["sequence"], row["action"], row["outcome"]) == (1, "account_created", "success")
    assert (row["actor"], row["target_type"], row["details"]) == (None, "user", {"roles": ["admin"]})
    assert "people.example" not in out
    code, out, _ = manage("audit", "verify")
    assert code == 0
    assert out.startswith("1 rows, none of them changed, removed or added.")


@pytest.mark.asvs("16.4.2")
def test_verify_finds_what_was_tampered_with(manage: Manage) -> None:
    """Exit code 1 and the number of the first row; nothing else on standard output."""
    for number in range(3):
        create(manage, number)
    anchor = manage("audit", "verify")[1].strip().rsplit(" ", 1)[1]
    assert manage("audit", "verify", "--expect-at-least", anchor)[0] == 0
    tamper(manage, "UPDATE audit_events SET action = 'nothing' WHERE sequence = 2")
    code, out, err = manage("audit", "verify")
    assert (code, out) == (1, "")
    assert err.startswith(
        "Row 2 of shard 1 was changed, or put in the place of another one. 1 rows before it are in order."
    )


def test_verify_finds_what_is_no_value_of_its_column(tmp_path: Path) -> None:
    """SQLite stores anything anywhere: a row that cannot even be read is named, and nothing crashes."""
    with SqliteFiles(tmp_path).migrated(tmp_path) as url:
        manage = Manage(tmp_path, url)
        for number in range(3):
            create(manage, number)
        tamper(manage, "UPDATE audit_events SET actor_id = 'garbage' WHERE sequence = 2")
        code, out, err = manage("audit", "verify")
        assert (code, out) == (1, "")
        assert err.startswith("Row 2 cannot be read. 1 rows before it are in order.")
        tamper(manage, "UPDATE audit_events SET actor_id = NULL, details = x'00' WHERE sequence = 2")
        assert "Row 2 " in manage("audit", "verify")[2]


def test_verify_with_an_anchor_of_more_than_is_there(manage: Manage) -> None:
    """Somebody has put an older state back. And what is no anchor is refused in words."""
    create(manage, 1)
    code, _, err = manage("audit", "verify", "--expect-at-least", f"7/{'ab' * 32}")
    assert (code, "Row 2 of shard 1 is missing" in err) == (1, True)
    code, _, err = manage("audit", "verify", "--expect-at-least", "7")
    assert (code, "N/HASH" in err) == (1, True)


def test_export_takes_a_time_with_its_zone(manage: Manage) -> None:
    """Oldest first; nothing of before `--since` or after `--until`."""
    for number in range(3):
        create(manage, number)
    lines = [json.loads(line) for line in manage("audit", "export")[1].splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3]
    assert {len(line["digest"]) for line in lines} == {64}
    second = lines[1]["created_at"]
    since = manage("audit", "export", "--since", second)[1].splitlines()
    until = manage("audit", "export", "--until", second)[1].splitlines()
    assert [json.loads(line)["sequence"] for line in (*until, *since)] == [1, 2, 3]
    code, out, err = manage("audit", "export", "--since", "2026-01-01")
    assert (code, out, "--since must be an RFC 3339 time" in err) == (1, "", True)


def test_export_ends_quietly_when_its_reader_does(manage: Manage) -> None:
    """As in `manage audit export | head -1`: no traceback, and no word about the database."""
    create(manage, 1)
    with subprocess.Popen(
        [sys.executable, "-c", "from app.manage import main; main()", "audit", "export"],
        cwd=manage.folder,
        env=manage.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


def test_says_in_words_what_is_wrong(manage: Manage, empty_database_url: str) -> None:
    """Without arguments, and without a schema."""
    assert "verify" in manage("audit")[1]
    code, _, err = manage("audit", "verify", DATABASE_URL=empty_database_url)
    assert (code, "manage migrate" in err) == (1, True)
