"""Several processes that serve one database, as behind a load balancer."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from tests.support.server import ServerProcess, environment

EMAIL = "admin@service.example"
PASSWORD = "seven green lamps sing"
_CREATE_ADMIN = "from app.manage import main; main()"


@contextmanager
def running_replicas(folder: Path, database_url: str, count: int = 2, **settings: str) -> Iterator[list[httpx2.Client]]:
    """Start servers with the same settings, and an administrator (`EMAIL`, `PASSWORD`); a client for each server."""
    shared = {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "DATABASE_URL": database_url,
        "PUBLIC_URL": "http://127.0.0.1",
        **settings,
    }
    with ExitStack() as stack:
        servers = []
        for number in range(count):
            place = folder / f"replica-{number}"
            place.mkdir()
            servers.append(stack.enter_context(ServerProcess(place, head_seconds=None, **shared)))
        subprocess.run(
            [sys.executable, "-c", _CREATE_ADMIN, "create-admin", "--email", EMAIL, "--password-stdin"],
            cwd=folder,
            env=environment(**shared),
            input=PASSWORD.encode(),
            capture_output=True,
            check=True,
            timeout=60,
        )
        yield [stack.enter_context(httpx2.Client(base_url=server.url, timeout=30)) for server in servers]


def sign_in(client: httpx2.Client, password: str = PASSWORD, **headers: str) -> httpx2.Response:
    """Ask for a sign-in of the administrator."""
    return client.post("/api/v1/signin", json={"email": EMAIL, "password": password}, headers=headers)
