"""What the service writes is for its owner alone, whatever the umask is; and `manage check` tells where it is not."""

import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.core.database.sqlite import open_connection
from app.core.private_files import make_private_file, make_private_folder, readable_by_others
from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import PROJECT, ServerProcess, environment, request
from tests.support.processes.warm import Command

pytestmark = [
    pytest.mark.asvs("13.3.2", "14.2.4"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes"),
]


_UMASK = "import os; os.umask(0o022)\n"


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """As most systems have it: files are for everybody to read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_everything_that_a_service_writes(tmp_path: Path) -> None:
    """The folder, the database with its journals, and mail, while the service runs: nobody else can read them."""
    with ServerProcess(tmp_path, prelude=_UMASK, DATABASE_URL="sqlite:///var/deep/app.db") as server:
        body = b'{"email": "ada@people.example", "password": "seven green lamps sing"}'
        head = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        assert server.send(request("POST", "/api/v1/accounts", *head, body=body)).startswith(b"HTTP/1.1 202")
        give_up = time.monotonic() + 10
        while not list(tmp_path.glob("var/mail/*.eml")) and time.monotonic() < give_up:
            time.sleep(0.05)
        found = {str(path.relative_to(tmp_path)): _mode(path) for path in (tmp_path / "var").rglob("*")}
    assert {"var/deep/app.db", "var/deep/app.db-wal", "var/deep/app.db-shm"} <= set(found)
    assert [name for name in found if name.endswith(".eml")]
    assert set(found.values()) == {0o600, 0o700}
    assert _mode(tmp_path / "var") == 0o700


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("from app.manage import main; main()", ["migrate"]),
        ("from app.manage import main; main()", ["create-admin", "--email", "ada@people.example"]),
        ("from alembic.config import main; main()", ["-c", str(PROJECT / "pyproject.toml"), "upgrade", "head"]),
    ],
    ids=["migrate", "create-admin", "alembic"],
)
def test_every_way_to_a_new_database(tmp_path: Path, code: str, arguments: list[str]) -> None:
    """Whoever comes first makes the file, also where the schema is missing then."""
    url = f"sqlite:///{tmp_path}/app.db"
    Command(arguments, folder=tmp_path, environment=environment(DATABASE_URL=url), code=_UMASK + code).end()
    assert _mode(tmp_path / "app.db") == 0o600


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Modes that somebody has set, and content, are theirs."""
    folder, file = tmp_path / "shared", tmp_path / "shared" / "app.db"
    folder.mkdir(mode=0o755)
    file.write_bytes(b"content")
    file.chmod(0o640)
    make_private_folder(folder)
    make_private_file(file)
    assert (_mode(folder), _mode(file), file.read_bytes()) == (0o755, 0o640, b"content")
    make_private_file(tmp_path / "missing" / "app.db")
    assert not (tmp_path / "missing").exists()


def test_many_connections_make_one_file(tmp_path: Path) -> None:
    """The first of those that are opened together makes it, and no lock of another is lost by that."""
    path = tmp_path / "app.db"
    counts: list[int] = []

    def write() -> None:
        with closing(open_connection(str(path), timeout=10)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY)")
            connection.execute("INSERT INTO rows DEFAULT VALUES")
            counts.append(connection.execute("SELECT count(*) FROM rows").fetchone()[0])

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(counts) == 8
    assert _mode(path) == 0o600


@pytest.mark.parametrize(
    ("folder", "file", "expected"),
    [
        (0o755, 0o644, True),
        (0o750, 0o640, True),
        (0o711, 0o604, True),
        (0o700, 0o644, False),
        (0o755, 0o600, False),
        (0o750, 0o604, False),
        (0o705, 0o640, False),
    ],
    ids=oct,
)
def test_who_can_read(tmp_path: Path, folder: int, file: int, *, expected: bool) -> None:
    """Others can read a file that its mode opens to them, in a folder that lets the same others in."""
    path = tmp_path / "folder" / "app.db"
    path.parent.mkdir()
    path.touch()
    path.chmod(file)
    path.parent.chmod(folder)
    assert readable_by_others([path, tmp_path / "missing"]) is expected


def test_check_tells_of_files_made_earlier(tmp_path: Path, database_url: str) -> None:
    """An earlier version made them for everybody, and so may whoever makes a copy: each has a command that helps."""
    command_line = CommandLine(tmp_path, database_url)
    database, mail = tmp_path / "old" / "app.db", tmp_path / "var" / "mail" / "1.eml"
    for path in (database, database.with_name("app.db.backup"), mail):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.chmod(0o600)
    url = f"sqlite:///{database}"
    assert command_line("check", DATABASE_URL=url).code == 0
    for path, hint in (
        (database, f"Run: chmod go= {database}*"),
        (database.with_name("app.db.backup"), f"Run: chmod go= {database}*"),
        (mail, "Run: chmod -R go= var/mail"),
    ):
        path.chmod(0o644)
        for arguments in (("check",), ("check", "--deploy")):
            done = command_line(*arguments, DATABASE_URL=url)
            assert (done.code, hint in done.out) == (1, True), done.out
        path.chmod(0o600)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
