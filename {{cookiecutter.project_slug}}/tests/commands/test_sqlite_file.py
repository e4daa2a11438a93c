"""A file of SQLite that cannot be used: each command says why in one line, with its path."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes.command_line import CommandLine
from tests.support.processes.warm import MANAGE, Command, Done

# Root loses the capabilities that let it ignore the modes of files. It keeps its user id, because the code may lie in a
# folder that only root can enter.
_WITHOUT_CAPABILITIES = f"""
import ctypes, os, sys
if sys.platform == "linux" and os.geteuid() == 0:
    version_3, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(version_3, none) == 0
{MANAGE}
"""
CREATE_ADMIN = ("create-admin", "--email", "ada@people.example")
COMMANDS = (("serve", "--port", "0"), ("migrate",), CREATE_ADMIN, ("purge",), ("audit", "verify"), ("clients", "list"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose parts can be removed afterwards, whatever their modes are."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)
        for path in Path(name).iterdir():
            path.chmod(0o755)


def run(folder: Path, path: Path, *arguments: str) -> Done:
    """Run a command as a user for whom the modes of files hold."""
    manage = CommandLine(folder, f"sqlite:///{path}")
    manage.env_file.unlink()
    environment = {**manage.environment, "SECRET_KEY": "Zq7mTt0rWvX9bLc2NfHs5JyGd8Ke4PaUpR3xVn6s"}  # gitleaks:allow
    return Command(arguments, folder=folder, environment=environment, code=_WITHOUT_CAPABILITIES).end()


def assert_one_line(done: Done, *words: str) -> None:
    """The command failed, and said why in one line."""
    assert done.code == 1
    assert len(done.err.splitlines()) == 1, done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_folder_that_cannot_be_written_is_named(folder: Path, command: tuple[str, ...]) -> None:
    """Not that the database does not answer."""
    locked = folder / "locked"
    locked.mkdir(mode=0o555)
    assert_one_line(run(folder, locked / "app.db", *command), "DATABASE_URL", f"the folder {locked}", "write")


@pytest.mark.parametrize("command", [("migrate",), ("backup",), ("restore", "copy.db")], ids=lambda command: command[0])
def test_a_folder_that_cannot_be_entered_is_named(folder: Path, command: tuple[str, ...]) -> None:
    """Where a command cannot even ask whether the file is there."""
    closed = folder / "closed"
    closed.mkdir(mode=0o000)
    (folder / "copy.db").write_bytes(b"SQLite format 3\0")
    assert_one_line(run(folder, closed / "app.db", *command), str(closed))


def test_a_place_for_a_backup_that_cannot_be_entered_is_named(folder: Path) -> None:
    """As one that cannot be written to is."""
    closed = folder / "closed"
    closed.mkdir(mode=0o000)
    assert run(folder, folder / "app.db", "migrate").code == 0
    done = run(folder, folder / "app.db", "backup", "--to", str(closed / "copy.db"))
    assert_one_line(done, f"{closed / 'copy.db'} cannot be written (Permission denied)")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_folder_that_cannot_be_made_is_named(folder: Path, command: tuple[str, ...]) -> None:
    """A file is where the folder is to be."""
    (folder / "file").touch()
    assert_one_line(run(folder, folder / "file/below/app.db", *command), "DATABASE_URL", f"{folder / 'file'} is not a")


def test_a_missing_folder_is_named_and_made_by_migrate(folder: Path) -> None:
    """`create-admin` says what to run; `check` has nothing against it."""
    path = folder / "missing" / "app.db"
    assert_one_line(run(folder, path, *CREATE_ADMIN), f"the folder {path.parent} does not exist", "manage migrate")
    assert run(folder, path, "check").code == 0
    assert run(folder, path, "migrate").code == 0
    assert path.exists()


@pytest.mark.parametrize(
    "command", [("migrate",), CREATE_ADMIN, ("serve", "--port", "0")], ids=lambda command: command[0]
)
def test_a_file_that_cannot_be_the_database_is_named(folder: Path, command: tuple[str, ...]) -> None:
    """A folder, a file of others, and a file of something else."""
    (folder / "folder.db").mkdir()
    (folder / "read-only.db").touch(0o444)
    (folder / "text.db").write_text("not a database, and longer than a header of SQLite is: " * 10)
    assert_one_line(run(folder, folder / "folder.db", *command), f"{folder / 'folder.db'} is a folder")
    assert_one_line(run(folder, folder / "read-only.db", *command), f"{folder / 'read-only.db'}", "write")
    assert_one_line(run(folder, folder / "text.db", *command), f"{folder / 'text.db'}", "not a database")


def test_check_reports_it(folder: Path) -> None:
    """As an error of `DATABASE_URL`, for people and for pipelines."""
    locked = folder / "locked"
    locked.mkdir(mode=0o555)
    done = run(folder, locked / "app.db", "check", "--format", "json")
    (finding,) = json.loads(done.out)
    assert (done.code, finding["id"], finding["setting"]) == (1, "settings.E002", "DATABASE_URL")
    assert str(locked) in finding["message"]
