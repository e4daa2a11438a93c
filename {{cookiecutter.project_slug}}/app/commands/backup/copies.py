"""Copies of a database: of SQLite by its online backup, of PostgreSQL by its own programs.

A copy is made in a private folder beside its place, and moved there when it is whole.
"""

import itertools
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from app.assembly import SETTINGS
from app.commands.support import fail
from app.core.logging.redaction import redact_text
from app.core.private_files import make_private_file, make_private_folder

SQLITE_BEGINS, DUMP_BEGINS = b"SQLite format 3\0", b"PGDMP"
_BUSY_SECONDS = 5
_MOST_ATTEMPTS = 20
LOCK_WAIT = "10s"


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """Give the path of an empty private file on the same disk as `place`, which is gone after the block."""
    make_private_folder(place.parent)
    with TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as folder:
        file = Path(folder, place.name)
        make_private_file(file)
        yield file


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment into another file, in one transaction, while others use both.

    Raises `sqlite3.Error`; then the target is as it was.
    """
    attempts = itertools.count(1)

    def give_up(*_: int) -> None:
        if next(attempts) > _MOST_ATTEMPTS:
            raise sqlite3.OperationalError("another process holds its lock: stop the service")

    with (
        closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as reader,
        closing(sqlite3.connect(target, timeout=_BUSY_SECONDS)) as writer,
    ):
        reader.backup(writer, progress=give_up)


def finish_sqlite(file: Path) -> None:
    """Make the file whole in itself, without a journal, and check it; raises `sqlite3.Error`."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)


def key_ids_in(dump: Path) -> list[bytes]:
    """Return the names of the keys in the heads of the trail in a dump; exits with a message if it is no whole dump."""
    rows = run_program("pg_restore", "--data-only", "--table=audit_heads", "--file=-", str(dump))
    found = re.search(r"^COPY \S*audit_heads \((.*)\) FROM stdin;\n((?:\d.*\n)+)", rows, re.MULTILINE)
    if found is None:
        return []
    place = found[1].split(", ").index("key_id")
    return [bytes.fromhex(line.split("\t")[place].removeprefix("\\\\x")) for line in found[2].splitlines()]


def run_program(name: str, *arguments: str, url: SecretStr | None = None) -> str:
    """Run a program of PostgreSQL, and return what it says; it gets the password in its environment."""
    program = shutil.which(name)
    if program is None:
        hint = "An image of the service has none: docs/backup.md says how to make the same file beside the server."
        fail(f"{name} is not on the PATH. Install PostgreSQL's client programs, not older than the server. {hint}")
    settings = SETTINGS.with_named().model_fields
    own = {key: value for key, value in os.environ.items() if key.lower() not in settings}
    variables = own | (_variables(url) if url else {})
    done = subprocess.run(  # noqa: S603  # no shell, and no argument of a stranger
        [program, *arguments], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        fail(f"{name} failed: {redact_text(done.stderr.strip()[-1000:])}")
    return done.stdout


def _variables(database_url: SecretStr) -> dict[str, str]:
    """Translate `DATABASE_URL` to what libpq reads from the environment."""
    url = make_url(database_url.get_secret_value())
    given = url.query.get("host", ())
    hosts = [re.split(r":(?=\d+\Z)", host) for host in (given.split(",") if isinstance(given, str) else given)]
    found = {
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "PGHOST": ",".join(host[0] for host in hosts) or url.host,
        "PGPORT": ",".join(port for host in hosts for port in host[1:]) or url.query.get("port") or url.port,
        "PGCONNECT_TIMEOUT": url.query.get("connect_timeout"),
        "PGOPTIONS": f"{url.query.get('options', '')} -c lock_timeout={LOCK_WAIT}",
        **{f"PG{name.upper()}": url.query.get(name) for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")},
        "PGTARGETSESSIONATTRS": url.query.get("target_session_attrs"),
    }
    return {name: str(value) for name, value in found.items() if value}
