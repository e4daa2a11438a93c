"""The commands, as processes."""

from pathlib import Path

import pytest

from tests.conftest import NO_SMTP
from tests.support.processes.server import environment
from tests.support.processes.warm import Command, Done

PASSWORD = "seven green lamps sing"


class Manage:
    """The command line over a database of its own."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.environment = environment(DATABASE_URL=database_url, NO_COLOR="1")

    def __call__(self, *arguments: str, stdin: bytes = b"", **settings: str) -> Done:
        """Run a command: exit code, standard output, standard error."""
        variables = {**self.environment, **settings}
        done = Command(arguments, folder=self.folder, environment=variables, stdin=stdin).end()
        assert "Traceback" not in done.err
        return done


@pytest.fixture
def manage(tmp_path: Path, database_url: str) -> Manage:
    """The command line over a migrated database."""
    return Manage(tmp_path, database_url)


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


@pytest.mark.asvs("6.2.1", "6.2.4", "6.2.11")
@pytest.mark.parametrize(
    "stdin",
    [
        b"",
        b"short",
        b"x" * 129,
        b"x" * 100_000,
        b"\xff" * 20,
        b"correct horse battery staple",
        b"1qaz2wsx3edc4rfv\n",
        b"Administrator-2024!",
        b"people-ada-people-ada",
    ],
    ids=lambda stdin: repr(stdin[:24]),
)
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


def test_says_in_words_what_is_wrong_with_schema_or_settings(manage: Manage, empty_database_url: str) -> None:
    """An outdated schema, a database that is not there, a setting that is none."""
    arguments = ("create-admin", "--email", "ada@people.example")
    code, _, err = manage(*arguments, DATABASE_URL=empty_database_url)
    assert (code, "manage migrate" in err) == (1, True)
    nowhere = "postgresql://app:6h3JfKq9@127.0.0.1:9/app"
    for command, url in ((arguments, nowhere), (("migrate",), nowhere)):
        code, _, err = manage(*command, DATABASE_URL=url)
        assert (code, "The database does not answer" in err, "6h3JfKq9" in err) == (1, True, False)
    code, _, err = manage(*arguments, ITEMS_PER_USER="canary")
    assert (code, "ITEMS_PER_USER" in err, "canary" in err) == (1, True, False)


def test_the_other_commands_speak_plainly(manage: Manage) -> None:
    """Help without arguments, the route table, a migration that has nothing to do, unknown commands."""
    assert "create-admin" in manage()[1]
    assert "/api/v1/users/me" in manage("routes")[1]
    assert manage("migrate")[1] == "The schema is up to date.\n"
    assert manage("nonsense")[0] == 2


def test_serve_stops_in_words_before_it_listens(manage: Manage, empty_database_url: str) -> None:
    """In production on an outdated schema; and with settings that cannot be used."""
    public = {"PUBLIC_URL": "https://api.service.example", "SMTP_URL": NO_SMTP, "RATE_LIMIT_SIGNIN": "10/minute"}
    manage.environment.update(public, DATABASE_URL=empty_database_url)
    code, _, err = manage("serve", ENVIRONMENT="production")
    assert (code, "manage migrate" in err) == (1, True)
    code, _, err = manage("serve", SECRET_KEY="short")
    assert (code, "SECRET_KEY" in err) == (1, True)
