"""`manage doctor`: what is ill is told beside what is well, within seconds, and no secret is shown."""

import os
import pty
import secrets
import socket
import time
from pathlib import Path

import pytest

from tests.support.database.postgresql import PostgresqlDatabases
from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import HOST, free_port
from tests.support.processes.warm import Command

pytestmark = pytest.mark.asvs("14.2.4", "16.2.5")


def test_a_service_that_is_well(manage: CommandLine) -> None:
    """Every setting with its source, and a line for each thing that was looked at; what was done is known."""
    before = manage("doctor", APP_NAME="Canary App")
    assert before.code == 0, before.out
    assert "APP_NAME                   Canary App  [the environment]\n" in before.out
    assert "SECRET_KEY                 **********  [.env]\n" in before.out
    assert "ITEMS_PER_USER             50  [default]\n" in before.out
    assert "REDIS_URL                  not set  [default]\n" in before.out
    assert "last backup never, last purge never" in before.out
    assert [line.split()[1] for line in before.out.splitlines() if line.startswith("ok ")] == [
        *("database", "counters", "mail", "disk", "upkeep", "versions")
    ]
    assert manage("purge").code == 0
    assert "last purge 2" in manage("doctor").out
    assert manage("audit", "verify").code == 0


def test_no_secret_is_shown_and_nothing_that_hangs_holds_it_up(
    manage: CommandLine, postgresql: PostgresqlDatabases
) -> None:
    """Every secret setting, with a database that is gone, counters and a mail server that accept and say nothing."""
    canaries = [f"Canary{secrets.token_hex(24)}" for _ in range(6)]
    with socket.create_server((HOST, 0)) as hung:
        port, begin = hung.getsockname()[1], time.monotonic()
        done = manage(
            "doctor",
            SECRET_KEY_FALLBACKS=f"{canaries[0]},{canaries[1]}",
            DATABASE_URL=f"postgresql://user:{canaries[2]}@{HOST}:{free_port()}/{canaries[3]}",
            REDIS_URL=f"redis://user:{canaries[4]}@{HOST}:{port}/0",
            SMTP_URL=f"smtp://user:{canaries[5]}@{HOST}:{port}?tls=off",
        )
    assert time.monotonic() - begin < 25
    assert done.code == 1
    assert not [canary for canary in canaries if canary in done.out + done.err]
    lines = {line.split()[1]: line for line in done.out.splitlines() if line.startswith(("ok ", "ILL"))}
    assert [name for name, line in lines.items() if line.startswith("ok ")] == ["disk", "versions"]
    assert "The database does not answer (" in lines["database"]
    assert "no answer within 5 seconds" in lines["mail"]


def test_a_schema_of_another_version_is_told(manage: CommandLine, tmp_path: Path) -> None:
    """With the words of the service; what does not need the database is looked at."""
    done = manage("doctor", DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert done.code == 1
    assert "ILL database" in done.out
    assert "Run `manage migrate`" in done.out
    assert "ok  versions" in done.out


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_for_a_terminal_that_wants_them(manage: CommandLine, tmp_path: Path, no_color: str) -> None:
    """As https://no-color.org says."""
    leader, follower = pty.openpty()
    variables = {**manage.environment, "NO_COLOR": no_color, "TERM": "xterm"}
    try:
        command = Command(("doctor",), folder=tmp_path, environment=variables, stdout=Path(os.ttyname(follower)))
        assert command.end().code == 0
        assert (b"\x1b[32m" in os.read(leader, 65536)) is (not no_color)
    finally:
        os.close(leader)
        os.close(follower)
