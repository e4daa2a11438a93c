"""Servers to measure: processes of their own, on a database of their own, with the options of `manage serve`."""

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.load import HOST

PROJECT = Path(__file__).resolve().parents[1]
EMAIL = "bench@service.example"

_START_SECONDS = 30
_DATABASE = "bench.db"
_MANAGE = [sys.executable, "-c", "from app.manage import main; main()"]
_SERVE = """
from app.core.logging.setup import configure_logging
from app.core.settings.model import load_settings
from app.http.server.run import run_server

configure_logging(load_settings())
run_server({app!r}, host={host!r}, port={port})
"""


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    port: int
    process: psutil.Process

    def memory(self) -> int:
        """Return what the process has in memory now, in bytes."""
        return int(self.process.memory_info().rss)

    def post(self, target: str, body: Mapping[str, str]) -> dict[str, str]:
        """Post JSON, and read the JSON that is answered."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_START_SECONDS)
        try:
            connection.request("POST", target, json.dumps(body), {"Content-Type": "application/json"})
            answer: dict[str, str] = json.load(connection.getresponse())
        finally:
            connection.close()
        return answer


@dataclass(frozen=True)
class Service:
    """The service, and somebody who can sign in."""

    server: Server
    credentials: dict[str, str]

    def access_token(self) -> str:
        """Sign in."""
        return self.server.post("/api/v1/signin", self.credentials)["access_token"]


@dataclass(frozen=True)
class Prepared:
    """What a service starts with."""

    database: Path
    environment: dict[str, str]
    credentials: dict[str, str]


@contextmanager
def prepared_service() -> Iterator[Prepared]:
    """Make a new SQLite file with an administrator."""
    with tempfile.TemporaryDirectory() as folder:
        environment, password = _environment(Path(folder)), secrets.token_urlsafe(18)
        create = [*_MANAGE, "create-admin", "--email", EMAIL, "--password-stdin"]
        for command in ([*_MANAGE, "migrate"], create):
            subprocess.run(
                command, cwd=folder, env=environment, input=password.encode(), capture_output=True, check=True
            )
        yield Prepared(Path(folder) / _DATABASE, environment, {"email": EMAIL, "password": password})


@contextmanager
def running_service(prepared: Prepared) -> Iterator[Service]:
    """Run the service on a copy of the file."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(prepared.database, Path(folder) / _DATABASE)
        environment = {**prepared.environment, **_database_in(Path(folder))}
        with _running("app.main:app", Path(folder), environment) as server:
            yield Service(server, prepared.credentials)


@contextmanager
def running_bare_route() -> Iterator[Server]:
    """Run the bare route, under the same server."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _running("bench.bare:app", Path(folder), _environment(Path(folder))) as server,
    ):
        yield server


def _environment(folder: Path) -> dict[str, str]:
    settings = {
        "ENVIRONMENT": "test",
        "ADMIN_EMAIL": EMAIL,
        "SECRET_KEY": secrets.token_urlsafe(64),
        **_database_in(folder),
        "SESSIONS_PER_USER": "10000",  # so that the flood does not end the session of the other route
        "RATE_LIMIT_DEFAULT": "100000000/minute",
        "RATE_LIMIT_SIGNIN": "100000000/minute",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(PROJECT),
    }
    return {**os.environ, **settings}


def _database_in(folder: Path) -> dict[str, str]:
    return {"DATABASE_URL": f"sqlite:///{folder / _DATABASE}"}


@contextmanager
def _running(app: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE.format(app=app, host=HOST, port=port)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(port, process, log)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    message = f"The server did not start:\n{log.read_text(encoding='utf-8')}"
    raise RuntimeError(message)
