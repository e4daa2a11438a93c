"""Backups while others write, and while something is in their way."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.commands.backup.conftest import PROGRAMS, Drill
from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import ServerProcess

_FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))"
_SPY = """#!/bin/sh
echo "$@" >> "{log}"
exec "{program}" "$@"
"""


class Writers:
    """Clients whose every request is a row of the trail."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.Client(base_url=url, timeout=30)
        self._stop = threading.Event()
        self.acknowledged = 0
        self.errors: list[object] = []

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            mail = {"email": f"{threading.get_ident()}-{number}@people.example", "password": "seven green lamps sing"}
            answer = self._client.post("/api/v1/accounts", json=mail)
            self.acknowledged += answer.status_code == 202
            self.errors += [answer.text] if answer.status_code != 202 else []

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write from two threads."""
        threads = [threading.Thread(target=self._write) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            while not self.acknowledged and not self.errors:
                time.sleep(0.01)
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
            self._client.close()


def test_a_drill_under_load(drill: Drill, tmp_path: Path) -> None:
    """Three backups while accounts are made, rows purged and the key replaced: each restores, with all that was there.

    No request fails meanwhile, and the last backup, with the service on its copy, knows every account of before.
    """
    manage = drill.manage
    with ServerProcess(tmp_path, head_seconds=None, **manage.server_settings()) as server:
        writers, before = Writers(server.url), 0
        with writers.writing():
            for number in range(3):
                before = writers.acknowledged
                commands = [
                    manage.start("backup", "--to", str(tmp_path / f"{number}")),
                    manage.start(*(("purge",) if number else ("rotate-secret-key",))),
                ]
                for done in [command.end() for command in commands]:
                    assert done.code == 0, done.err
        assert writers.errors == []
    assert before > 0
    for number in range(3):
        done = manage("restore", "--overwrite", str(tmp_path / f"{number}"), **drill.elsewhere)
        assert done.code == 0, done.err
    listed = manage("audit", "export", **drill.elsewhere).out
    assert listed.count('"account_created"') > before


def test_a_backup_onto_a_full_disk_leaves_nothing(sqlite_drill: Drill, tmp_path: Path) -> None:
    """A clear message, no half file, and the database as it was."""
    size = (tmp_path / "live.db").stat().st_size
    manage, folder = sqlite_drill.manage.after(_FULL_DISK.format(size=size // 2)), tmp_path / "copies"
    done = manage("backup", "--to", str(folder / "one"))
    assert done.code == 1
    assert "one cannot be written (" in done.err
    assert "Nothing is left of it." in done.err
    assert list(folder.iterdir()) == []
    assert sqlite_drill.manage("audit", "verify").code == 0


def test_a_restore_onto_a_full_disk_changes_nothing(sqlite_drill: Drill, tmp_path: Path) -> None:
    """The database that is to be replaced stays as it is."""
    manage = sqlite_drill.manage
    assert manage("backup", "--to", str(tmp_path / "one")).code == 0
    before = manage("audit", "verify").out
    full = manage.after(_FULL_DISK.format(size=(tmp_path / "live.db").stat().st_size // 2))
    done = full("restore", "--overwrite", str(tmp_path / "one"))
    assert (done.code, "Nothing was changed." in done.err) == (1, True), done.err
    assert manage("audit", "verify").out == before


def test_a_backup_replaces_nothing_and_finds_its_folder(sqlite_drill: Drill, tmp_path: Path) -> None:
    """A file that is there stays; a folder gets a file with the time in its name; without a database there is none."""
    manage, taken = sqlite_drill.manage, tmp_path / "taken"
    taken.write_text("mine")
    assert manage("backup", "--to", str(taken)).code == 1
    assert taken.read_text() == "mine"
    assert manage("backup").code == 0
    assert manage("backup", "--to", str(tmp_path / "var")).code == 0
    made = [*(tmp_path / "var" / "backup").glob("2*Z.db"), *(tmp_path / "var").glob("2*Z.db")]
    assert len(made) == 2
    missing = manage("backup", DATABASE_URL=f"sqlite:///{tmp_path}/none.db")
    assert (missing.code, "there is no such file" in missing.err) == (1, True)
    assert not (tmp_path / "none.db").exists()


def test_the_programs_of_postgresql_get_no_password_as_an_argument(postgresql_drill: Drill, tmp_path: Path) -> None:
    """Other users of the machine see arguments: there is the name of the database, and no secret."""
    manage, spies = postgresql_drill.manage, tmp_path / "spies"
    spies.mkdir()
    for name in ("pg_dump", "pg_restore"):
        spy = spies / name
        spy.write_text(_SPY.format(log=tmp_path / "log", program=PROGRAMS / name))
        spy.chmod(0o755)
    path = {"PATH": f"{spies}{os.pathsep}{os.environ['PATH']}"}
    assert manage("backup", "--to", str(tmp_path / "one"), **path).code == 0
    assert manage("restore", str(tmp_path / "one"), **path, **postgresql_drill.elsewhere).code == 0
    said = (tmp_path / "log").read_text()
    assert said.count("--format=custom") >= 1
    assert said.count("--single-transaction") >= 1
    assert _password_of(manage) not in said


def test_without_the_programs_of_postgresql_it_says_what_to_install(postgresql_drill: Drill, tmp_path: Path) -> None:
    """And nothing is left."""
    done = postgresql_drill.manage("backup", "--to", str(tmp_path / "new" / "one"), PATH="/nowhere")
    assert (done.code, "pg_dump is not on the PATH" in done.err, "docs/backup.md" in done.err) == (1, True, True)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_server_that_is_gone_is_told_without_its_password(postgresql_drill: Drill, tmp_path: Path) -> None:
    """With the words of `pg_dump`."""
    manage = postgresql_drill.manage
    url = manage.database_url.replace("@127.0.0.1:", "@127.0.0.1:1")
    done = manage("backup", "--to", str(tmp_path / "one"), DATABASE_URL=url)
    assert (done.code, "pg_dump failed: " in done.err) == (1, True)
    assert _password_of(manage) not in done.err + done.out
    assert not (tmp_path / "one").exists()


def _password_of(manage: CommandLine) -> str:
    return manage.database_url.split(":")[2].split("@")[0]
