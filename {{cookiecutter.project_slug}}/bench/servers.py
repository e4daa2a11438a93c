"""Servers to measure: processes of their own, on a database of their own, with the options of `manage serve`."""

import asyncio
import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from pydantic import SecretStr
from sqlalchemy import select

from app.access.roles import Role
from app.core.database.database import Database
from app.core.settings.database_url import database_dsn
from app.features.accounts.models import User
from bench.load import HOST
from tests.support.database.postgresql import PostgresqlDatabases, databases_on, running_postgresql
from tests.support.processes.server import free_port
from tests.support.servers.valkey import running_valkey, url_of

PROJECT = Path(__file__).resolve().parents[1]
EMAIL = "bench@service.example"
USERS = 64
"""Who signs in: rows of one account alone would be waited for, and its sessions would become thousands."""

_START_SECONDS = 30
_STOP_SECONDS = 15
SQLITE, POSTGRESQL = "sqlite", "postgresql"
_MANAGE = [sys.executable, "-c", "from app.manage import main; main()"]
_SERVE = """
from app.core.logging.setup import configure_logging
from app.core.settings.model import load_settings
from app.http.server.run import run_server

configure_logging(load_settings())
run_server("bench.bare:app", host={host!r}, port={port})
"""


@dataclass(frozen=True)
class Server:
    """A server that answers, the first time so many seconds after it was started."""

    port: int
    process: psutil.Process
    start_seconds: float

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
    """The service, an administrator who can sign in, and the addresses of others with the same password."""

    server: Server
    credentials: dict[str, str]
    users: list[str]

    def access_token(self) -> str:
        """Sign in."""
        return self.server.post("/api/v1/signin", self.credentials)["access_token"]


@dataclass(frozen=True)
class Prepared:
    """What a service starts with: settings, who can sign in, and copies of the database, by their setting."""

    environment: dict[str, str]
    credentials: dict[str, str]
    users: list[str]
    copy: Callable[[], AbstractContextManager[str]]


@contextmanager
def prepared_service(database: str = SQLITE) -> Iterator[Prepared]:
    """Make a new database with an administrator; with PostgreSQL, a Valkey for the counters too."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment, password = _environment(), secrets.token_urlsafe(18)
        file = folder / "bench.db"
        environment["DATABASE_URL"], copy = f"sqlite:///{file}", partial(_copied_file, file)
        if database == POSTGRESQL:
            databases = stack.enter_context(databases_on(stack.enter_context(running_postgresql()).url))
            environment["DATABASE_URL"] = url = databases.create()
            environment["REDIS_URL"] = url_of(stack.enter_context(running_valkey()))
            copy = partial(_copied_database, databases, url)
        create = [*_MANAGE, "create-admin", "--email", EMAIL, "--password-stdin"]
        for command in ([*_MANAGE, "migrate"], create):
            subprocess.run(
                command, cwd=folder, env=environment, input=password.encode(), capture_output=True, check=True
            )
        emails = asyncio.run(_add_users(environment["DATABASE_URL"]))
        yield Prepared(environment, {"email": EMAIL, "password": password}, emails, copy)


async def _add_users(url: str) -> list[str]:
    """Add users with the password of the administrator, and return their addresses."""
    emails = [f"user{number}@service.example" for number in range(USERS)]
    async with Database(SecretStr(database_dsn(url))) as database, database.transaction() as db:
        first = (await db.scalars(select(User))).one()
        for email in emails:
            db.add(
                User(
                    email=email,
                    mailbox=email,
                    password_hash=first.password_hash,
                    created_at=first.created_at,
                    verified_at=first.verified_at,
                    roles=frozenset({Role.MEMBER}),
                )
            )
    return emails


@contextmanager
def _copied_file(file: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{shutil.copyfile(file, Path(folder) / file.name)}"


@contextmanager
def _copied_database(databases: PostgresqlDatabases, url: str) -> Iterator[str]:
    copy = databases.create(url)
    try:
        yield copy
    finally:
        databases.drop(copy)


@contextmanager
def running_service(prepared: Prepared, workers: int = 1, **settings: str) -> Iterator[Service]:
    """Run the service, as `manage serve` does, on a copy of the database."""
    with prepared.copy() as url:
        environment = {**prepared.environment, "DATABASE_URL": url, **settings}
        port = free_port()
        serve = [*_MANAGE, "serve", "--host", HOST, "--port", str(port), "--workers", str(workers)]
        with _running(serve, port, environment, "/livez") as server:
            yield Service(server, prepared.credentials, prepared.users)


@contextmanager
def running_bare_route() -> Iterator[Server]:
    """Run the bare route, under the same server."""
    port = free_port()
    environment = {**_environment(), "DATABASE_URL": "sqlite:///unused.db"}
    serve = [sys.executable, "-c", _SERVE.format(host=HOST, port=port)]
    with _running(serve, port, environment, "/api/v1/users/me") as server:
        yield server


def _environment() -> dict[str, str]:
    settings = {
        "ENVIRONMENT": "test",
        "ADMIN_EMAIL": EMAIL,
        "SECRET_KEY": secrets.token_urlsafe(64),
        "RATE_LIMIT_DEFAULT": "100000000/minute",
        "RATE_LIMIT_SIGNIN": "100000000/minute",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(PROJECT),
    }
    return {**os.environ, **settings}


@contextmanager
def _running(command: Sequence[str], port: int, environment: Mapping[str, str], path: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        begin = time.perf_counter()
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            _wait_for(port, process, log, path)
            yield Server(port, psutil.Process(process.pid), time.perf_counter() - begin)
        finally:
            process.terminate()  # workers end with it
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path, path: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(HOST, port, timeout=_START_SECONDS)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            time.sleep(0.01)
        else:
            return
        finally:
            connection.close()
    message = f"The server did not start:\n{log.read_text(encoding='utf-8')}"
    raise RuntimeError(message)
