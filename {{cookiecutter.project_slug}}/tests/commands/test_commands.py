"""The commands, as processes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NO_SMTP
from tests.support.server import environment

PASSWORD = "correct horse battery staple"


class Manage:
    """The command line over a database of its own."""

    def __init__(self, database: Path) -> None:
        self.folder = database.parent
        self.environment = environment(self.folder, DATABASE_URL=f"sqlite:///{database}", NO_COLOR="1")

    def __call__(self, *arguments: str, stdin: bytes = b"", **settings: str) -> tuple[int, str, str]:
        """Run a command: exit code, standard output, standard error."""
        done = subprocess.run(
            [sys.executable, "-c", "from app.manage import main; main()", *arguments],
            cwd=self.folder,
            env={**self.environment, **settings},
            input=stdin,
            timeout=60,
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def manage(tmp_path: Path, migrated_database: Path) -> Manage:
    """The command line over a migrated database."""
    database = tmp_path / "app.db"
    shutil.copyfile(migrated_database, database)
    return Manage(database)


def test_makes_a_password_and_shows_it_once(manage: Manage) -> None:
    """On standard output alone: the log does not have it."""
    code, out, err = manage("create-admin", "--email", "ada@people.example")
    assert code == 0
    password = out.strip().rsplit(" ", 1)[1]
    assert len(password) >= 15
    assert password not in err


def test_reads_the_password_from_standard_input(manage: Manage) -> None:
    """It is not shown; a second account of the address is refused in words."""
    arguments = ("create-admin", "--email", "ada@people.example", "--password-stdin")
    code, out, err = manage(*arguments, stdin=f"{PASSWORD}\n".encode())
    assert code == 0
    assert PASSWORD not in out + err
    code, out, err = manage(*arguments, stdin=PASSWORD.encode())
    assert code == 1
    assert "There is an account with this e-mail address already." in err


@pytest.mark.asvs("6.2.1")
@pytest.mark.parametrize("stdin", [b"", b"short", b"x" * 129, b"\xff" * 20])
def test_refuses_a_password_that_no_other_path_would_take(manage: Manage, stdin: bytes) -> None:
    """The same rule as over HTTP, and no echo."""
    code, _, err = manage("create-admin", "--email", "ada@people.example", "--password-stdin", stdin=stdin)
    assert code == 1
    assert "password" in err


def test_refuses_what_is_no_address(manage: Manage) -> None:
    """With an example that works."""
    code, _, err = manage("create-admin", "--email", "nobody")
    assert code == 1
    assert "Example: --email admin@example.com" in err


def test_says_in_words_what_is_wrong_with_schema_or_settings(manage: Manage, tmp_path: Path) -> None:
    """An outdated schema, a database that is not there, a setting that is none."""
    arguments = ("create-admin", "--email", "ada@people.example")
    code, _, err = manage(*arguments, DATABASE_URL=f"sqlite:///{tmp_path / 'new.db'}")
    assert (code, "uv run manage migrate" in err) == (1, True)
    code, _, err = manage(*arguments, DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'folder.db'}")
    assert (code, "The database does not answer" in err) == (1, True)
    code, _, err = manage(*arguments, ITEMS_PER_USER="canary")
    assert (code, "ITEMS_PER_USER" in err, "canary" in err) == (1, True, False)


def test_the_other_commands_speak_plainly(manage: Manage) -> None:
    """Help without arguments, the route table, a migration that has nothing to do, unknown commands."""
    assert "create-admin" in manage()[1]
    assert "/api/v1/users/me" in manage("routes")[1]
    assert manage("migrate")[1] == "The schema is up to date.\n"
    assert manage("nonsense")[0] == 2


def test_serve_stops_in_words_before_it_listens(manage: Manage, tmp_path: Path) -> None:
    """In production on an outdated schema; and with settings that cannot be used."""
    new, url = f"sqlite:///{tmp_path / 'new.db'}", "https://api.service.example"
    code, _, err = manage("serve", ENVIRONMENT="production", PUBLIC_URL=url, SMTP_URL=NO_SMTP, DATABASE_URL=new)
    assert (code, "uv run manage migrate" in err) == (1, True)
    code, _, err = manage("serve", SECRET_KEY="short")
    assert (code, "SECRET_KEY" in err) == (1, True)
